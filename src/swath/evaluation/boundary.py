"""How good a prediction is where classes meet: the boundary F-score, and the IoU within bands along boundaries.

A *boundary pixel* of class c is of c and has one of another class directly above, below, left or right of it. What the
truth ignores is cut out of both label maps first: it is counted nowhere, and where a class meets it there is no
boundary; neither is there one at the picture's own edge.

*Boundary F* at tolerance w (Csurka et al. 2013; Perazzi et al. 2016): of class c, precision is the share of predicted
boundary pixels that have a true boundary pixel of c within w pixels (Euclidean), recall the share of true ones that
have a predicted one so near, and F is their harmonic mean. Shares are those of a whole split: of sums over pictures.

*Trimap IoU* of width w (Kohli et al. 2009): the IoU over the pixels at most w - 1 from a boundary pixel of the truth,
whatever its class: bands of w pixels on either side of every boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

from swath.errors import SwathError
from swath.evaluation.confusion import IGNORE, Bytes, ConfusionMatrix, Counts
from swath.evaluation.metrics import Score, mean, ratios
from swath.evaluation.processes import sum_over_processes

WIDTHS = (1, 3, 5, 9, 12)  # pixels at Cityscapes' 1024 x 2048
_WIDEST = 200
_TOGETHER = 8  # classes as bits of a byte: one pass spreads the boundaries of all of them


@dataclass(frozen=True, kw_only=True)
class BoundaryScores:
    """By width first, then by class; absent where there is no boundary of the class on either side."""

    widths: list[int]
    mean_f: list[Score]
    class_f: list[list[Score]]
    class_precision: list[list[Score]]
    class_recall: list[list[Score]]
    trimap_miou: list[Score]
    trimap_class_iou: list[list[Score]]


class BoundaryCounts:
    """Streaming sums over pictures."""

    def __init__(self, num_classes: int, widths: Sequence[int] = WIDTHS):
        if not widths or not all(1 <= width <= _WIDEST for width in widths):
            raise SwathError(f"boundary widths {list(widths)}: give one or more, each of 1 to {_WIDEST} pixels")
        self.widths = sorted(set(widths))
        self.num_classes = num_classes
        self.true, self.predicted = (np.zeros(num_classes, np.int64) for _ in range(2))  # boundary pixels
        self.found, self.right = (np.zeros((len(self.widths), num_classes), np.int64) for _ in range(2))
        self.bands = [ConfusionMatrix(num_classes) for _ in self.widths]

    def update(self, truth: Bytes, prediction: Bytes) -> None:
        """Add the pixels of one picture, H x W each."""
        prediction = np.where(truth == IGNORE, np.uint8(IGNORE), prediction)
        true, predicted = _Boundary(truth), _Boundary(prediction)
        self.true += true.count(self.num_classes)
        self.predicted += predicted.count(self.num_classes)
        present = np.union1d(true.classes, predicted.classes)
        for first in range(0, len(present), _TOGETHER):
            group = present[first : first + _TOGETHER]
            self.found += _near(true, predicted, group, self.widths, self.num_classes)
            self.right += _near(predicted, true, group, self.widths, self.num_classes)
        edges = true.mask.astype(np.uint8)
        inside = np.where(truth == IGNORE, np.uint8(0), prediction)  # a matrix takes no 255 as a prediction
        for band, near in zip(self.bands, spread(edges, [width - 1 for width in self.widths])):
            band.update(np.where(near, truth, np.uint8(IGNORE)), inside)

    def all_reduce(self) -> None:
        """Add up the sums of all processes of torch.distributed."""
        sum_over_processes(self.true, self.predicted, self.found, self.right, *(band.counts for band in self.bands))

    def scores(self) -> BoundaryScores:
        precision = [ratios(right, self.predicted) for right in self.right]
        recall = [ratios(found, self.true) for found in self.found]
        class_f = [[_f(p, r) for p, r in zip(*each)] for each in zip(precision, recall)]
        trimap = [_ious(band.counts) for band in self.bands]
        return BoundaryScores(
            widths=list(self.widths),
            mean_f=[mean(each) for each in class_f],
            class_f=class_f,
            class_precision=precision,
            class_recall=recall,
            trimap_miou=[mean(each) for each in trimap],
            trimap_class_iou=trimap,
        )


class _Boundary:
    """The boundary pixels of a label map: where they are, and of which class."""

    def __init__(self, labels: Bytes):
        self.mask = _meets(labels)
        self.at = np.flatnonzero(self.mask)
        self.of = labels.reshape(-1)[self.at]
        self.classes = np.unique(self.of)

    def count(self, num_classes: int) -> Counts:
        return np.bincount(self.of, minlength=num_classes)


def _meets(labels: Bytes) -> npt.NDArray[np.bool_]:
    """Pixels beside one of another class."""
    known = labels != IGNORE
    mask = np.zeros(labels.shape, np.bool_)
    for before, after in (((slice(-1),), (slice(1, None),)), ((slice(None), slice(-1)), (slice(None), slice(1, None)))):
        differs = (labels[before] != labels[after]) & known[before] & known[after]
        mask[before] |= differs
        mask[after] |= differs
    return mask


def _near(asked: _Boundary, other: _Boundary, group: Bytes, widths: Sequence[int], num_classes: int) -> Counts:
    """By width and class: how many boundary pixels of `asked` have one of `other`, of their own class, that near."""
    bit: Bytes = np.zeros(256, np.uint8)
    bit[group] = 1 << np.arange(len(group))
    marks = np.zeros(asked.mask.shape, np.uint8)
    marks.reshape(-1)[other.at] = bit[other.of]
    mine = bit[asked.of]
    counts = [
        np.bincount(asked.of[(near.reshape(-1)[asked.at] & mine) != 0], minlength=num_classes)
        for near in spread(marks, widths)
    ]
    return np.stack(counts)


def spread(marks: Bytes, radii: Sequence[int]) -> list[Bytes]:
    """For each radius (ascending), every pixel with the bits of all pixels at most so far from it.

    A disc is a stack of rows: rows of growing length are built once, and each goes to the heights where a disc is as
    wide. Bytes are or-ed whole, so that eight maps of bits cost as much as one.
    """
    discs = [np.zeros_like(marks) for _ in radii]
    row = marks.copy()
    for half in range(radii[-1] + 1):
        if half:
            _or_moved(row, marks, half, axis=1)
        for disc, radius in zip(discs, radii):
            for dy in range(radius + 1):
                if isqrt(radius * radius - dy * dy) == half:
                    _or_moved(disc, row, dy, axis=0)
    return discs


def _or_moved(target: Bytes, marks: Bytes, by: int, axis: int) -> None:
    """Or `marks` into `target`, moved by as many pixels both ways along an axis."""
    if by == 0:
        target |= marks
        return
    front: tuple[slice, ...] = (slice(None),) * axis + (slice(by, None),)
    back: tuple[slice, ...] = (slice(None),) * axis + (slice(-by),)
    target[front] |= marks[back]
    target[back] |= marks[front]


def _f(precision: Score, recall: Score) -> Score:
    """Absent where neither side has a boundary; 0 where one side alone has."""
    if precision is None and recall is None:
        return None
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _ious(counts: Counts) -> list[Score]:
    hits = np.diag(counts)
    return ratios(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits)
