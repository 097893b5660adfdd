"""What every dataset looks like from outside, wherever its pictures come from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card
from swath.errors import SwathError


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


class MapSource(Source, Protocol):
    """A source that supplies more than labels. What a map's name stands for: `swath.data.windows.CUTS`."""

    @property
    def maps(self) -> Mapping[str, int]:
        """Names of the maps, with their channels."""
        ...

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of them, of the picture's size: H x W, or H x W x channels where there are several."""
        ...


# What a source may have as `cut`: (index, rows, columns, names) -> the parts, which are the caller's own to change.
Cut = Callable[[int, slice, slice, Iterable[str]], dict[str, NDArray[Any]]]


def supplied(source: Source) -> Mapping[str, int]:
    """The maps of a source, with their channels; none where it has but pictures and labels."""
    maps: Mapping[str, int] = getattr(source, "maps", {})
    return maps


def read_parts(source: Source, index: int, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Of one picture, what is named: "image", "labels", and any of the source's maps.

    Maps come first: a generator that draws them has drawn the picture as well.
    """
    own = {"image": source.image, "labels": source.labels}
    order = sorted(names, key=own.__contains__)
    return {name: own[name](index) if name in own else source.map(index, name) for name in order}  # type: ignore[attr-defined]


def read_window(
    source: Source, index: int, rows: slice, columns: slice, names: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """Of one picture, the rows and columns of what is named; a source that can read just these has a method `cut`."""
    cut: Cut | None = getattr(source, "cut", None)
    if cut is not None:
        return cut(index, rows, columns, names)
    return {name: part[rows, columns] for name, part in read_parts(source, index, names).items()}


def read_ahead(source: Source, indices: Iterable[int], names: Iterable[str]) -> None:
    """Say which pictures will be read next, to a source that has a method `ahead` since it waits for a network."""
    ahead: Callable[[Iterable[int], Iterable[str]], None] | None = getattr(source, "ahead", None)
    if ahead is not None:
        ahead(indices, names)


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

    @property
    def maps(self) -> Mapping[str, int]:
        """What every part supplies."""
        first, *others = (supplied(part) for part in self.parts)
        return {name: count for name, count in first.items() if all(each.get(name) == count for each in others)}

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of the maps."""
        part, inner = self._find(index)
        return read_parts(part, inner, [name])[name]

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Rows and columns of what is named."""
        part, inner = self._find(index)
        return read_window(part, inner, rows, columns, names)

    def instances(self, index: int) -> NDArray[np.int32]:
        """The objects of a picture, of a part that knows them."""
        part, inner = self._find(index)
        read: Callable[[int], NDArray[np.int32]] | None = getattr(part, "instances", None)
        if read is None:
            raise SwathError(f"{part.name(inner)}: its split has no instance maps; see the key 'instances' of the card")
        return read(inner)

    def ahead(self, indices: Iterable[int], names: Iterable[str]) -> None:
        """These pictures will be read next."""
        found = [self._find(index) for index in indices]
        for part in self.parts:
            inner = [index for where, index in found if where is part]
            if inner:
                read_ahead(part, inner, names)

    def _find(self, index: int) -> tuple[Source, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} pictures")
        part = bisect_right(self._ends, index)
        return self.parts[part], index - (self._ends[part - 1] if part else 0)
