"""The labels of `cells.c` by numba, for machines that have numba and no C compiler. Imported only there."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.finish.axis import Axis
from swath.finish.threads import LABELS, spread

Array = NDArray[Any]
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")
_LIMIT = np.float32(2.0**126)
_ONE = np.float32(1)


def labels(logits: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Of float32 logits with any strides."""
    count, classes, h, _ = logits.shape
    out = torch.empty((count, rows.pixels, columns.pixels), dtype=torch.uint8)
    places = [part.numpy() for axis in (rows, columns) for part in (axis.start, axis.fraction)]
    pictures, answers = logits.numpy(), out.numpy()
    on_logits = rows.on_logits and columns.on_logits
    spread(
        lambda picture, first, last: _fill(pictures[picture], *places, answers[picture], first, last, on_logits),
        *(count, h + 1, rows.pixels * columns.pixels, LABELS // (classes if on_logits else 1)),
    )
    return out


@_compiled  # type: ignore[untyped-decorator]
def _read_row(z: Array, y: int, values: Array, most: Array, best: Array) -> None:
    """Row y of the logits, padded by one at each end and made finite, and the best class of each."""
    classes, h, w = z.shape
    y = min(max(y, 0), h - 1)
    for c in range(classes):
        to = values[c]
        for x in range(w):
            v = z[c, y, x]
            v = _LIMIT if v > _LIMIT else v
            to[x + 1] = v if v > -_LIMIT else -_LIMIT  # not a number compares false
        to[0] = to[1]
        to[w + 1] = to[w]
        if c == 0:
            most[:] = to
            best[:] = 0
        else:
            for x in range(w + 2):
                better = to[x] > most[x]
                best[x] = np.int32(c) if better else best[x]
                most[x] = to[x] if better else most[x]


@_compiled  # type: ignore[untyped-decorator]
def _candidates(corner: Array, bests: Array, beaten: Array, chosen: Array) -> int:
    """The classes that no corner's best class exceeds at all four corners: how many, and into `chosen` which."""
    classes = corner.shape[1]
    beaten[:] = 0
    for i in range(4):
        p, q, r, s = corner[0, bests[i]], corner[1, bests[i]], corner[2, bests[i]], corner[3, bests[i]]
        for c in range(classes):
            beaten[c] |= (corner[0, c] < p) & (corner[1, c] < q) & (corner[2, c] < r) & (corner[3, c] < s)
    count = 0
    for c in range(classes):
        chosen[count] = c
        count += 1 - beaten[c]
    return count


@_compiled  # type: ignore[untyped-decorator]
def _fill_mixed(corner: Array, chosen: Array, fy: Array, fx: Array, most: Array, out: Array) -> None:
    """The pixels of one cell; classes come in ascending order, so of equal ones the lowest stays."""
    for y in range(len(fy)):
        f, g = fy[y], _ONE - fy[y]
        for i in range(len(chosen)):
            c = chosen[i]
            a, b = corner[0, c] * g + corner[2, c] * f, corner[1, c] * g + corner[3, c] * f
            for x in range(len(fx)):
                v = a * (_ONE - fx[x]) + b * fx[x]
                better = i == 0 or v > most[x]
                out[y, x] = np.uint8(c) if better else out[y, x]
                most[x] = v if better else most[x]


@_compiled  # type: ignore[untyped-decorator]
def _fill(
    z: Array, row_start: Array, fy: Array, start: Array, fx: Array, out: Array, first: int, last: int, on_logits: bool
) -> None:
    """The pixels in rows of cells first to last - 1 of one picture; `on_logits`: they are logits themselves."""
    classes, _, w = z.shape
    values, bests = np.empty((2, classes, w + 2), np.float32), np.empty((2, w + 2), np.int32)
    corner, most = np.empty((4, classes), np.float32), np.empty(max(w + 2, out.shape[1]), np.float32)
    beaten, chosen, four = np.empty(classes, np.uint8), np.empty(classes, np.int32), np.empty(4, np.int32)
    held = first - 2  # the row of cells whose lower logits are in the buffer
    for row in range(first, last):
        top, bottom = row_start[row], row_start[row + 1]
        if top == bottom:
            continue
        upper, lower, above, below = values[row & 1], values[1 - (row & 1)], bests[row & 1], bests[1 - (row & 1)]
        if held != row - 1:
            _read_row(z, row - 1, upper, most[: w + 2], above)
        if on_logits:
            for x in range(out.shape[1]):
                out[top, x] = above[x + 1]
            continue
        _read_row(z, row, lower, most[: w + 2], below)
        held = row
        for k in range(w + 1):
            out[top, start[k] : start[k + 1]] = above[k]
        for y in range(top + 1, bottom):
            out[y] = out[top]
        for k in range(w + 1):
            four[0], four[1], four[2], four[3] = above[k], above[k + 1], below[k], below[k + 1]
            if start[k] == start[k + 1] or (four[0] == four[1] and four[0] == four[2] and four[0] == four[3]):
                continue
            for c in range(classes):
                corner[0, c], corner[1, c] = upper[c, k], upper[c, k + 1]
                corner[2, c], corner[3, c] = lower[c, k], lower[c, k + 1]
            count = _candidates(corner, four, beaten, chosen)
            part = slice(start[k], start[k + 1])
            _fill_mixed(corner, chosen[:count], fy[top:bottom], fx[part], most, out[top:bottom, part])
