"""A split of a card, read from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card, Reading
from swath.data.images import image_size, is_turned, read_image, read_label_raw
from swath.data.pairs import NotHere, Pair, find_pairs, walk
from swath.errors import SwathError, nearest, unknown


class FolderSource:
    """The pictures of one split; nothing is decoded before it is asked for."""

    def __init__(self, card: Card, reading: Reading, root: Path, pairs: Sequence[Pair]) -> None:
        self.card = card
        self.reading = reading
        self.root = root
        self.pairs = tuple(pairs)

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
        pair = self.pairs[index]
        if pair.label is None:
            raise SwathError(
                f"split '{self.reading.split}' of card '{self.card.name}' has no labels: it can be predicted, "
                "but neither trained on nor evaluated"
            )
        table = self.reading.table
        raw = read_label_raw(pair.label, colors=table.by_color)
        size = self.size(index)
        if raw.shape[:2] != size:
            turned = ""
            if raw.shape[:2] == size[::-1] and is_turned(pair.image):
                turned = "; the picture's EXIF orientation turns it, its label was drawn on the unturned one"
            raise SwathError(
                f"{pair.label}: is {raw.shape[1]} x {raw.shape[0]} pixels, "
                f"but its picture {pair.image} is {size[1]} x {size[0]}{turned}"
            )
        return table.apply(raw, str(pair.label))

    def stray_labels(self) -> list[Path]:
        """Label files of this split that have no picture (only where the folders themselves are the list)."""
        reading = self.reading
        if reading.labels is None or reading.list_file is not None or reading.ids is not None or reading.excluding:
            return []
        if reading.percent != (0, 100):
            return []
        wanted = {pair.label for pair in self.pairs}
        return [path for path in walk(reading.labels, reading.folder, self.root).values() if path not in wanted]


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
        raise SwathError(f"{root}: split '{split}' of card '{card.name}' is not there; looked for {looked}")
    reading, pairs = found[0]
    _check_files(card, reading, pairs)
    return FolderSource(card, reading, root, pairs)


def _readings(card: Card, split: str, layout: str | None) -> list[Reading]:
    if layout is not None and layout not in card.layouts:
        raise unknown(f"layout of card '{card.name}'", layout, card.layouts)
    layouts = [card.layouts[layout]] if layout else list(card.layouts.values())
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
