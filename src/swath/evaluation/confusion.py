"""The confusion matrix: int64, streaming, exact at any number of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from swath.errors import SwathError

Labels = npt.NDArray[np.uint8] | Tensor  # H x W or N x H x W, uint8
Counts = npt.NDArray[np.int64]

IGNORE = 255
_EXACT = 1 << 24  # OpenCV counts in float32, which holds every whole number up to here
_FEW = 32  # up to so many classes a histogram of 32 columns will do: 4.4 ms instead of 11 for two million pixels


class ConfusionMatrix:
    """`counts[t, p]`: pixels whose truth is class t and whose prediction is class p; truth 255 is left out."""

    def __init__(self, num_classes: int):
        if not 1 <= num_classes <= IGNORE:
            raise SwathError(f"{num_classes} classes: a confusion matrix of 8-bit labels has 1 to {IGNORE}")
        self.num_classes = num_classes
        self.counts: Counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, truth: Labels, prediction: Labels) -> None:
        """Add the pixels of one picture (or a batch); refuses label values that are no class."""
        if tuple(truth.shape) != tuple(prediction.shape):
            raise SwathError(f"truth is {_shape(truth)} pixels, the prediction {_shape(prediction)}; they must agree")
        if truth.dtype not in (np.uint8, torch.uint8) or prediction.dtype not in (np.uint8, torch.uint8):
            raise SwathError(f"labels must be uint8, not {truth.dtype} (truth) and {prediction.dtype} (prediction)")
        if isinstance(prediction, Tensor) and prediction.device.type != "cpu":
            joint = _count_on_device(torch.as_tensor(truth), prediction)
        else:
            joint = _count(_array(truth), _array(prediction), _FEW if self.num_classes <= _FEW else 256)
        self._check(joint, truth.numel() if isinstance(truth, Tensor) else truth.size)
        self.counts += joint[: self.num_classes, : self.num_classes]

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix over the same classes."""
        if other.num_classes != self.num_classes:
            raise SwathError(f"confusion matrices of {self.num_classes} and {other.num_classes} classes do not add up")
        self.counts += other.counts

    def _check(self, joint: Counts, pixels: int) -> None:
        """`joint` has a row a truth value; predictions beyond its columns were dropped, so the sum tells of them."""
        strangers = joint[self.num_classes : IGNORE].sum(axis=1)
        if strangers.any():
            value = self.num_classes + int(strangers.argmax())
            raise SwathError(
                f"truth holds the label {value} ({int(strangers.max())} pixels), the classes are 0 to "
                f"{self.num_classes - 1} and {IGNORE} is ignored; check the card's label table"
            )
        wrong = pixels - int(joint[:, : self.num_classes].sum())
        if wrong:
            raise SwathError(
                f"the prediction holds labels above {self.num_classes - 1} ({wrong} pixels); "
                "was it made by a network with more classes?"
            )


def _count(truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], columns: int) -> Counts:
    """256 x `columns` joint histogram, in blocks of rows that float32 counts exactly."""
    total: Counts = np.zeros((256, columns), np.int64)
    if truth.size == 0:
        return total
    truth, prediction = (np.ascontiguousarray(each.reshape(-1, each.shape[-1])) for each in (truth, prediction))
    rows = max(1, _EXACT // truth.shape[1])
    for start in range(0, len(truth), rows):
        block = [truth[start : start + rows], prediction[start : start + rows]]
        total += cv2.calcHist(block, [0, 1], None, [256, columns], [0, 256, 0, columns]).astype(np.int64)
    return total


def _count_on_device(truth: Tensor, prediction: Tensor) -> Counts:
    keys = truth.to(prediction.device).int() * 256 + prediction.int()
    counts: Counts = torch.bincount(keys.flatten(), minlength=1 << 16).reshape(256, 256).cpu().numpy()
    return counts


def _array(labels: Labels) -> npt.NDArray[np.uint8]:
    return labels.cpu().numpy() if isinstance(labels, Tensor) else labels


def _shape(labels: Labels) -> str:
    return "x".join(map(str, labels.shape))
