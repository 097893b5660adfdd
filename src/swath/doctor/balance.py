"""How often each class occurs, and weights that make up for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RULES = ("log", "median")


@dataclass
class Balance:
    """Pixels by class, pictures in which it occurs, pixels that are ignored."""

    pixels: NDArray[np.int64]
    pictures: NDArray[np.int64]
    ignored: int = 0
    labels: int = 0  # that were counted

    @classmethod
    def empty(cls, classes: int) -> Balance:
        """Nothing counted yet."""
        return cls(np.zeros(classes, np.int64), np.zeros(classes, np.int64))

    def add(self, pixels: NDArray[np.int64], ignored: int) -> None:
        """One label more."""
        self.pixels += pixels
        self.pictures += pixels > 0
        self.ignored += ignored
        self.labels += 1

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of all pixels that have a class."""
        return np.asarray(self.pixels / max(1, int(self.pixels.sum())), np.float64)

    @property
    def ignored_share(self) -> float:
        """Of all pixels."""
        return self.ignored / max(1, self.ignored + int(self.pixels.sum()))

    def weights(self, rule: str) -> NDArray[np.float64]:
        """`log`: 1 / ln(1.02 + share of the pixels) (ENet, arXiv 1606.02147, and LightNet).

        `median`: median frequency over the class's own, its frequency being its pixels a picture that has it (Eigen and
        Fergus, arXiv 1411.4734); a class that never occurs gets the largest weight of the others.
        """
        if rule == "log":
            return np.asarray(1 / np.log(1.02 + self.shares), np.float64)
        there = self.pixels > 0
        if not there.any():
            return np.ones(len(self.pixels))
        frequency = self.pixels / np.maximum(self.pictures, 1)
        return np.asarray(np.median(frequency[there]) / np.where(there, frequency, frequency[there].min()), np.float64)

    def yaml(self, rule: str) -> str:
        """The line for a recipe's stage."""
        return "class_weights: [" + ", ".join(f"{weight:.5g}" for weight in self.weights(rule)) + "]"
