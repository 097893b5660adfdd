"""Where in its stage an iteration is."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """What changes in the course of a training is a function of this, so that a resumed run repeats it."""

    step: int = 0  # counted from 1; 0: before the first
    steps: int = 1
    seed: int = 0

    @property
    def done(self) -> float:
        """The share of the stage that is over when this iteration is."""
        return self.step / self.steps

    def chosen(self, share: float) -> bool:
        """Whether this iteration is one of the `share` of all that are drawn."""
        return share >= 1 or random.Random(f"{self.seed} {self.step}").random() < share  # the global one stays as it is


START = Moment()
