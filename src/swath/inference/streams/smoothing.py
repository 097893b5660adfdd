"""Steadier labels over time, and what that costs: an exponential mean of the logits, and the flicker that is left."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference.streams.frame import Array

_GAP = 1.0  # seconds without a frame, after which the scene is another one


class Smoothing:
    """Of each frame's logits, `keep` is what was seen before and the rest is new. It knows nothing of motion: what
    moves drags its old place behind it, so a higher `keep` trades accuracy on moving things for calm."""

    def __init__(self, keep: float):
        if not 0 <= keep < 1:
            raise SwathError(f"smoothing {keep}: the share kept of earlier frames is at least 0 and less than 1")
        self.keep = keep
        self._state: Tensor | None = None
        self._seen: tuple[tuple[int, ...], tuple[int, int], float] | None = None

    @torch.inference_mode()
    def __call__(self, logits: Tensor, size: tuple[int, int], time: float) -> Tensor:
        """The smoothed logits of a frame of `size` at `time`; they start anew with another size and after a gap."""
        if not self.keep:
            return logits
        if not bool(torch.isfinite(logits).all()):  # one such value would never leave the mean
            self._state = None
            return logits
        logits = logits.float()
        last, self._seen = self._seen, (tuple(logits.shape), size, time)
        same = self._state is not None and last is not None and last[:2] == self._seen[:2]
        if same and last is not None and 0 <= time - last[2] <= _GAP:
            assert self._state is not None
            self._state = torch.lerp(logits, self._state, self.keep)
        else:
            self._state = logits.clone()
        return self._state


class Flicker:
    """The share of pixels whose label changes from one frame to the next although the truth there does not."""

    def __init__(self) -> None:
        self.changed = 0
        self.pixels = 0
        self._last: tuple[Array, Array] | None = None

    def add(self, truth: Array, labels: Array) -> None:
        """The next frame: both H x W, truth 255 is left out."""
        if self._last is not None:
            still = (truth == self._last[0]) & (truth != 255)
            self.pixels += int(np.count_nonzero(still))
            self.changed += int(np.count_nonzero(still & (labels != self._last[1])))
        self._last = (truth.copy(), labels.copy())

    @property
    def share(self) -> float | None:
        return self.changed / self.pixels if self.pixels else None
