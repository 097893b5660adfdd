"""What one label holds: pixels by value and class, what the card does not name, and how it came to be there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swath.cards.tables import IGNORE, UNKNOWN, LabelTable, pack, unpack

Array = NDArray[Any]

_TOLD = 8  # values without a name that are told of one label
_REACH = 11  # pixels: how wide a soft edge can be
_NEAR = 10  # steps that a lossy format takes most pixels from their color
_PHOTOGRAPH = 1000  # colors
# Share of the borders with a value between: at most 0.03 in the labels of CamVid, at least 0.23 once they were resized.
_SOFT = 0.12


@dataclass(frozen=True)
class Strange:
    """A value (or packed color) without a name: how often it occurs, and where first."""

    value: int
    pixels: int
    x: int
    y: int


@dataclass
class Mask:
    """What one label holds."""

    by_color: bool  # the file holds colors
    values: dict[int, int]  # pixels by raw value; of colors only those without a name
    pixels: NDArray[np.int64]  # by class
    ignored: int = 0
    strange: list[Strange] = field(default_factory=list)  # the most frequent ones
    unnamed: int = 0  # how many values have no name
    texture: str = ""  # soft, lossy or photograph: how the values without a name came to be there
    soft_edges: bool = False  # between classes lie pixels of classes with a number between theirs


def weigh(raw: Array, table: LabelTable, classes: int) -> Mask:
    """Count a label as the card reads it; where it cannot (colors for values), count what is there."""
    by_color = raw.ndim == 3
    if by_color and not table.by_color and bool((raw == raw[..., :1]).all()):
        by_color, raw = False, np.ascontiguousarray(raw[..., 0])
    if by_color:
        return _colors(raw, table, classes)
    return _values(raw, table, classes)


def _values(raw: Array, table: LabelTable, classes: int) -> Mask:
    counts = np.bincount(raw.ravel(), minlength=256)
    present = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    mask = Mask(False, present, np.zeros(classes, np.int64))
    unnamed: dict[int, int] = {}
    for value, pixels in present.items():
        train_id = UNKNOWN if table.by_color else table.ids.get(value // table.divide, UNKNOWN)
        if train_id == UNKNOWN:
            unnamed[value] = pixels
            train_id = table.others if table.others is not None and not table.by_color else UNKNOWN
        if train_id == IGNORE:
            mask.ignored += pixels
        elif train_id is not None and train_id != UNKNOWN:
            mask.pixels[train_id] += pixels
    mask.unnamed = len(unnamed)
    if unnamed and not table.by_color:
        hidden = np.isin(raw, np.fromiter(unnamed, np.int64))
        mask.strange = _first(raw, unnamed)
        named = np.array([[value] for value in present if value not in unnamed], np.int32).reshape(-1, 1)
        mask.texture = _texture(raw[..., None], hidden, len(unnamed), named)
    elif table.divide == 1 and len(present) > 2:
        mask.soft_edges = _between_classes(raw)
    return mask


def _colors(raw: Array, table: LabelTable, classes: int) -> Mask:
    known = LabelTable(table.ids if table.by_color else {}, by_color=True, others=UNKNOWN)
    ids = known.apply(raw)
    mask = Mask(True, {}, np.zeros(classes, np.int64))
    counts = np.bincount(ids.ravel(), minlength=256)
    mask.pixels += counts[:classes]
    mask.ignored = int(counts[IGNORE])
    hidden = ids == UNKNOWN
    if not hidden.any():
        return mask
    keys = raw[hidden].astype(np.int64) @ np.array([65536, 256, 1])
    values, pixels = np.unique(keys, return_counts=True)
    most = np.argsort(-pixels, kind="stable")[:_PHOTOGRAPH]
    mask.values = {int(values[i]): int(pixels[i]) for i in most}
    mask.unnamed = len(values)
    if table.by_color:
        if table.others == IGNORE:
            mask.ignored += int(pixels.sum())
        elif table.others is not None:
            mask.pixels[table.others] += int(pixels.sum())
        packed = raw.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        mask.strange = _first(packed, mask.values)
        named = np.array([unpack(key) for key in table.ids], np.int32).reshape(-1, 3)
        mask.texture = _texture(raw, hidden, mask.unnamed, named)
    elif mask.unnamed > _PHOTOGRAPH:
        mask.texture = "photograph"
    return mask


def _first(raw: Array, counts: dict[int, int]) -> list[Strange]:
    """The most frequent of the values, each with its first position."""
    most = sorted(counts, key=lambda value: (-counts[value], value))[:_TOLD]
    width = raw.shape[1]
    at = {value: int(np.argmax(raw.ravel() == value)) for value in most}
    return [Strange(value, counts[value], at[value] % width, at[value] // width) for value in most]


def _texture(raw: Array, hidden: NDArray[np.bool_], distinct: int, named: NDArray[np.int32]) -> str:
    """Why there are values without a name, told from where they stand and how near they are to others."""
    if distinct < 2:
        return ""
    if distinct >= 16 and len(named) and _mostly_near(raw[hidden], named):
        return "lossy"
    if distinct > _PHOTOGRAPH and hidden.mean() > 0.5:
        return "photograph"
    top, zero = raw.dtype.type(np.iinfo(raw.dtype).max), raw.dtype.type(0)
    kernel = np.ones((_REACH, _REACH), np.uint8)
    wide = hidden[..., None]
    low = cv2.erode(np.where(wide, top, raw), kernel).reshape(raw.shape)
    high = cv2.dilate(np.where(wide, zero, raw), kernel).reshape(raw.shape)
    inside = ((low <= raw) & (raw <= high)).all(axis=2)[hidden]
    differ = (low < high).any(axis=2)[hidden]
    return "soft" if (inside & differ).mean() > 0.97 else ""


def _mostly_near(strange: Array, named: NDArray[np.int32]) -> bool:
    """Whether most of these pixels are a named color but for a few steps."""
    some = strange[:: max(1, len(strange) // 2000)].astype(np.int32)
    distance = np.abs(some[:, None] - named[None]).max(axis=2).min(axis=1)
    return bool((distance <= _NEAR).mean() >= 0.5)


def _between_classes(raw: Array) -> bool:
    """Whether borders look resized with interpolation although every value has a name.

    Where the pixels left and right of one differ by two or more, a sharp border puts it on one of the two sides; a soft
    one puts it in between.
    """
    rows = raw[:: max(1, raw.shape[0] // 256)].astype(np.int32)
    left, middle, right = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    border = np.abs(left - right) >= 2
    between = border & (np.minimum(left, right) < middle) & (middle < np.maximum(left, right))
    borders = int(border.sum())
    return borders >= 50 and int(between.sum()) > _SOFT * borders


def wrong_palette(
    path: Path, mask: Mask, table: LabelTable, colors: list[tuple[int, int, int]]
) -> tuple[int, int, int] | None:
    """Of a palette file read by index: a value, its class by the card, and the class that its color belongs to."""
    with Image.open(path) as picture:
        flat = picture.getpalette() if picture.mode == "P" else None
    if not flat or len(set(colors)) < len(colors):
        return None
    classes = {color: index for index, color in enumerate(colors)}
    other: tuple[int, int, int] | None = None
    for value in mask.values:
        meant = table.ids.get(value // table.divide, IGNORE)
        shown = classes.get(tuple(flat[3 * value : 3 * value + 3]))  # type: ignore[arg-type]
        if meant == IGNORE:
            continue
        if shown is None:  # a palette of its own, which says nothing
            return None
        if shown != meant and other is None:
            other = value, meant, shown
    return other


def color_words(packed: int) -> str:
    """A color as people and cards write it."""
    red, green, blue = unpack(packed)
    return f"({red}, {green}, {blue})"


def swapped(packed: int) -> int:
    """The color with red and blue swapped, as an OpenCV program that forgot its own order writes it."""
    red, green, blue = unpack(packed)
    return pack((blue, green, red))
