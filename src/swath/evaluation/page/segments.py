"""Segments of a label map: pixels of one class that hang together, also across corners.

They are put together from runs (neighbours of one class in a row), of which a picture has some hundred times fewer than
pixels; every segment of every class is found in one go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_IGNORE = 255


@dataclass(frozen=True)
class Segments:
    """One entry a segment."""

    label: Bytes
    pixels: Ints
    marked: Ints  # how many of its pixels are marked


def segments(labels: Bytes, marks: Mask) -> Segments:
    """All segments of H x W labels (255 is none); `marks` are pixels to be counted in each of them."""
    width = labels.shape[1]
    flat = labels.reshape(-1)
    begins = np.ones(flat.size, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::width] = True
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], flat.size)
    label = flat[starts]
    first, second = _touching(starts, ends, label, width)
    root = _roots(len(starts), first, second)
    heads = np.flatnonzero((root == np.arange(len(root))) & (label != _IGNORE))
    marked = np.add.reduceat(marks.reshape(-1), starts, dtype=np.int64)
    sums = [np.bincount(root, each, len(root))[heads].astype(np.int64) for each in (ends - starts, marked)]
    return Segments(label[heads], *sums)


def _touching(starts: Ints, ends: Ints, label: Bytes, width: int) -> tuple[Ints, Ints]:
    """Pairs of runs of one class in neighbouring rows that touch.

    Where two runs overlap, one of them begins below or above the other; else they touch by a corner at most, above the
    pixel before or after the lower one.
    """
    known = np.flatnonzero(label != _IGNORE)
    start, end = starts[known], ends[known]
    lower = start >= width
    pairs = []
    for at, there in (
        (start - width, lower),
        (start + width, start + width < ends[-1]),
        (start - width - 1, lower & (start % width > 0)),
        (end - width, lower & (end % width > 0)),
    ):
        other = np.searchsorted(starts, at[there], "right") - 1
        pairs.append((known[there], other))
    first, second = (np.concatenate(each) for each in zip(*pairs))
    same = label[first] == label[second]
    return first[same], second[same]


def _roots(count: int, first: Ints, second: Ints) -> Ints:
    """For each of `count` things, the lowest one that it is connected to by pairs, directly or not."""
    parent = np.arange(count)
    while len(first):
        np.minimum.at(parent, np.maximum(first, second), np.minimum(first, second))
        while not np.array_equal(above := parent[parent], parent):
            parent = above
        first, second = parent[first], parent[second]
        apart = first != second
        first, second = first[apart], second[apart]
    return parent
