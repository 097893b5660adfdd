"""Finding a split's pictures and their labels, by the patterns and lists of its card."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from swath.cards.card import Card, Reading
from swath.data.lists import Row, read_list
from swath.errors import SwathError

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class NotHere(SwathError):
    """A folder, a list or a picture of this layout does not exist: another layout may fit."""


@dataclass(frozen=True)
class Pair:
    """A picture and its label; `name` is the id that both share."""

    name: str
    image: Path
    label: Path | None
    maps: Mapping[str, Path] = field(default_factory=dict)  # those that a list names


def find_pairs(card: Card, reading: Reading, root: Path) -> list[Pair]:
    """All pairs of a split, in a fixed order; whether the labels exist is not looked at."""
    if reading.list_file is not None:
        pairs = _listed(reading, root)
    elif reading.coco is not None:
        from swath.data.coco import read_annotations

        names = read_annotations(reading, root).names(reading.min_area)
        pairs = [Pair(name, _image_path(reading, root, name), None) for name in names]
    elif reading.ids is not None:
        assert reading.images is not None
        pairs = [Pair(name, _image_path(reading, root, name), _label_path(reading, root, name)) for name in reading.ids]
    else:
        others = [card.layouts[reading.layout][other] for other in reading.excluding]
        left_out = {pair.name for other in others for pair in find_pairs(card, other, root)}
        found = walk(reading.images or "", reading.folder, root)
        pairs = [Pair(name, path, _label_path(reading, root, name)) for name, path in found.items()]
        labels = {pair.label for pair in pairs}  # where labels lie beside the pictures, `1_mask.png` fits `{id}.png`
        pairs = [pair for pair in pairs if pair.name not in left_out and pair.image not in labels]
    low, high = reading.percent
    if (low, high) != (0, 100):
        pairs = [pair for pair in pairs if low <= percent_of(pair.name) < high]
    if not pairs:
        what = reading.list_file or (reading.images or "").replace("{split}", reading.folder)
        raise NotHere(f"{root}: no pictures in split '{reading.split}'; looked for {what} ({reading.where})")
    if not pairs[0].image.exists():
        raise NotHere(f"{pairs[0].image}: there is no such picture; see {reading.where}")
    return pairs


def walk(pattern: str, folder: str, root: Path) -> dict[str, Path]:
    """Files below root that fit a pattern, by id and in their order; `.*` at its end is any picture's suffix."""
    text = pattern.replace("{split}", folder)
    before, after = text.split("{id}")
    top = root / before[: before.rfind("/") + 1]
    if not top.is_dir():
        raise NotHere(f"{top}: there is no such folder")
    if after.endswith(".*"):
        ending = re.escape(after[:-2]) + "(?:" + "|".join(map(re.escape, PICTURES)) + ")"
        fits = re.compile(re.escape(before) + "(?P<id>.+)" + ending, re.IGNORECASE)
    else:
        fits = re.compile(re.escape(before) + "(?P<id>.+)" + re.escape(after))
    found: dict[str, Path] = {}
    start = before[: before.rfind("/") + 1]
    for path in files_below(top):
        match = fits.fullmatch(start + path.relative_to(top).as_posix())
        if not match:
            continue
        if match["id"] in found:
            raise SwathError(f"{path}: has the id '{match['id']}', as has {found[match['id']]}; remove one of them")
        found[match["id"]] = path
    return dict(sorted(found.items()))


def files_below(top: Path) -> Iterator[Path]:
    """Files below a folder, hidden ones left out; linked folders are followed, but none twice."""
    seen: set[str] = set()
    for folder, inner, names in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _image_path(reading: Reading, root: Path, name: str) -> Path:
    return fill(reading.images or "", reading.folder, root, name)


def _label_path(reading: Reading, root: Path, name: str) -> Path | None:
    return None if reading.labels is None else fill(reading.labels, reading.folder, root, name)


def fill(pattern: str, folder: str, root: Path, name: str) -> Path:
    """The file that a pattern stands for; where it ends in `.*`, the one that is there."""
    path = root / pattern.replace("{split}", folder).replace("{id}", name)
    if not pattern.endswith(".*"):
        return path
    there = [path.with_suffix(ending) for suffix in PICTURES for ending in (suffix, suffix.upper())]
    return next((candidate for candidate in there if candidate.exists()), path)


def percent_of(name: str) -> float:
    """Where a name falls between 0 and 100: the same on every machine, and for every set of other files."""
    return (zlib.crc32(name.encode()) & 0xFFFFFFFF) / 2**32 * 100


def _listed(reading: Reading, root: Path) -> list[Pair]:
    """Pairs of a list file, one a line."""
    path = root / (reading.list_file or "").replace("{split}", reading.folder)
    if not path.is_file():
        raise NotHere(f"{path}: there is no such list; see {reading.where}")
    rows = read_list(path, reading.list_line or "{id}", reading.list_prefix, root, reading.where)
    return [_pair(row, reading, root) for row in rows]


def _pair(row: Row, reading: Reading, root: Path) -> Pair:
    name, files = row.name, row.files
    if name is not None and (name.startswith("/") or ".." in PurePosixPath(name).parts):
        raise SwathError(f"{row.where}: the id '{name}' must stay within the dataset's folder")
    image = files["image"] if "image" in files else _image_path(reading, root, name or "")
    if name is None:
        name = _name_of(image, reading, root)
    label = files["label"] if "label" in files else _label_path(reading, root, name)
    maps = {column: file for column, file in files.items() if column not in ("image", "label")}
    return Pair(name, image, label if reading.labelled else None, maps)


def _name_of(image: Path, reading: Reading, root: Path) -> str:
    """The id of a picture that a list gives by its path."""
    inside = image.relative_to(root) if image.is_relative_to(root) else image.relative_to(image.anchor)
    text = "/".join(part for part in inside.parts if part != "..")
    if reading.images is not None:
        before, after = reading.images.replace("{split}", reading.folder).split("{id}")
        ending = re.escape(after[:-2]) + r"\.\w+" if after.endswith(".*") else re.escape(after)
        match = re.fullmatch(re.escape(before) + "(?P<id>.+)" + ending, text)
        if match:
            return match["id"]
    return str(PurePosixPath(text).with_suffix(""))
