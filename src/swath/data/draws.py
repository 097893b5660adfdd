"""What a window can draw beside its place: scales of both axes, parts of the picture's area, turns, blur.

All of it is off by default, and draws nothing then: windows without it are the same as ever.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from swath.data.windows import Place, WindowSpec

TRIES = 10  # of a part of the area that fits, of a window that shows enough classes


def between(ends: tuple[float, float], drawn: float, log: bool) -> float:
    """The number at a place from 0 to 1 between two others; by their logarithms, it is as often half as double."""
    low, high = ends
    return math.exp(math.log(low) + drawn * math.log(high / low)) if log else low + drawn * (high - low)


def scales(height: int, width: int, spec: WindowSpec, scale: float, rng: np.random.Generator) -> tuple[float, float]:
    """How many times larger a picture is shown, down and across; `scale` is what was drawn from `spec.scale`."""
    across = between(spec.scale, rng.random(), spec.scale_log) if spec.scale_axes else scale
    if spec.scale_often < 1 and rng.random() >= spec.scale_often:
        scale = across = 1.0
    if spec.resize is not None:
        return scale * spec.resize[0] / height, across * spec.resize[1] / width
    one = 1.0
    if spec.short_side is not None:
        one = spec.short_side / min(height, width)
    elif spec.long_side is not None:
        one = spec.long_side / max(height, width)
    down, across = scale * one, across * one
    if spec.least_side is not None:
        lacking = spec.least_side / min(height * down, width * across)
        if lacking > 1:
            down, across = down * lacking, across * lacking
    return down, across


def part_of_area(height: int, width: int, spec: WindowSpec, rng: np.random.Generator) -> tuple[slice, slice]:
    """A part of the picture with a share of its area and a shape (width / height) drawn from their ranges; the largest
    of that shape in the middle where ten tries give none that fits (Inception's crop, Szegedy et al., arXiv 1409.4842).
    """
    assert spec.area is not None
    shape = 1.0
    for _ in range(TRIES):
        drawn, at_shape, at_y, at_x = rng.random(4)
        shape = between(spec.aspect, at_shape, True)
        pixels = height * width * between(spec.area, drawn, False)
        rows, columns = max(1, round(math.sqrt(pixels / shape))), max(1, round(math.sqrt(pixels * shape)))
        if rows <= height and columns <= width:
            top, left = int(at_y * (height - rows + 1)), int(at_x * (width - columns + 1))
            return slice(top, top + rows), slice(left, left + columns)
    rows, columns = min(height, max(1, round(width / shape))), min(width, max(1, round(height * shape)))
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def turned(where: Place, height: int, width: int, spec: WindowSpec, rng: np.random.Generator) -> Place:
    """The window turned about its middle by up to `spec.rotate` degrees: it sees what lies around it, as far as the
    picture goes; what is beyond is padded."""
    often, drawn = rng.random(2)
    if often >= spec.rotate_often:
        return where
    angle = (2 * drawn - 1) * spec.rotate
    c, s = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    size_y, size_x = where.size
    more_y, more_x = (size_y * c + size_x * s - size_y) / 2, (size_x * c + size_y * s - size_x) / 2
    rows, shown_height, top = _wider(where.rows, height, where.height, where.top, more_y)
    columns, shown_width, left = _wider(where.columns, width, where.width, where.left, more_x)
    return replace(
        where, rows=rows, columns=columns, height=shown_height, width=shown_width, top=top, left=left, angle=angle
    )


def _wider(part: slice, length: int, shown: int, begin: int, more: float) -> tuple[slice, int, int]:
    """Along one axis: a larger part of the picture, the window pixels that it becomes, and where these begin, which may
    be before the window does."""
    factor = shown / (part.stop - part.start)
    extra = math.ceil(max(0.0, more) / factor) + 1
    start, stop = max(0, part.start - extra), min(length, part.stop + extra)
    return slice(start, stop), max(1, round((stop - start) * factor)), begin - round((part.start - start) * factor)


def turn(where: Place, part: NDArray[np.generic], pad: int | tuple[int, ...], mixed: bool) -> NDArray[np.generic]:
    """The window's pixels from those of the part that lies in it, turned; `mixed`: neighbours may be mixed."""
    height, width = where.size
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), where.angle, 1.0)
    matrix[:, 2] += matrix[:, :2] @ (where.left, where.top)  # the part's own pixels first to where they lie
    how = cv2.INTER_LINEAR if mixed else cv2.INTER_NEAREST
    fill = pad if isinstance(pad, tuple) else (pad,) * 4
    return np.asarray(
        cv2.warpAffine(part, matrix, (width, height), flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
    )


def blurred(image: NDArray[np.uint8], spec: WindowSpec, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A Gaussian blur of a radius (its deviation, in pixels) drawn from the range, as often as is said."""
    if not spec.blur:
        return image
    often, drawn = rng.random(2)
    radius = between(spec.blur_radius, drawn, False)
    if often >= spec.blur or radius < 0.1:  # less than that changes no byte
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), radius))


def shows_enough(labels: NDArray[np.uint8], most: float) -> bool:
    """Whether no class has a larger share than `most` of a window's known pixels."""
    counts = np.bincount(labels.ravel(), minlength=256)[:255]
    return bool(counts.max() <= most * counts.sum())
