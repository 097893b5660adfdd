"""Label maps as COCO's compressed run lengths, the very letters that COCO's own mask code writes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LETTERS = 7  # of five bits each: enough for pictures of 2^34 pixels


def run_lengths(labels: NDArray[np.uint8]) -> dict[int, tuple[int, str]]:
    """Of every class that occurs: how many pixels it covers, and its mask. One pass over the map serves all."""
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
    """Six bits a letter, the lowest first; from the fourth count on, the difference to the last but one."""
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
