"""Pictures side by side in one picture, with titles and a legend: for notebooks and documents."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from swath.errors import SwathError
from swath.report.strip import INK, PAPER, Class, legend_strip, shortened

Array = npt.NDArray[np.uint8]

_GAP = 8
_LINE = 26  # height of a line of text


def sheet(
    rows: Sequence[Sequence[Array]],
    titles: Sequence[str] = (),
    *,
    classes: Sequence[Class] = (),
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
    legend = legend_strip(classes, across)
    above = _LINE if titles else 0
    heights = [max(picture.shape[0] for picture in row) for row in scaled]
    page = Image.new("RGB", (across, _GAP + above + sum(heights) + _GAP * len(heights) + len(legend)), PAPER)
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (width + _GAP), _GAP), shortened(title, font, width), INK, font)
    top = _GAP + above
    for row, height in zip(scaled, heights):
        for column, picture in enumerate(row):
            page.paste(Image.fromarray(picture), (_GAP + column * (width + _GAP), top))
        top += height + _GAP
    if len(legend):
        page.paste(Image.fromarray(legend), (0, top))
    return page


def _scaled(picture: Array, width: int) -> Array:
    """Made smaller without aliasing, larger without blur: the pixels of a small picture are there to be seen."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise SwathError(f"a sheet takes uint8 RGB arrays, not {picture.dtype} {'x'.join(map(str, picture.shape))}")
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    how = cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)
