"""The whole examination: gather, look at every pair on all cores, then at the set as a whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swath.cards.card import Card, Reading
from swath.data.pairs import Pair
from swath.doctor.balance import Balance
from swath.doctor.crew import Job, probes
from swath.doctor.examine import Probe, Set
from swath.doctor.findings import Finding
from swath.doctor.gather import Split, double, gather
from swath.doctor.lists import list_marks
from swath.doctor.partners import Partners, total
from swath.doctor.twins import Side, Twins, find_twins, twin_findings
from swath.doctor.values import MISREAD, label_findings
from swath.doctor.whole import balance_of, classes, doubles, odd_ones
from swath.errors import SwathError

Told = Callable[[int, int, int], None]  # done, of how many, findings so far


@dataclass
class SplitFacts:
    """A split that was looked at."""

    name: str
    reading: Reading
    pictures: int  # that belong to it
    pairs: list[Pair]  # that were looked at
    sizes: Counter[tuple[int, int]]
    balance: Balance


@dataclass
class Diagnosis:
    """What the doctor found."""

    card: Card
    root: Path
    splits: list[SplitFacts]
    findings: list[Finding]
    twins: list[Twins] = field(default_factory=list)
    seconds: float = 0.0
    sampled: bool = False  # not every picture was looked at

    @property
    def fit(self) -> bool:
        """Whether a training may start."""
        return not any(finding.level == "error" for finding in self.findings)

    @property
    def examined(self) -> int:
        """Pictures that were looked at."""
        return sum(len(split.pairs) for split in self.splits)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a program."""
        names = self.card.class_names
        return {
            "card": self.card.name,
            "root": str(self.root),
            "fit": self.fit,
            "seconds": round(self.seconds, 2),
            "splits": {
                split.name: {
                    "layout": split.reading.layout,
                    "pictures": split.pictures,
                    "examined": len(split.pairs),
                    "sizes": {f"{width}x{height}": count for (height, width), count in split.sizes.most_common()},
                    "ignored": split.balance.ignored,
                    "pixels": dict(zip(names, split.balance.pixels.tolist())),
                    "pictures_with": dict(zip(names, split.balance.pictures.tolist())),
                    "weights": {rule: split.balance.weights(rule).tolist() for rule in ("log", "median")},
                }
                for split in self.splits
            },
            "findings": [finding.as_dict() for finding in self.findings],
        }


def check(
    card: Card,
    root: str | Path | None = None,
    *,
    split: str | None = None,
    layout: str | None = None,
    jobs: int = 1,
    limit: int | None = None,
    told: Told | None = None,
) -> Diagnosis:
    """Examine a dataset. `split` is one or several (`train+val`), by default all that are there; `layout` chooses where
    several fit; `limit` looks at so many pictures of each split, evenly spread.

    Starts `jobs` processes: a script calls it under `if __name__ == "__main__"`.
    """
    began = time.monotonic()
    if card.generator:
        raise SwathError(f"card '{card.name}' draws its pictures itself; there are no files to check")
    folder = card.find_root(root)
    _not_packed(folder)
    splits, findings = gather(card, folder, split, layout)
    partners = Partners(card, folder)
    usable: dict[str, list[Pair]] = {}
    for each in splits:
        pairs, wrong = partners.check(each)
        usable[each.name] = _spread(pairs, limit)
        findings += [*each.findings, *list_marks(each.reading, folder), *double(each, folder), *wrong]
        findings += total(card, each, len(each.pairs))
    seen = _examine(card, folder, splits, usable, jobs, told, len(findings))
    diagnosis = Diagnosis(card, folder, [], findings, sampled=limit is not None)
    sides: list[Side] = []
    for each in splits:
        pairs, own = usable[each.name], seen[each.name]
        diagnosis.splits.append(_facts(card, each, pairs, own))
        _judge(diagnosis, each, pairs, own, len(pairs) < len(each.pairs) and limit is not None)
        sides.append(Side(each.name, own, pairs))
    diagnosis.twins = find_twins(sides)
    findings += twin_findings(diagnosis.twins, {side.name: len(side.pairs) for side in sides}, folder)
    diagnosis.seconds = time.monotonic() - began
    return diagnosis


def _not_packed(folder: Path) -> None:
    for name in ("pack.json", "shards.json"):
        if (folder / name).is_file() or any(folder.glob(f"*/{name}")):
            raise SwathError(f"{folder}: is a packed copy ({name}); check the folder that it was made from")


def _spread(pairs: list[Pair], limit: int | None) -> list[Pair]:
    if limit is None or limit >= len(pairs):
        return pairs
    return [pairs[at * len(pairs) // limit] for at in range(limit)]


def _examine(
    card: Card,
    root: Path,
    splits: list[Split],
    usable: dict[str, list[Pair]],
    workers: int,
    told: Told | None,
    already: int,
) -> dict[str, list[Probe]]:
    """Every pair, by split and in its order."""
    readings = {split.name: split.reading for split in splits}
    jobs: list[Job] = []
    first: dict[Any, tuple[str, int]] = {}  # what trainval shares with train and val is looked at once
    again: list[tuple[str, int, tuple[str, int]]] = []
    for name, pairs in usable.items():
        reading = readings[name]
        for index, pair in enumerate(pairs):
            same = (pair.image, pair.label, reading.coco, reading.table.where, reading.table.divide)
            if same in first and first[same][0] != name:
                again.append((name, index, first[same]))
            else:
                first[same] = name, index
                jobs.append((name, index, pair))
    seen = _run(Set(card, root, readings), jobs, workers, told, already)
    for name, index, other in again:
        seen[name, index] = replace(seen[other], split=name, index=index, findings=[], again=True)
    return {name: [seen[name, index] for index in range(len(pairs))] for name, pairs in usable.items()}


def _run(what: Set, jobs: list[Job], workers: int, told: Told | None, wrong: int) -> dict[tuple[str, int], Probe]:
    """The jobs, with word of how it goes; `wrong` findings are known already."""
    seen: dict[tuple[str, int], Probe] = {}
    if told:
        told(0, len(jobs), wrong)
    for done, probe in enumerate(probes(what, jobs, workers), 1):
        seen[probe.split, probe.index] = probe
        wrong += len(probe.findings) + bool(probe.mask and probe.mask.strange)
        if told:
            told(done, len(jobs), wrong)
    return seen


def _facts(card: Card, split: Split, pairs: list[Pair], own: list[Probe]) -> SplitFacts:
    sizes = Counter(probe.size for probe in own if probe.size is not None)
    balance = balance_of(own, card.num_classes)
    return SplitFacts(split.name, split.reading, len(split.pairs), pairs, sizes, balance)


def _judge(diagnosis: Diagnosis, split: Split, pairs: list[Pair], own: list[Probe], part: bool) -> None:
    """What the probes of a split come to."""
    found, root = diagnosis.findings, diagnosis.root
    found += [finding for probe in own for finding in probe.findings]
    of_labels = label_findings(diagnosis.card, split, own, pairs, root)
    found += of_labels
    found += odd_ones(split.name, own, pairs, root)
    found += doubles(split.name, own, pairs, root)
    if not any(finding.kind in MISREAD for finding in of_labels):
        found += classes(diagnosis.card, split.name, diagnosis.splits[-1].balance, part)
