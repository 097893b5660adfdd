"""The names of classes beside their colors, as a strip of pixels to put below a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Array = npt.NDArray[np.uint8]
Class = tuple[str, tuple[int, int, int]]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

INK, PAPER = (32, 36, 44), (255, 255, 255)


def legend_strip(classes: Sequence[Class], width: int, letters: int = 15) -> Array:
    """White, `width` wide, as many lines as the names need in letters of that size; H x width x 3, RGB."""
    return _drawn(tuple(classes), width, letters)


@lru_cache(maxsize=4)  # the frames of a video have the same
def _drawn(classes: tuple[Class, ...], width: int, letters: int) -> Array:
    font = ImageFont.load_default(size=letters)
    line, gap = round(letters * 26 / 15), round(letters * 8 / 15)
    rows = _rows(classes, font, width, gap, letters)
    strip = Image.new("RGB", (width, len(rows) * line + (gap if rows else 0)), PAPER)
    draw = ImageDraw.Draw(strip)
    for number, row in enumerate(rows):
        top = number * line + (line - letters) / 2
        for left, text, color in row:
            draw.rounded_rectangle((left, top, left + letters, top + letters), letters / 5, color, (160, 160, 160))
            draw.text((left + 1.5 * letters, top + letters / 2), text, INK, font, anchor="lm")
    return np.asarray(strip, np.uint8)


def _rows(
    classes: tuple[Class, ...], font: Font, width: int, gap: int, letters: int
) -> list[list[tuple[float, str, tuple[int, int, int]]]]:
    """Broken into lines; a name that is longer than a line is shortened."""
    rows: list[list[tuple[float, str, tuple[int, int, int]]]] = []
    left = float(width)
    for name, color in classes:
        text = shortened(name, font, width - 2 * gap - 1.5 * letters)
        needed = 1.5 * letters + font.getlength(text)
        if not rows or left + needed > width - gap:
            rows.append([])
            left = gap
        rows[-1].append((left, text, color))
        left += needed + 1.2 * letters
    return rows


def shortened(text: str, font: Font, width: float) -> str:
    """As much of a text as fits, with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
