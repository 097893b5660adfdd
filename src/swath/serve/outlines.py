"""Outlines of regions along the edges of their pixels: nothing is rounded, areas are exact, neighbours share borders.

OpenCV's contours run through pixel centres, so that a single pixel is a point and regions leave gaps between them.
Here a region's outline turns where, of the four pixels around a corner, one or three belong to it (or two that touch
at the corner only). In each row of corners such turns are joined two by two, and so in each column.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = list[tuple[int, int]]  # x, y; the last point is the first
Polygon = list[Ring]  # its outline, then its holes

MOST_TURNS = 500_000  # of one picture: who wants more wants a mask


class TooRagged(Exception):
    """More turns than anybody can use."""


def polygons(mask: NDArray[np.bool_]) -> list[Polygon]:
    """The regions of a mask, from the top. Pixels that share an edge are of one region. By their numbers (x to the
    right, y downwards) outlines have a positive area and holes a negative one."""
    y, x, following = _turns(mask)
    if len(y) > MOST_TURNS:
        raise TooRagged
    regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    points, after = list(zip(x.tolist(), y.tolist())), following.tolist()
    seen = bytearray(len(points))
    found: dict[int, Polygon] = {}
    for first in range(len(points)):
        if seen[first]:
            continue
        ring, at = [], first
        while not seen[at]:
            seen[at] = 1
            ring.append(points[at])
            at = after[at]
        ring.append(points[first])
        # `first` is the ring's topmost corner, and the leftmost of these: below it a region begins or a hole does.
        column, row = points[first]
        if mask[row, column]:
            found.setdefault(int(regions[row, column]), []).insert(0, ring)
        else:
            found.setdefault(int(regions[row - 1, column]), []).append(ring)
    return list(found.values())


def _turns(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, column and successor of every turn, in reading order. A ring has its region at the right hand."""
    padded = np.pad(mask, 1)
    # The pixels at the upper left, upper right, lower left, lower right of each corner.
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    odd = np.nonzero(a ^ b ^ c ^ d)
    touching = np.nonzero((a == d) & (b == c) & (a != b))
    down_left = b[touching]  # else it is a and d that touch
    y = np.concatenate([odd[0], touching[0], touching[0]])
    x = np.concatenate([odd[1], touching[1], touching[1]])
    # Which way its edges lie, to the right or left, down or up; where two pixels touch, each keeps its own corner.
    right = np.concatenate([(b != d)[odd], down_left, ~down_left])
    down = np.concatenate([(c != d)[odd], np.zeros_like(down_left), np.ones_like(down_left)])
    order = np.lexsort((right, x, y))
    y, x, right, down = y[order], x[order], right[order], down[order]
    across = np.arange(len(y)) ^ 1  # in reading order the two ends of a horizontal edge are neighbours
    by_column = np.lexsort((down, y, x))
    along = np.empty_like(across)
    along[by_column] = by_column[across]
    leaves_across = np.where(right, d[y, x], a[y, x])
    return y, x, np.where(leaves_across, across, along)
