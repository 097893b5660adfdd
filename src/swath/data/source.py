"""What every dataset looks like from outside, wherever its pictures come from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card


class Source(Protocol):
    """Pictures and their labels, by index."""

    card: Card

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """The picture's relative id, with `/` between folders."""
        ...

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        ...

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids; 255 is ignored."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """(height, width), without decoding the picture."""
        ...


class Joined:
    """Several sources one after the other: `train+val`."""

    def __init__(self, card: Card, parts: Sequence[Source]) -> None:
        self.card = card
        self.parts = tuple(parts)
        self._ends = list(accumulate(len(part) for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def name(self, index: int) -> str:
        """The picture's relative id in its part."""
        part, inner = self._find(index)
        return part.name(inner)

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        part, inner = self._find(index)
        return part.image(inner)

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids."""
        part, inner = self._find(index)
        return part.labels(inner)

    def size(self, index: int) -> tuple[int, int]:
        """(height, width)."""
        part, inner = self._find(index)
        return part.size(inner)

    def _find(self, index: int) -> tuple[Source, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} pictures")
        part = bisect_right(self._ends, index)
        return self.parts[part], index - (self._ends[part - 1] if part else 0)
