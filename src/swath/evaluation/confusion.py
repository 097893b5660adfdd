"""The confusion matrix: int64, streaming, exact at any number of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from swath.errors import SwathError
from swath.evaluation.processes import sum_over_processes

Bytes = npt.NDArray[np.uint8]
Labels = Bytes | Tensor  # H x W or N x H x W, uint8
Counts = npt.NDArray[np.int64]

IGNORE = 255
_EXACT = 1 << 24  # OpenCV counts in float32, which holds every whole number up to here
_FEW = 32  # up to so many classes a histogram of 32 columns will do, which stays in the processor's nearest cache
_STRIPES = 4


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

    def all_reduce(self) -> None:
        """Add up the counts of all processes of torch.distributed; afterwards each holds the sum, to the last pixel."""
        sum_over_processes(self.counts)

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


def _count(truth: Bytes, prediction: Bytes, columns: int) -> Counts:
    """256 x `columns` joint histogram, in blocks that float32 counts exactly."""
    total: Counts = np.zeros((256, columns), np.int64)
    truth, prediction = (np.ascontiguousarray(each).reshape(1, -1) for each in (truth, prediction))
    for start in range(0, truth.size, _EXACT):
        block = [each[:, start : start + _EXACT] for each in (truth, prediction)]
        total += cv2.calcHist(_shuffled(block), [0, 1], None, [256, columns], [0, 256, 0, columns]).astype(np.int64)
    return total


def _shuffled(maps: list[Bytes]) -> list[Bytes]:
    """The same pixels, those of four stripes taken in turn.

    Neighbours mostly are of one class, and one counter counted up time and again makes a processor wait for itself:
    with neighbours from far apart a lifelike picture takes a third less time.
    """
    length, rest = divmod(maps[0].size, _STRIPES)
    if rest or not length:
        return maps
    return [cv2.merge(list(each.reshape(_STRIPES, 1, length))).reshape(1, -1) for each in maps]


def _count_on_device(truth: Tensor, prediction: Tensor) -> Counts:
    keys = truth.to(prediction.device).int() * 256 + prediction.int()
    counts: Counts = torch.bincount(keys.flatten(), minlength=1 << 16).reshape(256, 256).cpu().numpy()
    return counts


def _array(labels: Labels) -> Bytes:
    return labels.cpu().numpy() if isinstance(labels, Tensor) else labels


def _shape(labels: Labels) -> str:
    return "x".join(map(str, labels.shape))
