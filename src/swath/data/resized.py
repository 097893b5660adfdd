"""A source with all its pictures at one size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.data.source import Source, read_parts, supplied
from swath.data.windows import CUTS, Place


class Resized:
    """Pictures, labels and maps at (height, width), as a training window shows them: depths are those of a picture that
    is as much larger or smaller to the same lens."""

    def __init__(self, source: Source, size: tuple[int, int]):
        self.card = source.card
        self.source, self._size = source, size

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        """The picture's relative id."""
        return self.source.name(index)

    def size(self, index: int) -> tuple[int, int]:
        """The one size."""
        return self._size

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        return self._place(index).image(self.source.image(index))

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids."""
        return self._place(index).labels(self.source.labels(index))

    @property
    def maps(self) -> Mapping[str, int]:
        """Those of the source."""
        return supplied(self.source)

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of the maps."""
        return CUTS[name](self._place(index), read_parts(self.source, index, [name])[name])

    def _place(self, index: int) -> Place:
        height, width = self.source.size(index)
        return Place(self._size, slice(0, height), slice(0, width), 0, 0, *self._size, mirrored=False)
