"""From a budget of milliseconds to a front and a proposal."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from swath.bench.manifest import manifest
from swath.cards import Card
from swath.data import Source
from swath.errors import SwathError
from swath.evaluation.evaluator import check_classes
from swath.fit.candidates import Group, Subject, seen_sizes, subjects, ways
from swath.fit.measure import Bench, shown
from swath.fit.memory import Memory
from swath.fit.outcome import Outcome, Row, Settings
from swath.fit.score import Scores
from swath.fit.search import Search
from swath.fit.value import Yardstick, by_capacity, by_claims
from swath.inference import Segmenter
from swath.inference.runtimes.torch import check_device
from swath.watching import Watch


def _nobody(what: str, done: int = 0, total: int | None = None) -> None:
    pass


def fit(
    settings: Settings, card: Card | None = None, root: str | None = None, split: str = "val", watch: Watch = _nobody
) -> Outcome:
    """Measure what may keep `settings.latency` here, and propose the best that does. `card` names the classes, and is
    what weights are scored on, which needs its data (`root`)."""
    began = monotonic()
    check_device(settings.device)
    able = ways(settings.device, settings.engines, settings.precisions)
    told = manifest(settings.device)
    memory = Memory(told, settings.again)
    found, failures = _found(settings, watch)
    groups = [Group(each, seen) for each in found for seen in seen_sizes(each, settings.size, settings.scales)]
    if not groups:
        least = min((each.min_size for each in found), default=None)
        why = next(iter(failures.values()), "") if least is None else f"they need at least {shown(least)}"
        raise SwathError(f"--size {shown(settings.size)}: no network takes such pictures ({why}); give larger ones")
    val = train = None
    if card is not None and any(each.path for each in found):
        val = card.open(split, root)
        _check(found, card)
        train = _train(card, root)
    bench = Bench(settings, train)
    scores = Scores(val, split, bench, memory) if val is not None else None
    yardstick = scores.yardstick() if scores else _unscored(found, card, settings)
    search = Search(settings, groups, able, bench, memory, yardstick, watch, began)
    search.calibrate()
    search.look()
    if scores:
        search.score(scores.recall, scores.score)
    search.make_sure()
    rows = _rows(search)
    whys = {f"{trial.group.subject.title}, {trial.way}": why for trial, why in search.failures.items()}
    return Outcome(
        settings=settings,
        yardstick=yardstick,
        rows=rows,
        proposal=propose(rows, settings.latency),
        failures={**failures, **whys},
        out_of_time=search.out_of_time,
        seconds=monotonic() - began,
        manifest=told,
    )


def front(rows: Sequence[Row]) -> list[Row]:
    """Of what was measured and has a value, all that nothing faster is as good as."""
    kept: list[Row] = []
    measured = [row for row in rows if row.figure and row.value is not None]
    for row in sorted(measured, key=lambda row: (row.ms, -(row.value or 0))):
        if not kept or (row.value or 0) > (kept[-1].value or 0):
            kept.append(row)
    return kept


def propose(rows: Sequence[Row], latency: float) -> Row | None:
    """The best within the budget; of equals, the fastest."""
    able = [row for row in rows if row.front and row.ms <= latency]
    return max(able, key=lambda row: (row.value or 0, -row.ms), default=None)


def _rows(search: Search) -> list[Row]:
    """Everything, the fastest first; what cannot run here is left out."""
    rows = [
        Row(
            trial=trial,
            estimate=search.estimator.ms(trial),
            figure=search.figures.get(trial),
            value=search.value(trial),
        )
        for trial in search.all_trials()
        if trial not in search.failures
    ]
    best = {id(row) for row in front(rows)}
    marked = [Row(**{**row.__dict__, "front": id(row) in best}) for row in rows]
    return sorted(marked, key=lambda row: row.ms)


def _found(settings: Settings, watch: Watch) -> tuple[list[Subject], dict[str, str]]:
    found: list[Subject] = []
    failures: dict[str, str] = {}
    for name, each in subjects(settings.words, settings.widths, settings.num_classes, settings.size):
        watch(f"counting {name}")
        if isinstance(each, Subject):
            found.append(each)
        else:
            failures[name] = str(each)
    return found, failures


def _unscored(found: Sequence[Subject], card: Card | None, settings: Settings) -> Yardstick:
    if any(each.path for each in found):
        return by_capacity(settings.size)
    return by_claims(found, card.name if card else "") or by_capacity(settings.size)


def _check(found: Sequence[Subject], card: Card) -> None:
    """Before anything is measured."""
    for each in found:
        if each.path is not None:
            segmenter = Segmenter(each.build(), optimise=False)
            segmenter.name = str(each.path)
            check_classes(segmenter, card)


def _train(card: Card, root: str | None) -> Source | None:
    """Where ranges of 8 bits come from; a card without that split has none, and synthetic streets do."""
    if "train" not in card.splits:
        return None
    try:
        return card.open("train", root)
    except SwathError:
        return None
