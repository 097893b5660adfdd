"""How good labels are near borders and far from them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from swath.evaluation.metrics import Score, mean, ratios

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

EDGES = (1, 2, 4, 8, 16, 32)  # pixels; a bin includes its upper edge, the last has none
NAMES = ("1", "≤ 2", "≤ 4", "≤ 8", "≤ 16", "≤ 32", "> 32")
_IGNORE = 255
_EXACT = 1 << 24  # OpenCV counts in float32, which holds every whole number up to here


class BorderCounts:
    """`counts[truth, prediction, bin]`: a confusion matrix for each bin of distance, streaming."""

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.counts: Counts = np.zeros((num_classes, num_classes, len(NAMES)), np.int64)

    def update(self, truth: Bytes, prediction: Bytes) -> Counts:
        """Add one picture; gives the picture's own confusion matrix."""
        maps = [each.reshape(1, -1) for each in (truth, prediction, distance_bins(truth))]
        sizes = list(self.counts.shape)
        ranges = [limit for size in sizes for limit in (0, size)]
        added: Counts = np.zeros_like(self.counts)
        for start in range(0, truth.size, _EXACT):
            block = [np.ascontiguousarray(each[:, start : start + _EXACT]) for each in maps]
            added += cv2.calcHist(block, [0, 1, 2], None, sizes, ranges).astype(np.int64)
        self.counts += added
        return np.asarray(added.sum(axis=2))

    def pixels(self) -> list[int]:
        return [int(each) for each in self.counts.sum(axis=(0, 1))]

    def wrong(self) -> list[Score]:
        """The share of wrong pixels of each bin."""
        right = np.einsum("iib->b", self.counts)
        whole = self.counts.sum(axis=(0, 1))
        return ratios(whole - right, whole)

    def iou(self) -> list[list[Score]]:
        """By bin, then by class, of the bin's pixels alone; absent where the bin has no true pixel of the class."""
        found = []
        for counts in np.moveaxis(self.counts, 2, 0):
            hits, true = np.diag(counts), counts.sum(axis=1)
            found.append(ratios(hits, np.where(true > 0, true + counts.sum(axis=0) - hits, 0)))
        return found

    def mean_iou(self) -> list[Score]:
        return [mean(each) for each in self.iou()]


def distance_bins(truth: Bytes) -> Bytes:
    """The bin of each pixel's distance from the nearest border of the truth: 1 is a pixel at the border itself."""
    distance = cv2.distanceTransform((~_borders(truth)).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    bins = np.zeros(truth.shape, np.uint8)
    for edge in EDGES:
        bins += distance > edge - 0.99  # the border's own pixels have the distance 0; 0.01 is for rounding
    return bins


def _borders(truth: Bytes) -> npt.NDArray[np.bool_]:
    """Pixels directly beside one of another class; where a class meets what is ignored there is no border."""
    known = truth != _IGNORE
    marks = np.zeros(truth.shape, np.bool_)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differs = (truth[before] != truth[after]) & known[before] & known[after]
        marks[before] |= differs
        marks[after] |= differs
    return marks
