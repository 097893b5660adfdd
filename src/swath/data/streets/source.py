"""Streets as a source of pictures and labels, like any dataset's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card
from swath.data.streets.frame import Street, Want, render
from swath.errors import SwathError


class Streets:
    """`count` pictures of a split; splits draw from unrelated seeds, so none shares a street with another."""

    maps: ClassVar[Mapping[str, int]] = {"depth": 1, "flow": 2, "motion": 1}

    def __init__(
        self, card: Card, split: str, seed: int = 0, count: int = 512, size: tuple[int, int] = (256, 512)
    ) -> None:
        if count < 1:
            raise SwathError(f"streets: count {count} is not a number of pictures; ask for at least 1")
        self.card = card
        self.split = split
        self.count = count
        self.shape = (int(size[0]), int(size[1]))
        # The split's name is hashed into the seed: 48 bits, so that no user's seed meets another split's.
        self.seed = int.from_bytes(hashlib.sha256(f"{split}/{seed}".encode()).digest()[:6], "little")
        self._last: tuple[int, Street] | None = None

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """As a file would be called."""
        return f"{self.split}/{self._checked(index):06d}.png"

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        return self._street(index).image.copy()

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids."""
        return self._street(index).labels.copy()

    def map(self, index: int, name: str) -> NDArray[Any]:
        """Depth in metres (0 for the sky, which has none), flow in pixels to the next frame, or motion (1: moves)."""
        street = self._street(index, "all")
        if name == "depth":
            assert street.depth is not None
            return np.where(np.isinf(street.depth), np.float32(0), street.depth)
        found = {"flow": street.flow, "motion": street.motion}[name]
        assert found is not None
        return found.copy()

    def size(self, index: int) -> tuple[int, int]:
        """(height, width)."""
        self._checked(index)
        return self.shape

    def _street(self, index: int, want: Want = "labels") -> Street:
        # image(i) and labels(i) are asked for one after the other: drawn once.
        if self._last is None or self._last[0] != index or (want == "all" and self._last[1].depth is None):
            self._last = (index, render(self.seed, self._checked(index), self.shape, want=want))
        return self._last[1]

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} of {self.count} pictures")
        return index
