"""The k-th largest number without a sort, and without anybody waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor

_HALF = 16  # bits


def kth_largest(values: Tensor, k: Tensor) -> Tensor:
    """Of each row of float32 values of 0 or more, R x P, its k-th largest (1: the largest); `k` is R numbers, 1 to P.

    The bits of such floats, read as whole numbers, are in the order of the floats. So one histogram of the upper half
    of the bits finds the upper half of the answer, and one of the lower half, among the values that agree, the rest.
    `k` may depend on the data, which `torch.topk` cannot have without a look at it from the host.
    """
    bits = values.abs().contiguous().view(torch.int32)  # abs: there is a negative zero
    upper, rank = _bin(bits >> _HALF, torch.ones_like(bits), k, 1 << (31 - _HALF))
    agree = (bits >> _HALF) == upper[:, None]
    lower, _ = _bin(bits & ((1 << _HALF) - 1), agree.int(), rank, 1 << _HALF)
    return ((upper << _HALF) | lower).view(torch.float32)


def _bin(bins: Tensor, count: Tensor, k: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The bin of each row that holds its k-th largest entry, and that entry's rank within the bin."""
    rows = len(bins)
    place = bins + size * torch.arange(rows, dtype=torch.int32, device=bins.device)[:, None]
    flat = torch.zeros(rows * size, dtype=torch.int32, device=bins.device)
    histogram = flat.index_add_(0, place.flatten(), count.flatten()).view(rows, size)
    from_here = histogram.flip(1).cumsum(1).flip(1)  # entries in this bin and in those above
    found = (from_here >= k[:, None]).sum(1, keepdim=True) - 1
    above = from_here.gather(1, found) - histogram.gather(1, found)
    return found[:, 0].int(), k - above[:, 0]
