"""A split of a card, read from files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card, Reading
from swath.data.companions import Companion, read_companion
from swath.data.images import image_size, is_turned, read_image, read_label_raw
from swath.data.pairs import NotHere, Pair, fill, find_pairs, walk
from swath.data.partial import cut_files
from swath.errors import SwathError, nearest, unknown


class FolderSource:
    """The pictures of one split; nothing is decoded before it is asked for."""

    def __init__(self, card: Card, reading: Reading, root: Path, pairs: Sequence[Pair]) -> None:
        self.card = card
        self.reading = reading
        self.root = root
        self.pairs = tuple(pairs)
        self._annotations = None
        if reading.coco is not None:
            from swath.data.coco import read_annotations

            self._annotations = read_annotations(reading, root)

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        """The picture's relative id."""
        return self.pairs[index].name

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        return read_image(self.pairs[index].image)

    def size(self, index: int) -> tuple[int, int]:
        """(height, width), from the picture's header."""
        return image_size(self.pairs[index].image)

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids; of the size of the picture, or it is an error."""
        pair, table = self.pairs[index], self.reading.table
        size = self.size(index)
        if self._annotations is not None:
            labels = self._annotations.labels(pair.name, table)
            self._check_size(labels, size, f"{self._annotations.path}: picture {pair.name}", pair)
            return labels
        if pair.label is None:
            raise SwathError(
                f"split '{self.reading.split}' of card '{self.card.name}' has no labels: it can be predicted, "
                "but neither trained on nor evaluated"
            )
        if self.reading.mat is not None:
            from swath.data.matlab import read_mat

            raw: NDArray[Any] = read_mat(pair.label, self.reading.mat)
        else:
            raw = read_label_raw(pair.label, colors=table.by_color)
        self._check_size(raw, size, str(pair.label), pair)
        return table.apply(raw, str(pair.label))

    @property
    def maps(self) -> dict[str, int]:
        """Names of the maps that the card knows here, with their channels; their files are looked for when asked."""
        named = {name for pair in self.pairs for name in pair.maps}
        return {info.name: info.channels for info in self.reading.maps if info.files is not None or info.name in named}

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of them, of the picture's size: H x W, or H x W x channels where there are several."""
        infos = {info.name: info for info in self.reading.maps}
        if name not in infos:
            raise unknown(f"map of card '{self.card.name}'", name, list(self.maps))
        info, pair, size = infos[name], self.pairs[index], self.size(index)
        path = self.map_file(index, name)
        if path is None:
            return info.absent(size)
        camera = getattr(info, "camera", None)
        camera = camera and fill(camera, self.reading.folder, self.root, pair.name)
        return read_companion(info, path, camera, pair.image, size)

    def map_file(self, index: int, name: str) -> Path | None:
        """The file that holds a map; None for a picture whose line of the list lacks it."""
        info = next(info for info in self.reading.maps if info.name == name)
        return self._companion(info, self.pairs[index])

    def instances(self, index: int) -> NDArray[np.int32]:
        """H x W instance numbers, as Cityscapes' instanceIds hold them: `label id * 1000 + number`, or a label id."""
        pair = self.pairs[index]
        if self.reading.instances is None:
            raise SwathError(f"card '{self.card.name}' names no files of instances; write 'instances: …' in it")
        path = fill(self.reading.instances, self.reading.folder, self.root, pair.name)
        raw = read_label_raw(path)
        self._check_size(raw, self.size(index), str(path), pair)
        if raw.ndim != 2:
            raise SwathError(f"{path}: holds colors; instances are one channel of 16 bits")
        return raw.astype(np.int32)

    def _companion(self, info: Companion, pair: Pair) -> Path | None:
        """A map's file: by the list, or by the card's pattern, in which * stands for anything."""
        if info.files is None or info.name in pair.maps:
            return pair.maps.get(info.name)
        text = info.files.replace("{split}", self.reading.folder)
        if "*" not in text:
            return self.root / text.replace("{id}", pair.name)
        pattern = text.replace("{id}", escape(pair.name))
        found = sorted(self.root.glob(pattern))
        if len(found) != 1:
            some = f"{len(found)} files fit, {found[0].name} the first" if found else "no file fits"
            raise SwathError(f"{self.root / pattern}: {some}; {info.name} of {pair.image} needs one; see {info.where}")
        return found[0]

    @staticmethod
    def _check_size(array: NDArray[Any], size: tuple[int, int], what: str, pair: Pair) -> None:
        """Refuse what is not of the picture's size."""
        if array.shape[:2] == size:
            return
        turned = ""
        if array.shape[:2] == size[::-1] and is_turned(pair.image):
            turned = "; the picture's EXIF orientation turns it, its label was drawn on the unturned one"
        raise SwathError(
            f"{what}: is {array.shape[1]} x {array.shape[0]} pixels, "
            f"but its picture {pair.image} is {size[1]} x {size[0]}{turned}"
        )

    def stray_labels(self) -> list[Path]:
        """Label files of this split that have no picture (only where the folders themselves are the list)."""
        reading = self.reading
        if reading.labels is None or reading.list_file is not None or reading.ids is not None or reading.excluding:
            return []
        if reading.percent != (0, 100):
            return []
        wanted = {pair.label for pair in self.pairs}
        return [path for path in walk(reading.labels, reading.folder, self.root).values() if path not in wanted]

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Rows and columns of what is named; what stands below them is not decoded."""
        return cut_files(self, index, rows, columns, names)


def open_folder(card: Card, split: str, root: Path, layout: str | None) -> FolderSource:
    """The split in the layout whose files lie under root; every picture has its label, or it is an error."""
    readings = _readings(card, split, layout)
    found: list[tuple[Reading, list[Pair]]] = []
    missing: list[tuple[Reading, NotHere]] = []
    for reading in readings:
        try:
            pairs = find_pairs(card, reading, root)
        except NotHere as error:
            missing.append((reading, error))
        else:
            found.append((reading, pairs))
    if len(found) > 1:
        labelled = [(reading, pairs) for reading, pairs in found if pairs[0].label is None or pairs[0].label.exists()]
        found = labelled or found[:1]
    if layout and len(layout.split()) > 1:  # in the order of preference
        found = found[:1]
    if len({frozenset((pair.image, pair.label) for pair in pairs) for _, pairs in found}) == 1:
        found = found[:1]  # several ways to the same files
    if len(found) > 1:
        names = ", ".join(reading.layout for reading, _ in found)
        raise SwathError(
            f"{root}: fits {len(found)} layouts of card '{card.name}' ({names}); say which one is meant: "
            f"open(…, layout='{found[0][0].layout}'), or 'layout: {found[0][0].layout}' in a card of your own that "
            f"'extends: {card.name}'"
        )
    if not found:
        if len(missing) == 1:
            raise missing[0][1]
        looked = "; ".join(f"{reading.layout}: {reading.files()}" for reading, _ in missing)
        raise NotHere(f"{root}: split '{split}' of card '{card.name}' is not there; looked for {looked}")
    reading, pairs = found[0]
    _check_files(card, reading, pairs)
    return FolderSource(card, reading, root, pairs)


def _readings(card: Card, split: str, layout: str | None) -> list[Reading]:
    names = layout.split() if layout else list(card.layouts)
    for name in names:
        if name not in card.layouts:
            raise unknown(f"layout of card '{card.name}'", name, card.layouts)
    layouts = [card.layouts[name] for name in names]
    readings = [readings[split] for readings in layouts if split in readings]
    if not readings:
        raise SwathError(f"layout '{layout}' of card '{card.name}' has no split '{split}'")
    return readings


def _check_files(card: Card, reading: Reading, pairs: list[Pair]) -> None:
    """Name the first missing file, and how many there are."""
    for what, paths in (
        ("picture", [(pair, pair.image) for pair in pairs]),
        ("label", [(pair, pair.label) for pair in pairs if pair.label is not None]),
    ):
        gone = [(pair, path) for pair, path in paths if not path.is_file()]
        if not gone:
            continue
        pair, path = gone[0]
        of_picture = f" of {pair.image}" if what == "label" else ""
        raise SwathError(
            f"{path}: there is no such {what}{of_picture} ({len(gone)} of {len(paths)} are missing)"
            f"{_similar(path)}; see {reading.where}"
        )


def _similar(path: Path) -> str:
    """The file that was probably meant."""
    names = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
    if not names:
        return f"; the folder {path.parent} " + ("is empty" if path.parent.is_dir() else "does not exist")
    guess = nearest(path.name, names)
    return f"; the nearest name there is {guess}" if guess else ""
