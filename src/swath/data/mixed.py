"""Pictures that others made, such as a generator's, among those of a training split; never in a validation."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from swath.data.images import image_size, read_image
from swath.data.pairs import PICTURES
from swath.data.source import Joined, Source, read_parts, read_window, supplied
from swath.data.windows import resize_image
from swath.errors import SwathError


class Repainted:
    """New pictures for label maps of a source: everything but the picture is the source's."""

    def __init__(self, source: Source, files: Sequence[tuple[Path, int]]):
        self.card = source.card
        self.source = source
        self.files = list(files)  # each with the index of the picture whose labels it has

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The file's, without its ending, and whose labels these are."""
        path, of = self.files[index]
        return f"{path.stem} (labels: {self.source.name(of)})"

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3; a picture smaller or larger than its labels at their size."""
        return resize_image(read_image(self.files[index][0]), self.size(index))

    def labels(self, index: int) -> NDArray[np.uint8]:
        """Those of the picture that it is called after."""
        return self.source.labels(self.files[index][1])

    def size(self, index: int) -> tuple[int, int]:
        """That of the labels."""
        return self.source.size(self.files[index][1])

    @property
    def maps(self) -> Mapping[str, int]:
        """Those of the source: a scene painted anew has the same depth."""
        return supplied(self.source)

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of the maps."""
        return np.asarray(read_parts(self.source, self.files[index][1], [name])[name])

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Rows and columns of what is named."""
        wanted = set(names)
        parts = read_window(self.source, self.files[index][1], rows, columns, sorted(wanted - {"image"}))
        if "image" in wanted:
            parts["image"] = self.image(index)[rows, columns]
        return parts


class Mixed(Joined):
    """A training split with others' pictures: it is as long as the split, but an epoch shows some of the others in
    place of as many of its own. Indices from its length on are theirs."""

    def __init__(self, own: Source, others: Sequence[Source], shares: Sequence[float]):
        super().__init__(own.card, [own, *others])
        self.own, self.others, self.shares = own, tuple(others), tuple(shares)

    def __len__(self) -> int:
        return len(self.own)

    def _find(self, index: int) -> tuple[Source, int]:
        if not 0 <= index < self._ends[-1]:
            raise IndexError(f"index {index} of {self._ends[-1]} pictures")
        part = bisect_right(self._ends, index)
        return self.parts[part], index - (self._ends[part - 1] if part else 0)

    def mix(self, order: Sequence[int], generator: torch.Generator) -> list[int]:
        """The order of an epoch with others' pictures at random places: exactly their shares of it, each picture as
        often as every other of its source, by one at most."""
        mixed = list(order)
        places = torch.randperm(len(mixed), generator=generator).tolist()
        begin = len(self.own)
        for other, share in zip(self.others, self.shares):
            count = round(share * len(mixed))
            rounds = -(-count // len(other))
            drawn = [torch.randperm(len(other), generator=generator) for _ in range(rounds)]
            for place, index in zip(places[:count], torch.cat(drawn).tolist() if drawn else []):
                mixed[place] = begin + index
            places = places[count:]
            begin += len(other)
        return mixed

    def listing(self) -> list[tuple[str, str]]:
        """What came from where: each picture of others, and the file or dataset it is from."""
        rows = []
        for other in self.others:
            for index in range(len(other)):
                where = str(other.files[index][0]) if isinstance(other, Repainted) else f"card {other.card.name}"
                rows.append((other.name(index), where))
        return rows


def repaint(source: Source, folder: str | Path) -> Repainted:
    """The pictures of a folder (and of those in it), each with the labels of the picture of `source` whose name its own
    begins with: aachen_000000_000019_leftImg8bit_synthesized_image.jpg belongs to aachen/aachen_000000_000019."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise SwathError(f"{folder}: is no folder; it should hold the pictures that are to be mixed in")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    if not files:
        raise SwathError(f"{folder}: holds no picture; give the folder that the generator wrote")
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for index in range(len(source)):
        by_name[source.name(index).rpartition("/")[2]].append(index)
    found = []
    for path in files:
        index = _partner(path, folder, by_name, source)
        (height, width), (wanted_height, wanted_width) = image_size(path), source.size(index)
        if abs(height * wanted_width - width * wanted_height) > 0.01 * height * wanted_width:
            raise SwathError(
                f"{path}: is {width} x {height}, of another shape than its labels ({source.name(index)}, "
                f"{wanted_width} x {wanted_height}); the generator's pictures must show the whole label map"
            )
        found.append((path, index))
    return Repainted(source, found)


def _partner(path: Path, folder: Path, by_name: Mapping[str, Sequence[int]], source: Source) -> int:
    """The picture that a file is called after: the longest name that it begins with, up to a sign between words."""
    ends = [len(path.stem), *(match.start() for match in re.finditer(r"[^0-9A-Za-z]", path.stem))]
    for end in sorted(ends, reverse=True):
        indices = by_name.get(path.stem[:end], ())
        if len(indices) > 1:  # the same name in several folders
            inside = path.relative_to(folder).with_name(path.stem[:end]).as_posix()
            indices = [index for index in indices if f"/{source.name(index)}".endswith(f"/{inside}")]
        if len(indices) == 1:
            return indices[0]
        if indices or path.stem[:end] in by_name:
            names = " and ".join(source.name(index) for index in by_name[path.stem[:end]][:3])
            raise SwathError(f"{path}: could belong to {names}; put it into a folder of the same name as the picture's")
    raise SwathError(
        f"{path}: is called after no picture of the training split (such as {source.name(0)}); keep the names of the "
        "label maps that the pictures are made from, and make none from the validation's"
    )
