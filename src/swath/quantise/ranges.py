"""The range of activations that 8 bits are spent on, and powers of two.

The rules are those of Texas Instruments' EdgeAI quantisation: a batch's range leaves out the outermost 0.01 % of a
histogram at either end, and the range that counts is the mean of those of the batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BINS = 256
_LEFT_OUT = 1e-4  # of the values, at either end
_SLOWEST = 1e-3  # the least share of a batch in the running range
_LARGE = 1 << 16  # values, above which a map is sampled
LEAST = 2.0**-16  # a range of nothing but zeros is taken for this wide


def power_above(x: Tensor) -> Tensor:
    """The least power of two that is not below x > 0."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.ones_like(x), exponent - (mantissa == 0.5).to(exponent.dtype))


def batch_range(x: Tensor) -> Tensor:
    """(low, high) of the values but for the outermost 0.01 % at either end. Nothing in here waits for the device."""
    low, high = torch.aminmax(x)
    width = (high - low).clamp(min=torch.finfo(x.dtype).tiny)
    # What is no number goes into some bin here; the loss will tell of it.
    bins = ((x.reshape(-1) - low) / width * (_BINS - 1)).round_().long().clamp_(0, _BINS - 1)
    counts = torch.zeros(_BINS, dtype=torch.int64, device=x.device).scatter_add_(0, bins, torch.ones_like(bins))
    few = _LEFT_OUT * x.numel()
    below = (counts.cumsum(0) < few).sum() - 1  # the last bin up to which there are that few
    above = (counts.flip(0).cumsum(0) < few).sum() - 1
    step = width / (_BINS - 1)
    return torch.stack([low + step * below.clamp(min=0), high - step * above.clamp(min=0)])


def sampled(x: Tensor) -> Tensor:
    """Every second row and column of a large map, from a random corner."""
    if x.dim() != 4 or x.numel() < _LARGE:
        return x
    row, column = torch.randint(2, (2,)).tolist()
    return x[:, :, row::2, column::2]


def follow(running: Tensor, new: Tensor, seen: Tensor) -> Tensor:
    """The running range after batch number `seen` (from 1): the first two replace what was there, then it is nearly the
    mean of all, and from the thousandth on a moving one."""
    share = (1 / (seen - 1).clamp(min=1)).clamp(min=_SLOWEST)
    return running + share * (new - running)


def tamed(weight: Tensor) -> Tensor:
    """Weights of which a few are so large that they would leave no precision for the others, clamped (power of two
    only): the range becomes that of 16 times the median, less a sixteenth."""
    largest, median = weight.abs().amax(), weight.abs().median()
    bound = power_above(torch.minimum(largest, 16 * median).clamp(min=LEAST))
    bound = bound - bound / 16
    wild = (largest > 15) & (largest > 16 * median)
    return torch.where(wild, torch.minimum(torch.maximum(weight, -bound), bound), weight)
