"""How good weights are on the person's card, for each size that the network sees and each precision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from swath.data import Source
from swath.errors import SwathError
from swath.evaluation import evaluate
from swath.fit import int8
from swath.fit.candidates import Group, Trial
from swath.fit.identity import identity
from swath.fit.measure import Bench, shown
from swath.fit.memory import Memory
from swath.fit.value import Yardstick
from swath.quantise.engines.pictures import Part, spread


@dataclass
class Scores:
    """mIoU in percent, as it becomes known."""

    source: Source  # the split
    split: str
    bench: Bench
    memory: Memory
    values: dict[tuple[Group, str], float] = field(default_factory=dict)

    @property
    def pictures(self) -> Part:
        """Spread over the split: neighbours mostly show the same street."""
        return Part(self.source, spread(len(self.source), self.bench.settings.limit))

    def yardstick(self) -> Yardstick:
        card, count = self.source.card, len(self.pictures)
        many = "" if count == 1 else "s"
        of_all = "" if count == len(self.source) else f", spread over the {len(self.source)} there are"
        note = (
            f"mIoU on {card.name} {self.split} ({count} picture{many}{of_all}), every picture resized to what the "
            "network sees, labels compared at the truth's own size"
        )
        return Yardstick(
            kind="scored",
            label=f"mIoU on {card.name} {self.split}, %",
            note=note,
            of=lambda group, precision: self.values.get((group, precision)),
        )

    def recall(self, trial: Trial) -> bool:
        """Whether it was scored before."""
        key = (trial.group, trial.way.precision)
        known = self.memory.score(self._name(trial))
        if key not in self.values and known is not None:
            self.values[key] = known
        return key in self.values

    def score(self, trial: Trial) -> None:
        """By any engine: those of one precision answer alike."""
        miou = evaluate(self.bench.open(trial), self.pictures).miou
        if miou is None:
            raise SwathError(f"{self.source.card.name}: no pixel of its {self.split} split is of any class to score")
        self.values[trial.group, trial.way.precision] = 100 * miou
        self.memory.keep_score(self._name(trial), 100 * miou)

    def _name(self, trial: Trial) -> str:
        """Equal only for the same weights on the same pictures and truths."""
        path = trial.group.subject.path
        assert path is not None
        told = f"{_hash(path)} {self._identity} {self.split} {trial.way.precision}"
        if trial.way.precision == "int8":
            told += f" {int8.ranges(self.bench.train, self.bench.settings.size)}"
        return f"{hashlib.sha256(told.encode()).hexdigest()[:32]} {shown(trial.group.seen)}"

    @cached_property
    def _identity(self) -> str:
        return identity(self.source, self.pictures.chosen)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
