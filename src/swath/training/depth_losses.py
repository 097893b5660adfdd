"""Losses of depth by name. Each takes values (N x H x W) and true metres (N x H x W, 0: not measured).

Both are means over measured pixels, and 0 with a zero gradient where there are none. Neither waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from swath.errors import unknown
from swath.training.losses import Criterion, check_options


def berhu(metres: Tensor, truth: Tensor, share: float = 0.2) -> Tensor:
    """The reverse Huber loss: |d| up to c, (d^2 + c^2) / 2c beyond, where c is `share` of the largest |d| of the batch
    (Laina et al., arXiv 1606.00373). Of the plain output: a ReLU before it would let negative ones learn nothing."""
    measured = truth > 0
    off = torch.where(measured, metres - truth, 0).abs()
    cut = (share * off.detach().max()).clamp(min=torch.finfo(off.dtype).tiny)
    each = torch.where(off <= cut, off, (off.square() + cut.square()) / (2 * cut))
    return torch.where(measured, each, 0).sum() / measured.sum().clamp(min=1)


def scale_invariant(metres: Tensor, truth: Tensor, balance: float = 0.5, floor: float = 0.5) -> Tensor:
    """Of d = log(metres) - log(truth): the mean square less `balance` times the squared mean, picture by picture
    (Eigen, Puhrsch and Fergus, arXiv 1406.2283). For log(x / floor) stands asinh(x / 2 floor), which is the same well
    above `floor` metres, and which an output of 0 or less has too (a fresh network's are anything)."""
    measured = truth > 0
    off = torch.where(measured, (metres / (2 * floor)).asinh() - (truth / (2 * floor)).asinh(), 0).flatten(1)
    count = measured.flatten(1).sum(1)
    pixels = count.clamp(min=1)
    pictures = off.square().sum(1) / pixels - balance * (off.sum(1) / pixels).square()
    return pictures.sum() / (count > 0).sum().clamp(min=1)


DEPTH_LOSSES: dict[str, Callable[..., Tensor]] = {"berhu": berhu, "scale-invariant": scale_invariant}


def make_depth_loss(name: str, options: Mapping[str, Any]) -> Criterion:
    """The loss `name` of a network's one depth output, its options checked."""
    if name not in DEPTH_LOSSES:
        raise unknown("loss of depth", name, DEPTH_LOSSES)
    one = DEPTH_LOSSES[name]
    check_options(name, one, options, above_zero=("share", "floor"))
    return lambda outputs, truth: one(outputs[0][:, 0].float(), truth, **options)
