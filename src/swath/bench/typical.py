"""Networks with random weights answer nonsense, mostly of one class, at times so ragged that its mask takes ten times
as long as a trained network's. So they are run, and what goes on from there are the logits of a street."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from torch import Tensor

from swath.inference.runtimes import Runtime

_SURE = 8.0  # by how much a trained network mostly prefers its class
_NOISE = 0.5  # of logits from one place to the next


class Typical:
    """A runtime whose answers have the shape of the network's own and the look of a trained one's."""

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.description = runtime.description
        self.engine = runtime.engine
        self.device = runtime.device
        self._answers: dict[tuple[object, ...], Tensor] = {}

    def run(self, pixels: Tensor) -> Tensor:
        answer = self.runtime.run(pixels)
        key = (answer.shape, answer.dtype, answer.device)
        if key not in self._answers:
            self._answers[key] = street_logits(tuple(answer.shape)).to(answer)
        return self._answers[key]


def street_logits(shape: tuple[int, ...]) -> Tensor:
    """Logits N x classes x h x w of a synthetic street: one class nearly everywhere, mixed along its borders."""
    count, classes, height, width = shape
    truth = _truth() % classes
    planes = [cv2.resize((truth == each).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
              for each in range(classes)]  # fmt: skip
    logits = _SURE * np.stack(planes) + np.random.default_rng(0).normal(0, _NOISE, (classes, height, width))
    return torch.from_numpy(logits.astype(np.float32)).expand(count, -1, -1, -1).contiguous()


@functools.cache
def _truth() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    from swath.cards import load_card

    return np.asarray(load_card("streets").open("val").labels(0), np.uint8)
