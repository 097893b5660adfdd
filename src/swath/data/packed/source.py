"""A packed split as a source: of a crop, only the rows that it needs are read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card
from swath.data.packed.bands import BAND, Kind, decode
from swath.data.packed.manifest import Picture, Split, Stored, packed_split, read_manifest
from swath.data.packed.origin import complaint, drawn_as
from swath.data.packed.part import PartFiles
from swath.data.source import Source
from swath.errors import SwathError, unknown

_NO_MAPS = ("image", "labels", "instances")


class PackedSource:
    """The pictures of a packed split. A band's checksum is looked at when a process first reads the band."""

    def __init__(self, card: Card, name: str, split: Split, folder: Path, count: int | None = None) -> None:
        self.card = card
        self.split = name
        self.folder = folder
        self.packing = split.packing
        self.maps = {name: max(kind.channels, 1) for name, kind in split.kinds.items() if name not in _NO_MAPS}
        self._kinds = dict(split.kinds)
        self._pictures = split.pictures[:count]
        self._files = PartFiles(folder, split.parts)
        self._sound: dict[tuple[int, str], int] = {}  # (picture, array) -> bands known to be right, as bits

    def __len__(self) -> int:
        return len(self._pictures)

    def name(self, index: int) -> str:
        """The picture's relative id."""
        return self._picture(index).name

    def size(self, index: int) -> tuple[int, int]:
        """(height, width)."""
        return self._picture(index).size

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        return self._whole(index, "image")

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids."""
        return self._whole(index, "labels")

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of the maps."""
        if name not in self.maps:
            raise unknown(f"map of {self.folder}", name, self.maps)
        return self._whole(index, name)

    def instances(self, index: int) -> NDArray[np.int32]:
        """H x W instance numbers, as the dataset's files hold them."""
        return self._whole(index, "instances")

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Rows and columns of what is named."""
        first, stop, _ = rows.indices(self.size(index)[0])
        return {name: self._rows(index, name, first, stop)[:, columns] for name in names}

    def check(self, index: int) -> None:
        """Read all of a picture; what is damaged is refused."""
        for name in self._kinds:
            self._whole(index, name)

    def _picture(self, index: int) -> Picture:
        if not 0 <= index < len(self._pictures):
            raise IndexError(f"index {index} of {len(self._pictures)} pictures")
        return self._pictures[index]

    def _whole(self, index: int, name: str) -> NDArray[Any]:
        return self._rows(index, name, 0, self.size(index)[0])

    def _rows(self, index: int, name: str, first: int, stop: int) -> NDArray[Any]:
        """Some rows of an array, in memory of their own."""
        picture, kind = self._picture(index), self._kind(name)
        height, width = picture.size
        bands = range(first // BAND, -(-stop // BAND))
        wanted = (1 << bands.stop) - (1 << bands.start)
        if kind.coding == "raw" and not wanted & ~self._sound.get((index, name), 0):
            at, row = self._stored(picture, name).at, kind.row_bytes(width)
            data = self._files.read(picture.part, at + first * row, at + stop * row)
            return data.view(kind.dtype).reshape(kind.shape(stop - first, width))
        coded = self._bands(index, name, bands)
        self._sound[index, name] = self._sound.get((index, name), 0) | wanted
        top = bands.start * BAND
        rows = np.empty(kind.shape(min(bands.stop * BAND, height) - top, width), kind.dtype)
        for number, band in enumerate(coded):
            decode(band, kind, rows[number * BAND : (number + 1) * BAND])
        return rows[first - top : stop - top]

    def _bands(self, index: int, name: str, bands: range) -> list[NDArray[np.uint8]]:
        """As they lie in the file; a checksum is looked at once."""
        picture = self._picture(index)
        stored = self._stored(picture, name)
        ends = stored.ends(self._kinds[name], *picture.size)
        start = ends[bands.start]
        data = self._files.read(picture.part, start, ends[bands.stop])
        coded = [data[ends[band] - start : ends[band + 1] - start] for band in bands]
        sound = self._sound.get((index, name), 0)
        for band, each in zip(bands, coded):
            if not sound >> band & 1 and zlib.crc32(each.data) != stored.crc(band):
                raise self._damaged(picture, name, band)
        return coded

    def _stored(self, picture: Picture, name: str) -> Stored:
        return picture.arrays[list(self._kinds).index(name)]

    def _kind(self, name: str) -> Kind:
        if name in self._kinds:
            return self._kinds[name]
        if name == "labels":
            raise SwathError(
                f"split '{self.split}' of card '{self.card.name}' has no labels: it can be predicted, "
                "but neither trained on nor evaluated"
            )
        raise SwathError(
            f"{self.folder}: split '{self.split}' was packed without {name}; use the dataset's own files, "
            "or, where these have them, pack it again into another folder"
        )

    def _damaged(self, picture: Picture, name: str, band: int) -> SwathError:
        path = self._files.path(picture.part)
        rows = f"{band * BAND} to {min((band + 1) * BAND, picture.size[0]) - 1}"
        return SwathError(
            f"{path}: is damaged: '{picture.name}', rows {rows} of its {name}, does not match its checksum; delete "
            "this file and run `swath pack` again, which writes only what is missing"
        )


def open_packed(
    card: Card, split: str, folder: Path, layout: str | None = None, drawn: Source | None = None
) -> PackedSource:
    """A split of a packed folder, if card and source are still what they were. `drawn`: what the card's generator would
    give, of which the packed pictures must be the first ones or more."""
    found = packed_split(read_manifest(folder), card, split, folder)
    origin = found.origin
    if layout is not None and origin.layout not in (None, *layout.split()):
        raise SwathError(f"{folder}: split '{split}' was packed in the layout '{origin.layout}', not '{layout}'")
    if drawn is not None and (drawn_as(drawn) != origin.options or len(drawn) > len(found.pictures)):
        height, width = found.pictures[0].size
        raise SwathError(
            f"{folder}: split '{split}' holds {len(found.pictures)} pictures of {width} x {height} pixels, others are "
            "asked for (count, size or seed); leave out the root, so that they are drawn"
        )
    told = complaint(card, split, found, folder)
    if told:
        raise SwathError(told)
    return PackedSource(card, split, found, folder, len(drawn) if drawn is not None else None)
