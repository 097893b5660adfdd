"""Pictures side by side in one picture, with titles and a legend: for notebooks and documents."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from swath.errors import SwathError

Array = npt.NDArray[np.uint8]

_GAP = 8
_LINE = 26  # height of a line of text
_INK, _PAPER = (32, 36, 44), (255, 255, 255)


def sheet(
    rows: Sequence[Sequence[Array]],
    titles: Sequence[str] = (),
    *,
    classes: Sequence[tuple[str, tuple[int, int, int]]] = (),
    width: int = 320,
) -> Image.Image:
    """Rows of RGB pictures, each `width` wide; `titles` stand above the columns, `classes` (names and colors) below.

    A row is as high as its highest picture. Notebooks show what comes out; `.save("sheet.jpg")` keeps it.
    """
    count = max((len(row) for row in rows), default=0)
    if not count or (titles and len(titles) != count):
        raise SwathError(f"a sheet needs pictures, and as many titles ({len(titles)}) as columns ({count}), or none")
    scaled = [[_scaled(picture, width) for picture in row] for row in rows]
    font = ImageFont.load_default(size=15)
    across = count * (width + _GAP) + _GAP
    entries = _lines(classes, font, across - 2 * _GAP)
    above = _LINE if titles else 0
    heights = [max(picture.shape[0] for picture in row) for row in scaled]
    below = len(entries) * _LINE + (_GAP if entries else 0)
    page = Image.new("RGB", (across, _GAP + above + sum(heights) + _GAP * len(heights) + below), _PAPER)
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (width + _GAP), _GAP), _shortened(title, font, width), _INK, font)
    top = _GAP + above
    for row, height in zip(scaled, heights):
        for column, picture in enumerate(row):
            page.paste(Image.fromarray(picture), (_GAP + column * (width + _GAP), top))
        top += height + _GAP
    for line in entries:
        for left, name, color in line:
            draw.rounded_rectangle((left, top + 4, left + 15, top + 19), 3, color, (160, 160, 160))
            draw.text((left + 22, top + 2), name, _INK, font)
        top += _LINE
    return page


def _scaled(picture: Array, width: int) -> Array:
    """Made smaller without aliasing, larger without blur: the pixels of a small picture are there to be seen."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise SwathError(f"a sheet takes uint8 RGB arrays, not {picture.dtype} {'x'.join(map(str, picture.shape))}")
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    how = cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Entry = tuple[float, str, tuple[int, int, int]]  # where it begins, a name and a color


def _lines(classes: Sequence[tuple[str, tuple[int, int, int]]], font: _Font, width: float) -> list[list[_Entry]]:
    """The legend, broken into lines."""
    lines: list[list[_Entry]] = []
    left = width
    for name, color in classes:
        needed = 22 + font.getlength(name) + 18
        if not lines or left + needed > _GAP + width:
            lines.append([])
            left = _GAP
        lines[-1].append((left, name, color))
        left += needed
    return lines


def _shortened(text: str, font: _Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
