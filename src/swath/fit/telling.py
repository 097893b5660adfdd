"""An outcome in words: names of configurations, what to type next, and why there is no proposal."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from swath.fit.candidates import Trial
from swath.fit.measure import shown
from swath.fit.outcome import Outcome, Row
from swath.weights import beside

FORMATS = {"onnxruntime": "onnx", "openvino": "openvino", "tensorrt": "tensorrt"}


def milliseconds(value: float) -> str:
    if value < 1:
        return f"{value:.2g} ms"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def enough(value: float) -> str:
    """A time that is surely as long, in two digits, as --latency takes it."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    digits = max(0, -math.floor(math.log10(step)))
    return f"{math.ceil(round(value / step, 6)) * step:.{digits}f}ms"


def benchmark_words(outcome: Outcome, trial: Trial, model: str | None = None) -> list[str]:
    """The arguments of `swath benchmark` that time the same thing; `model`: another file of that network."""
    settings, subject, way = outcome.settings, trial.group.subject, trial.way
    words = [model or subject.word, "--size", shown(settings.size)]
    if trial.group.seen != settings.size:
        words += ["--seen", shown(trial.group.seen)]
    words += ["--device", settings.device, "--engine", way.engine, "--stages", settings.stage]
    words += ["--threads", str(outcome.manifest["threads"])] if settings.device == "cpu" else []
    if way.precision not in ("float32", "int8"):
        words += ["--dtype", way.precision]
    if model is None and subject.path is None:
        words += ["--num-classes", str(settings.num_classes)]
        words += [word for key, value in subject.options.items() for word in ("--option", f"{key}={value:g}")]
    return words


def summary(outcome: Outcome) -> Iterator[str]:
    """What was looked at, and how."""
    rows, settings = outcome.rows, outcome.settings
    count, measured = len(rows), len(outcome.measured)
    left = f"{count - measured} only estimated: too slow, or beaten by one as good"
    networks = len({row.trial.group.subject.title for row in rows})
    yield f"{count} configurations of {networks} network{'' if networks == 1 else 's'}: " + (
        f"{measured} measured, {left}" if measured < count else "all measured"
    )
    if outcome.out_of_time:
        yield (
            f"the {settings.minutes:g} minutes were over before all was measured that may fit; the same command goes "
            "on where it stopped, --minutes gives it more"
        )
    before = sorted(row.figure.date for row in rows if row.figure and row.figure.date < outcome.manifest["date"])
    if before:
        kept = f"{len(before)} of the figures are" if len(before) > 1 else "one of the figures is"
        since = f"the oldest of {_day(before[0])}" if len(before) > 1 else f"of {_day(before[0])}"
        yield f"{kept} from earlier runs, {since}; --again measures anew"
    yield outcome.yardstick.note


def proposal(outcome: Outcome) -> str:
    """The configuration and its figures, in a line."""
    row = outcome.proposal
    assert row is not None and row.figure is not None
    size, seen = outcome.settings.size, row.trial.group.seen
    resized = "" if seen == size else f", pictures of {shown(size)} shown at {shown(seen)}"
    label, percent = outcome.yardstick.label.removesuffix(", %"), outcome.yardstick.label.endswith(", %")
    worth = f"{outcome.yardstick.text(row.value)}{' %' if percent else ''} {label}"
    spare = 100 * (1 - row.ms / outcome.settings.latency)
    date = row.figure.date
    earlier = f"; measured on {_day(date)}, --again measures anew" if date < outcome.manifest["date"] else ""
    return (
        f"{row.trial.group.subject.title} by {row.trial.way}{resized}: {milliseconds(row.ms)} "
        f"(median of {row.figure.calls}; 9 of 10 within {milliseconds(row.figure.p90)}), {spare:.0f} % under the "
        f"budget; {worth}{earlier}"
    )


def nothing(outcome: Outcome) -> str:
    """Why there is no proposal, and what to change."""
    settings, measured = outcome.settings, outcome.measured
    fastest = min(measured, key=lambda row: row.ms, default=None)
    if fastest is None:
        return f"nothing could be measured: {next(iter(outcome.failures.values()), 'no time was left')}"
    within = [row for row in measured if row.ms <= settings.latency]
    if within:
        return (
            f"{len(within)} keep {milliseconds(settings.latency)}, but of none of them is a figure known "
            f"({_label(outcome)}); raise --minutes"
        )
    seen = fastest.trial.group.seen
    half = shown((seen[0] // 2, seen[1] // 2))
    others = []
    if min(settings.scales) > 0.25:
        others.append(f"smaller pictures in (--scales {min(settings.scales) / 2:g}, that is {half})")
    others.append("a smaller --size")
    if settings.device == "cpu":
        others.append("more --threads, or a GPU")
    return (
        f"nothing keeps {milliseconds(settings.latency)} here; the fastest is {fastest.trial.group.subject.title} at "
        f"{shown(seen)} by {fastest.trial.way}, {milliseconds(fastest.ms)}. Give --latency "
        f"{enough(fastest.ms * 1.05)} or more, {', '.join(others)}"
    )


def next_steps(outcome: Outcome, card: str | None, root: str | None) -> list[tuple[str, str]]:
    """Each with what it is for: to time it again, next, then; some are what Python alone can do. Pictures are shown
    at the size that was measured, whatever size they have and whatever the weights learnt at."""
    row = outcome.proposal
    assert row is not None
    trial, settings = row.trial, outcome.settings
    subject, seen = trial.group.subject, trial.group.seen
    resized = seen != settings.size
    benchmark = ("to time it again", _line("swath benchmark", benchmark_words(outcome, trial)))
    size = ["--size", shown(seen)]
    if subject.path is None:
        words = ["--network", subject.network]
        words += [w for key, value in subject.options.items() for w in (f"--network_options.{key}", f"{value:g}")]
        words += ["--card", card or "card.yaml", *(["--data.root", root] if root else [])]
        words += ["--validation.size", shown(seen)] if resized else []
        again = [] if trial.way.precision == "int8" else [benchmark]
        return [*again, ("next", _line("swath train auto", words))]
    path, engine, device = subject.word, trial.way.engine, settings.device
    where = ["--device", device] if device != "cpu" else []
    made = beside(subject.path)
    data = [*(["--card", card] if card else []), *(["--root", root] if root else [])]
    if trial.way.precision == "int8":
        words = [path, "--engine", "onnxruntime", *data, *(size if resized else [])]
        model = str(made.with_name(f"{made.stem}-int8.onnx"))
        then = _line("swath predict", [model, "picture.jpg", "--engine", engine, *size])
        return [("next", _line("swath quantize", words)), ("then", then)]
    if trial.way.precision != "float32":
        python = f'Segmenter("{path}", "{device}", dtype="{trial.way.precision}", views=Views(size={seen}))'
        return [benchmark, ("next", f"python: from swath.inference import Segmenter, Views; segment = {python}")]
    base, _, part = engine.partition(":")
    if base in FORMATS:
        model = str(made.with_name(f"{made.stem}-{FORMATS[base]}"))
        words = [path, "--to", FORMATS[base], *(size if resized else [])]
        call = [model, "picture.jpg", *(["--engine", engine] if part else []), *size, *where]
        return [benchmark, ("next", _line("swath export", words)), ("then", _line("swath predict", call))]
    return [benchmark, ("next", _line("swath predict", [path, "picture.jpg", "--engine", engine, *size, *where]))]


def chosen_rows(outcome: Outcome, most: int = 20) -> list[Row]:
    """What a table shows: the front, the proposal, and what else was measured, the fastest of a network at a size."""
    best: dict[object, Row] = {}
    for row in outcome.measured:
        best.setdefault((row.trial.group, row.trial.way.precision == "int8"), row)
    told = [row for row in outcome.measured if row.front or row is outcome.proposal]
    near = sorted(best.values(), key=lambda row: abs(row.ms - outcome.settings.latency))
    told += [row for row in near if row not in told][: max(0, most - len(told))]
    return sorted(told, key=lambda row: row.ms)


def _label(outcome: Outcome) -> str:
    return outcome.yardstick.label.removesuffix(", %")


def _line(command: str, words: Sequence[str]) -> str:
    return f"{command} {shlex.join(words)}"


def _day(date: str) -> str:
    """As people write it."""
    try:
        return datetime.fromisoformat(date).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return date or "nobody knows when"
