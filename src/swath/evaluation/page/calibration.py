"""Whether confidence is honest: of the pixels that are 80 % sure, 80 % should be right (Guo et al. 2017).

Confidence is counted in 255 steps, of which 17 make a bin. Its sums are kept exactly for each step over all classes;
a class takes its share of them, which is off by less than a step.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from swath.evaluation.metrics import Score
from swath.report import Bin

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BINS = 15
_STEPS = 255
_EXACT = 1 << 24  # OpenCV counts in float32, which holds every whole number up to here
_IGNORE = 255


class CalibrationCounts:
    """Streaming sums by predicted class and step of confidence."""

    def __init__(self, num_classes: int):
        self.pixels, self.right = (np.zeros((num_classes, _STEPS), np.int64) for _ in range(2))
        self.confidence: Floats = np.zeros(_STEPS)  # summed over all pixels of a step

    def update(self, prediction: Bytes, confidence: npt.NDArray[np.float32], hit: npt.NDArray[np.bool_]) -> None:
        """Add one picture; ignored pixels are 255 in `prediction`."""
        steps = np.minimum(confidence * np.float32(_STEPS), np.float32(_STEPS - 1)).astype(np.uint8)
        steps[prediction == _IGNORE] = _STEPS
        self.confidence += np.bincount(steps.reshape(-1), confidence.reshape(-1), _STEPS + 1)[:_STEPS]
        self.pixels += self._count(prediction, steps)
        steps[~hit] = _STEPS
        self.right += self._count(prediction, steps)

    def _count(self, prediction: Bytes, steps: Bytes) -> Counts:
        total: Counts = np.zeros_like(self.pixels)
        maps = [each.reshape(1, -1) for each in (prediction, steps)]
        for start in range(0, prediction.size, _EXACT):
            block = [np.ascontiguousarray(each[:, start : start + _EXACT]) for each in maps]
            ranges = [0, len(total), 0, _STEPS]
            total += cv2.calcHist(block, [0, 1], None, list(total.shape), ranges).astype(np.int64)
        return total

    def bins(self) -> list[Bin]:
        """Those that have pixels, over all classes."""
        return _bins(self.pixels.sum(axis=0), self.right.sum(axis=0), self.confidence)

    def ece(self) -> Score:
        """Expected calibration error."""
        return _ece(self.bins())

    def class_bins(self, index: int) -> list[Bin]:
        """Of the pixels that were predicted as one class."""
        steps = np.maximum(self.pixels.sum(axis=0), 1)
        return _bins(self.pixels[index], self.right[index], self.confidence / steps * self.pixels[index])

    def class_ece(self, index: int) -> Score:
        return _ece(self.class_bins(index))


def totals(bins: list[Bin]) -> tuple[Score, Score]:
    """Mean confidence and accuracy over all bins."""
    if not bins:
        return None, None
    return sum(each.share * each.confidence for each in bins), sum(each.share * each.accuracy for each in bins)


def _bins(pixels: Counts, right: Counts, confidence: Floats) -> list[Bin]:
    total = max(1, int(pixels.sum()))
    grouped = (each.reshape(BINS, -1).sum(axis=1) for each in (pixels, right, confidence))
    return [
        Bin(index / BINS, (index + 1) / BINS, float(n / total), float(sure / n), float(hits / n))
        for index, (n, hits, sure) in enumerate(zip(*grouped))
        if n
    ]


def _ece(bins: list[Bin]) -> Score:
    return sum(each.share * abs(each.accuracy - each.confidence) for each in bins) if bins else None
