"""Instances of COCO's JSON files as label maps: what two instances share is ignored, what none covers is value 0."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Reading
from swath.cards.tables import IGNORE, LabelTable
from swath.data import runs
from swath.data.pairs import NotHere
from swath.errors import SwathError

_SPACE = re.compile(r"[ \t\n\r]*")
_PIECE = 1 << 24
_FAR = 65_536  # pixels; a corner beyond is a mistake, and walking there would take all memory


def read_annotations(reading: Reading, root: Path) -> Annotations:
    """The instances that a split's label table draws; a file is read once as long as it does not change."""
    path = root / (reading.coco or "").replace("{split}", reading.folder)
    if not path.is_file():
        raise NotHere(f"{path}: there is no such file; see {reading.where}")
    told = path.stat()
    return _read(path, told.st_mtime_ns, told.st_size, frozenset(reading.table.ids) - {0})


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int, categories: frozenset[int]) -> Annotations:
    return Annotations(path, categories)


class Annotations:
    """The pictures of a file, and the outlines of its instances in a few flat arrays: 450 MB of JSON become 100."""

    def __init__(self, path: Path, categories: frozenset[int]) -> None:
        self.path = path
        self._numbers: dict[str, int] = {}  # picture's name -> its place in what follows
        self._sizes: list[tuple[int, int]] = []
        self._shapes, self._starts, self._is_run = array("i"), array("q", [0]), bytearray()
        found, areas, kinds, ends = array("q"), array("d"), array("i"), array("q", [0])
        places: dict[int, int] = {}
        for key, item in _elements(path):
            try:
                if key == "images":
                    places[item["id"]] = self._add_picture(item)
                elif item["category_id"] in categories:
                    self._add_outlines(item["segmentation"])
                    found.append(item["image_id"])
                    areas.append(item["area"])
                    kinds.append(item["category_id"])
                    ends.append(len(self._is_run))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                told = item.get("id") if isinstance(item, dict) else item
                raise SwathError(f"{path}: {key}: {told}: is not of COCO's form ({error!r})") from error
        lost = next((image for image in found if image not in places), None)
        if lost is not None:
            raise SwathError(f"{path}: has instances of picture {lost}, which is not among its images")
        of = np.array([places[image] for image in found], np.int64)
        self._areas = np.bincount(of, np.asarray(areas), len(self._sizes))
        order = np.argsort(of, kind="stable")
        self._first = np.searchsorted(of[order], np.arange(len(self._sizes) + 1))
        self._kinds = np.asarray(kinds, np.int32)[order]
        self._spans = np.stack([np.asarray(ends)[:-1][order], np.asarray(ends)[1:][order]], axis=1)

    def names(self, min_area: int | None = None) -> list[str]:
        """The pictures in order; with `min_area` those whose instances together are larger (in pixels)."""
        return [name for name, at in sorted(self._numbers.items()) if min_area is None or self._areas[at] > min_area]

    def labels(self, name: str, table: LabelTable) -> NDArray[np.uint8]:
        """H x W train ids of a picture."""
        number = self._numbers[name]
        height, width = self._sizes[number]
        values, covers = np.zeros((width, height), np.uint16), np.zeros((width, height), np.uint8)
        mask = np.zeros((width, height), bool)
        for at in range(self._first[number], self._first[number + 1]):
            drawn = [runs.draw(self._turns(shape, name), mask) for shape in range(*self._spans[at])]
            columns = slice(min((d.start for d in drawn), default=0), max((d.stop for d in drawn), default=0))
            values[columns][mask[columns]] = self._kinds[at]
            covers[columns] = np.minimum(covers[columns], 1) + mask[columns]
            mask[columns] = False
        labels = table.apply(np.ascontiguousarray(values.T), f"{self.path} ({name})")
        labels[covers.T > 1] = IGNORE
        return labels

    def _turns(self, shape: int, name: str) -> NDArray[np.int64]:
        flat = np.frombuffer(self._shapes, np.int32)[self._starts[shape] : self._starts[shape + 1]]
        size = self._sizes[self._numbers[name]]
        if self._is_run[shape]:
            if tuple(flat[:2]) != size:
                raise SwathError(
                    f"{self.path}: picture {name} is {size[1]} x {size[0]} pixels, a mask in it {flat[1]} x {flat[0]}"
                )
            return runs.run_turns(flat[2:].astype(np.int64))
        if max(-int(flat.min()), int(flat.max())) > runs.STEPS * _FAR:
            raise SwathError(f"{self.path}: an outline in picture {name} goes more than {_FAR:,} pixels away")
        return runs.polygon_turns(flat, *size)

    def _add_picture(self, item: dict[str, Any]) -> int:
        name = str(PurePosixPath(item["file_name"]).with_suffix(""))
        if name in self._numbers:
            raise ValueError(f"the picture {name} stands there twice")
        height, width = int(item["height"]), int(item["width"])
        if not (0 < height <= _FAR and 0 < width <= _FAR):
            raise ValueError(f"a picture of {width} x {height} pixels")
        self._numbers[name] = len(self._sizes)
        self._sizes.append((height, width))
        return self._numbers[name]

    def _add_outlines(self, outline: Any) -> None:
        if isinstance(outline, dict):
            counts = outline["counts"]
            counts = np.array(runs.unpacked(counts) if isinstance(counts, str) else counts, np.int64)
            height, width = outline["size"]
            if (counts < 0).any() or counts.sum() != height * width:
                raise ValueError("run lengths that do not fill the picture")
            self._add_shape(np.array([height, width, *counts], np.int32), run=True)
            return
        for polygon in outline:
            if len(polygon) < 6 or len(polygon) % 2:
                raise ValueError("a polygon needs x and y of three corners or more")
            self._add_shape(runs.corners(polygon), run=False)

    def _add_shape(self, flat: NDArray[np.int32], run: bool) -> None:
        self._shapes.frombytes(flat.tobytes())
        self._starts.append(len(self._shapes))
        self._is_run.append(run)


def _elements(path: Path) -> Iterator[tuple[str, Any]]:
    """The pictures and instances of a file one by one: all of them at once would take ten times the file's size."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from _Pieces(file).elements()
    except ValueError as error:
        said = " ".join(str(error).split())[:160]
        raise SwathError(f"{path}: is not JSON, or cut off ({said}); copy or download it again") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error


class _Pieces:
    """A large JSON object, of which some megabytes are in memory at a time."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.text, self.at = file, "", 0
        self.decode = json.JSONDecoder().raw_decode

    def elements(self) -> Iterator[tuple[str, Any]]:
        """What the lists `images` and `annotations` hold."""
        self.take("{")
        while self.next() != "}":
            key = self.value()
            self.take(":")
            if key in ("images", "annotations") and self.next() == "[":
                self.take("[")
                while self.next() != "]":
                    yield key, self.value()
                    self.skip_comma()
                self.take("]")
            else:
                self.value()
            self.skip_comma()

    def value(self) -> Any:
        """The next value; one that goes on behind what was read is tried again with more."""
        self.next()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
            except ValueError:
                if not self.more():
                    raise
                continue
            if end < len(self.text) or not self.more():
                self.at = end
                return value

    def next(self) -> str:
        """The next letter that is no white space."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                raise ValueError("it ends too early")

    def take(self, letter: str) -> None:
        """Step over a letter that has to be there."""
        if self.next() != letter:
            raise ValueError(f"'{self.text[self.at]}' where '{letter}' should be")
        self.at += 1

    def skip_comma(self) -> None:
        """Step over a comma, if there is one."""
        if self.next() == ",":
            self.at += 1

    def more(self) -> bool:
        """Read on, and forget what is done."""
        piece = self.file.read(_PIECE)
        self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)
