"""The colors of a window: drawn with its place, changed here in bytes, or later by a device for a whole batch.

What a change is, is said in whole numbers, so that every processor comes to the same:

1. Shifts are added to the HSV bytes as OpenCV has them: hue (a circle of 180), saturation and value (0 to 255). On the
   way back fractions are cut off. Where all three are 0, the picture is left alone.
2. A matrix, 3 x 4: each new color is a sum of the three old ones and a constant. Its numbers are 1024ths, sums are
   exact, halves are rounded up, and what is then below 0 or above 255 becomes that.

`training/jitter.py` is the same for a device. By the matrix it comes to the same bytes. By the shifts it may differ by
one, for OpenCV is not exact there: floats end a little below a whole number, the last few pixels are rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.data import draws

if TYPE_CHECKING:
    from swath.data.windows import WindowSpec

Colors = Mapping[str, NDArray[np.float32]]

SHIFTS, MATRIX = "color_shifts", "color_matrix"  # what a batch calls them
LUMA = np.array([0.299, 0.587, 0.114])
STEPS = 1024  # of the matrix in 1: those of OpenCV's own arithmetic on bytes
_SAME = np.eye(3, 4, dtype=np.float32)
# Some green in red, too little for 1024ths: where no colors mix, OpenCV would go another way and round halves to even.
_TRACE = np.array([[0, 1e-6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32)


def recolor(image: NDArray[np.uint8], spec: WindowSpec, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur and colors, drawn and done."""
    image = draws.blurred(image, spec, rng)
    return paint(image, draw(image, spec, rng))


def draw(image: NDArray[np.uint8], spec: WindowSpec, rng: np.random.Generator) -> Colors:
    """The numbers for a picture, of all kinds that the spec asks for, also where they change nothing."""
    few = image[::8, ::8]
    colors = {}
    if any(spec.hsv):
        colors[SHIFTS] = _draw_shifts(spec, rng)
        few = paint(few, colors)
    often, *drawn = rng.random(5)
    ranges = (spec.brightness, spec.contrast, spec.saturation, spec.hue)
    if any(ranges):
        wanted = [(2 * d - 1) * most for d, most in zip(drawn, ranges)]
        colors[MATRIX] = _matrix(few, *wanted) if often < spec.jitter else _SAME
    return colors


def paint(image: NDArray[np.uint8], colors: Colors) -> NDArray[np.uint8]:
    """A picture with the colors that were drawn for it."""
    if SHIFTS in colors and colors[SHIFTS].any():
        steps, (hue, saturation, value) = np.arange(256), colors[SHIFTS]
        tables = [(steps + hue) % 180, np.clip(steps + saturation, 0, 255), np.clip(steps + value, 0, 255)]
        planes = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        moved = cv2.LUT(planes, np.stack(tables, 1).astype(np.uint8)[:, None])
        image = np.asarray(cv2.cvtColor(moved, cv2.COLOR_HSV2RGB))
    if MATRIX in colors and colors[MATRIX] is not _SAME:
        image = np.asarray(cv2.transform(image, colors[MATRIX] + _TRACE))
    return image


def _draw_shifts(spec: WindowSpec, rng: np.random.Generator) -> NDArray[np.float32]:
    """From -x to x of each, whole."""
    often, *drawn = rng.random(4)
    wanted = [round((2 * d - 1) * most) for d, most in zip(drawn, spec.hsv)]
    return np.array(wanted if often < spec.jitter else (0, 0, 0), np.float32)


def _matrix(
    few: NDArray[np.uint8], brightness: float, contrast: float, saturation: float, hue: float
) -> NDArray[np.float32]:
    """All four in one: brightness, then contrast about the mean of a few pixels, saturation, hue."""
    matrix = (1 + saturation) * np.eye(3) - saturation * np.ones((3, 1)) * LUMA
    if hue:
        matrix = matrix @ _hue_turn(hue)
    matrix *= (1 + contrast) * (1 + brightness)
    sums = cv2.sumElems(np.ascontiguousarray(few))[:3]
    grey = float(np.array(sums) / (few.size // 3) @ LUMA) * (1 + brightness)
    moved = np.hstack([matrix, np.full((3, 1), -contrast * grey)]).astype(np.float32)
    return np.asarray(np.rint(moved * STEPS) / STEPS, np.float32)


def _hue_turn(turns: float) -> NDArray[np.float64]:
    """Turn colors about the axis of greys; brightness (luma) stays."""
    to_yiq = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    c, s = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    turned: NDArray[np.float64] = np.linalg.inv(to_yiq) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ to_yiq
    return turned
