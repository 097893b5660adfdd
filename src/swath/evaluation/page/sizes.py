"""How well segments of each size are found.

The ordinary IoU of a class is right / (right + missed + false), in pixels. Here right and missed pixels are sorted by
the size of the true segment that they belong to, and false ones by the size of the segment in which they were
predicted: every pixel counts in exactly one bin, and the bins' numerators and denominators add up to the ordinary IoU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.evaluation.metrics import Score, mean, ratios
from swath.evaluation.page.segments import segments

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

EDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # shares of the picture; a bin includes its upper edge, the last has none
NAMES = ("≤ 0.001", "≤ 0.01", "≤ 0.1", "≤ 1", "≤ 10", "> 10")  # per cent


class SizeCounts:
    """Streaming sums by class and bin."""

    def __init__(self, num_classes: int):
        shape = (num_classes, len(NAMES))
        self.true, self.right, self.false = (np.zeros(shape, np.int64) for _ in range(3))  # pixels
        self.segments, self.found = (np.zeros(shape, np.int64) for _ in range(2))

    def update(self, truth: Bytes, prediction: Bytes, hit: npt.NDArray[np.bool_]) -> None:
        """Add one picture; what is ignored is 255 in both maps, `hit` is where they agree on a class."""
        edges = np.array(EDGES) * truth.size
        real = segments(truth, hit)
        where = (real.label, np.searchsorted(edges, real.pixels))
        np.add.at(self.true, where, real.pixels)
        np.add.at(self.right, where, real.marked)
        np.add.at(self.segments, where, 1)
        np.add.at(self.found, where, 2 * real.marked > real.pixels)
        said = segments(prediction, hit)
        np.add.at(self.false, (said.label, np.searchsorted(edges, said.pixels)), said.pixels - said.marked)

    def iou(self) -> list[list[Score]]:
        """By bin, then by class; absent where the truth has no segment of the class in the bin."""
        whole = np.where(self.true > 0, self.true + self.false, 0)
        return [ratios(*each) for each in zip(self.right.T, whole.T)]

    def mean_iou(self) -> list[Score]:
        return [mean(each) for each in self.iou()]

    def mean_recall(self) -> list[Score]:
        """The share of true pixels that were found, of each class; the mean over classes."""
        return [mean(ratios(*each)) for each in zip(self.right.T, self.true.T)]

    def found_share(self) -> list[Score]:
        """The share of segments, of any class, of which more than half was found."""
        return ratios(self.found.sum(axis=0), self.segments.sum(axis=0))
