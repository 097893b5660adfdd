"""What a card says once it has been read: classes, splits, and how to open one of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.cards.tables import IGNORE, LabelTable
from swath.errors import SwathError, unknown

if TYPE_CHECKING:
    from swath.data.companions import Companion
    from swath.data.source import Source

# What other toolkits call the same thing; only for asking, never for folders.
SPLIT_WORDS = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
    "trainextra": "train_extra",
    "trainval": "train+val",
}


@dataclass(frozen=True)
class ClassInfo:
    """One class: its name, the color it is drawn in, and the group it belongs to ("" where there are none)."""

    name: str
    color: tuple[int, int, int]
    category: str = ""


@dataclass(frozen=True)
class Reading:
    """How one split of one layout is found and read; patterns hold {split} and {id}."""

    layout: str
    split: str
    folder: str  # what {split} stands for
    images: str | None
    labels: str | None
    labelled: bool  # False: there are no labels; True and no pattern: a list names them
    table: LabelTable
    where: str  # file and line of the card, for complaints
    list_file: str | None = None
    list_line: str | None = None
    list_prefix: str = ""
    ids: tuple[str, ...] | None = None
    excluding: tuple[str, ...] = ()
    percent: tuple[int, int] = (0, 100)
    instances: str | None = None
    mat: str | None = None  # the variable of a MATLAB file that holds the labels
    coco: str | None = None  # a JSON file of COCO's form, whose instances are drawn as labels
    min_area: int | None = None  # of COCO's pictures, only those whose instances together have more pixels
    maps: tuple[Companion, ...] = ()

    def files(self) -> str:
        """What is looked for, in words."""
        parts = [self.list_file, self.images, self.labels, self.coco]
        return " and ".join(part.replace("{split}", self.folder) for part in parts if part)


@dataclass(frozen=True)
class SplitInfo:
    """A split: its other names, how many pictures it should have (0: unknown), their size where they are made."""

    name: str
    aliases: tuple[str, ...] = ()
    count: int = 0
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Card:
    """A dataset: its classes and how its pictures and labels are found, for each split."""

    name: str
    title: str
    aliases: tuple[str, ...]
    classes: tuple[ClassInfo, ...]
    split_infos: tuple[SplitInfo, ...]
    layouts: dict[str, dict[str, Reading]]  # layout -> split -> reading
    file: Path
    builtin: bool = False
    root: Path | None = None
    layout: str | None = None  # one, or several words: the first of them that fits
    inside: tuple[str, ...] = ()  # folders of the archive that may still stand around the dataset's own
    generator: str | None = None
    ignore_index: int = IGNORE

    @property
    def num_classes(self) -> int:
        """How many classes there are; ignored pixels are none."""
        return len(self.classes)

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the train ids."""
        return [info.name for info in self.classes]

    @property
    def colors(self) -> list[tuple[int, int, int]]:
        """Colors in the order of the train ids."""
        return [info.color for info in self.classes]

    @property
    def categories(self) -> list[str]:
        """The groups of classes, in order; empty where the card has none."""
        return list(dict.fromkeys(info.category for info in self.classes if info.category))

    @property
    def splits(self) -> list[str]:
        """The names of the splits."""
        return [info.name for info in self.split_infos]

    def palette(self) -> NDArray[np.uint8]:
        """256 x 3 colors by train id; what is ignored, and ids of no class, are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.classes)] = self.colors
        return table

    def open(self, split: str, root: str | Path | None = None, *, layout: str | None = None, **options: Any) -> Source:
        """The pictures of a split (`train`, or several joined: `train+val`).

        `root` is the dataset's folder, one that `swath pack` wrote, or shards (a folder or a URL); without it the
        card's own `root` counts, then $SWATH_DATA/NAME, then the folder that the card lies in. `layout` chooses where
        several fit. A generator takes options (count, size, seed), and needs no root.
        """
        names = [self.split_info(part).name for word in split.split("+") for part in self._expand(word.strip())]
        if len(set(names)) < len(names):
            raise SwathError(f"split '{split}' of card '{self.name}' names a split twice")
        if options and not self.generator:
            raise SwathError(
                f"card '{self.name}' reads files and takes no '{next(iter(options))}' (that is for a card that draws "
                "its pictures); where a recipe says it: --data.train_options '{}' --data.val_options '{}'"
            )
        parts = [self._open_one(name, root, layout or self.layout, options) for name in names]
        if len(parts) == 1:
            return parts[0]
        from swath.data.source import Joined

        return Joined(self, parts)

    def split_info(self, name: str) -> SplitInfo:
        """The split of that name or alias."""
        for info in self.split_infos:
            if name == info.name or name in info.aliases or SPLIT_WORDS.get(name) == info.name:
                return info
        raise unknown(f"split of card '{self.name}'", name, self.splits)

    def find_root(self, root: str | Path | None = None) -> Path:
        """The dataset's folder."""
        environment = os.environ.get("SWATH_DATA")
        if root is not None:
            folder = Path(root).expanduser()
        elif self.root is not None:
            folder = self.root
        elif environment and (Path(environment).expanduser() / self.name).is_dir():
            folder = Path(environment).expanduser() / self.name
        elif not self.builtin:
            folder = self.file.parent
        else:
            tried = f"; {Path(environment) / self.name} is no folder" if environment else ""
            raise SwathError(
                f"card '{self.name}' does not know where its pictures are{tried}: give their folder as root, "
                f"or set the environment variable SWATH_DATA to the folder that holds '{self.name}'"
            )
        if not folder.is_dir():
            raise SwathError(f"{folder}: is no folder; it should hold the pictures of card '{self.name}'")
        return next((folder / inner for inner in self.inside if (folder / inner).is_dir()), folder)

    def _expand(self, word: str) -> list[str]:
        """`trainval` means `train+val`, unless the card has a split of that name."""
        declared = any(word == info.name or word in info.aliases for info in self.split_infos)
        return [word] if declared else SPLIT_WORDS.get(word, word).split("+")

    def _open_one(self, split: str, root: str | Path | None, layout: str | None, options: dict[str, Any]) -> Source:
        """Packed, from shards, drawn or from files: by what lies at the root."""
        drawn = self._generate(split, options) if self.generator else None
        if drawn is not None and root is None:
            return drawn
        if isinstance(root, str) and "://" in root:
            from swath.data.shards import open_shards

            return open_shards(self, split, root)
        folder = self.find_root(root)
        for place in (folder, folder / split):
            if (place / "pack.json").is_file():
                from swath.data.packed import open_packed

                return open_packed(self, split, place, layout, drawn)
            if (place / "shards.json").is_file():
                from swath.data.shards import open_shards

                return open_shards(self, split, place)
        if drawn is not None:
            raise SwathError(f"{folder}: holds no packed pictures; card '{self.name}' draws its own, and needs no root")
        from swath.data.folder import open_folder

        return open_folder(self, split, folder, layout)

    def _generate(self, split: str, options: dict[str, Any]) -> Source:
        from swath.data.streets import Streets

        info = self.split_info(split)
        settings: dict[str, Any] = {key: value for key, value in (("count", info.count), ("size", info.size)) if value}
        for key, value in options.items():
            if key not in ("count", "size", "seed"):
                raise unknown(f"option of card '{self.name}'", key, ("count", "size", "seed"))
            settings[key] = value
        return Streets(self, split, **settings)
