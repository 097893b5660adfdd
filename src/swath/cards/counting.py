"""Counting what labels hold: which values or colors, in how many pixels and files."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from swath.cards.tables import pack, unpack
from swath.data.images import image_size, read_label_raw
from swath.errors import SwathError

MOST_COLORS = 1000


@dataclass
class Counts:
    """Pixels by value, or by packed color where the labels are colored."""

    by_color: bool = False
    pixels: Counter[int] = field(default_factory=Counter)
    palette: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All pixels."""
        return self.pixels.total()


def count_labels(pairs: Iterable[tuple[Path, Path]]) -> Counts:
    """Read every label; sizes that differ from the picture's, and photographs, are refused."""
    counts = Counts()
    first: Path | None = None
    for image, label in pairs:
        raw = read_label_raw(label)
        height, width = image_size(image)
        if raw.shape[:2] != (height, width):
            raise SwathError(
                f"{label}: is {raw.shape[1]} x {raw.shape[0]} pixels, but its picture {image} is {width} x {height}"
            )
        grey = raw.ndim == 2 or bool((raw == raw[..., :1]).all())
        if first is None:
            counts.by_color, first = not grey, label
            if raw.ndim == 2:
                counts.palette = _palette(label)
        if counts.by_color:
            raw = read_label_raw(label, colors=True).astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        elif not grey:
            raise SwathError(f"{label}: holds colors, but {first} holds values; labels of one dataset must be alike")
        values, pixels = np.unique(raw if raw.ndim == 2 else raw[..., 0], return_counts=True)
        counts.pixels.update(dict(zip(values.tolist(), pixels.tolist())))
        if len(counts.pixels) > MOST_COLORS:
            what = "colors" if counts.by_color else "values"
            raise SwathError(
                f"{label}: the labels hold more than {MOST_COLORS} {what} up to here; they are photographs, "
                "instance numbers or drawn with soft edges, not classes"
            )
    return counts


def _palette(label: Path) -> list[tuple[int, int, int]]:
    with Image.open(label) as picture:
        flat = picture.getpalette() if picture.mode == "P" else None
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)] if flat else []


def read_names(root: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Class names that lie beside the data: by value (codes.txt, classes.txt) and by color (class_dict.csv, …)."""
    by_value: dict[int, str] = {}
    by_color: dict[int, str] = {}
    for name in ("codes.txt", "classes.txt", "class_names.txt", "labels.txt"):
        if (root / name).is_file() and not by_value:
            lines = _text(root / name).splitlines()
            by_value = {index: line.strip() for index, line in enumerate(lines) if line.strip()}
    if (root / "class_dict.csv").is_file():
        for row in csv.reader(_text(root / "class_dict.csv").splitlines()):
            if len(row) >= 4 and all(re.fullmatch(r"\s*\d{1,3}\s*", cell) for cell in row[1:4]):
                by_color[pack((int(row[1]), int(row[2]), int(row[3])))] = row[0].strip()
    if (root / "label_colors.txt").is_file():
        for line in _text(root / "label_colors.txt").splitlines():
            match = re.fullmatch(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(.*\S)\s*", line)
            if match:
                by_color[pack((int(match[1]), int(match[2]), int(match[3])))] = match[4]
    return by_value, by_color


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig", errors="replace")


def shown(counts: Counts, key: int) -> str:
    """A value or color as a card writes it."""
    return " ".join(map(str, unpack(key))) if counts.by_color else str(key)
