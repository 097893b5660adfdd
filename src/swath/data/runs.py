"""Masks as COCO stores them, polygons and run lengths, drawn pixel for pixel as COCO's own mask code draws them.

A mask is held as the positions at which it begins or ends, column by column from the top left: a pixel belongs to it
where an odd number of them stand at or before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEPS = 5  # corners are rounded to a fifth of a pixel, and edges are walked in such steps
_LETTERS = 7  # of five bits each, for one count: enough for pictures of 2^34 pixels

Ints = NDArray[np.int64]


def corners(polygon: Sequence[float]) -> NDArray[np.int32]:
    """x, y, x, y, … in fifths of a pixel; rounded as C does, towards 0 after half a step was added."""
    points: NDArray[np.float64] = STEPS * np.asarray(polygon, np.float64) + 0.5
    whole: NDArray[np.int32] = np.nan_to_num(points.clip(-(1 << 30), 1 << 30), nan=1 << 30).astype(np.int32)
    return whole


def polygon_turns(flat: NDArray[np.int32], height: int, width: int) -> Ints:
    """Where the inside of a polygon (corners as `corners` gives them) begins and ends."""
    points = flat.reshape(-1, 2).astype(np.int64)
    u, v = _walk(points, np.roll(points, -1, axis=0))
    turn = np.flatnonzero(u[1:] != u[:-1])
    left = np.minimum(u[turn], u[turn + 1])
    # A column counts where the outline crosses its centre line, from the first row whose centre is below.
    column, rest = np.divmod(left - STEPS // 2, STEPS)
    counts = (rest == 0) & (column >= 0) & (column < width)
    low = np.minimum(v[turn], v[turn + 1])[counts]
    row = np.ceil(np.clip((low + 0.5) / STEPS - 0.5, 0, height)).astype(np.int64)
    turns: Ints = column[counts] * height + row
    return turns


def _walk(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All points of the outline, edge by edge; along its longer side an edge takes every step."""
    delta = end - start
    long = np.abs(delta).max(axis=1)
    flat = np.abs(delta[:, 0]) >= np.abs(delta[:, 1])
    # An edge is walked from its lower end, so that both directions give the same points.
    back = np.where(flat, delta[:, 0] < 0, delta[:, 1] < 0)
    low = np.where(back[:, None], end, start)
    rise = np.where(back[:, None], -delta, delta)
    slope = np.where(flat, rise[:, 1], rise[:, 0]) / np.maximum(long, 1)
    edge = np.repeat(np.arange(len(start)), long + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(long + 1) - (long + 1), long + 1)
    step = np.where(back[edge], long[edge] - step, step)
    along = step + np.where(flat, low[:, 0], low[:, 1])[edge]
    across = (np.where(flat, low[:, 1], low[:, 0])[edge] + slope[edge] * step + 0.5).astype(np.int64)
    sideways = flat[edge]
    return np.where(sideways, along, across), np.where(sideways, across, along)


def run_turns(counts: NDArray[np.int64]) -> Ints:
    """Where a mask given by run lengths (outside, inside, outside, …) begins and ends."""
    return np.cumsum(counts)


def unpacked(text: str) -> list[int]:
    """The run lengths that COCO packs into a string: six bits a letter, each from the third as a difference."""
    counts: list[int] = []
    at = 0
    while at < len(text):
        value = shift = 0
        more = True
        while more:
            bits = ord(text[at]) - 48
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            at, shift = at + 1, shift + 5
            if not more and bits & 16:
                value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


def run_lengths(labels: NDArray[np.uint8]) -> dict[int, tuple[int, str]]:
    """Of every class in a label map: how many pixels it covers, and its mask as `packed` writes it."""
    flat = labels.T.ravel()  # COCO counts column by column
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    found = {}
    for value in np.unique(values):
        mine = values == value
        begin, end = starts[mine], ends[mine]
        gaps = begin - np.concatenate([[0], end[:-1]])
        counts = np.stack([gaps, end - begin], axis=1).ravel()
        if end[-1] < flat.size:
            counts = np.append(counts, flat.size - end[-1])
        found[int(value)] = int((end - begin).sum()), packed(counts)
    return found


def packed(counts: NDArray[np.int64]) -> str:
    """The inverse of `unpacked`, letter for letter as COCO writes it; from the fourth count on, differences."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    shifts = 5 * np.arange(_LETTERS)
    rest = values[:, None] >> shifts
    # A number ends with the letter whose highest bit is its sign, and that of all that would follow.
    ends = np.where(rest & 16 != 0, rest >> 5 == -1, rest >> 5 == 0)
    length = np.argmax(ends, axis=1) + 1
    place = np.arange(_LETTERS)
    more = np.where(place < length[:, None] - 1, 32, 0)
    letters = ((rest & 31) | more) + 48
    return bytes(letters[place < length[:, None]].astype(np.uint8)).decode("ascii")


def draw(turns: Ints, canvas: NDArray[np.bool_]) -> slice:
    """Add a mask to a canvas (width x height, False where nothing is); gives the columns that may hold it."""
    width, height = canvas.shape
    turns = turns[turns < width * height]
    if not len(turns):
        return slice(0, 0)
    first, last = int(turns.min()) // height, width if len(turns) % 2 else int(turns.max()) // height + 1
    inside = np.bincount(turns - first * height, minlength=(last - first) * height).astype(np.uint8)
    np.cumsum(inside, out=inside)
    canvas[first:last] |= (inside & 1).astype(bool).reshape(-1, height)
    return slice(first, last)
