"""What the losses of classes share: pixel by pixel cross-entropy, weights of classes, means that can be of nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


def in_full(logits: Tensor) -> Tensor:
    """Half precision is widened, double stays: sums over a million pixels need the digits."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def pixel_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """N x H x W, 0 where the pixel is ignored."""
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")


def counted(labels: Tensor, weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    """By how much each pixel counts: the weight of its class, or 1; 0 where it is ignored."""
    if weights is None:
        return (labels != IGNORE).to(dtype)
    return F.pad(weights, (0, 1))[labels.clamp(max=len(weights))]


def mean_of(values: Tensor, count: Tensor) -> Tensor:
    """The mean of values that count by `count`; 0 where nothing counts."""
    return (values * count).sum() / count.sum().clamp(min=torch.finfo(values.dtype).tiny)


def mean_over_classes(each: Tensor, count: Tensor, weights: Tensor | None) -> Tensor:
    """Values R x C, and which of them count: the mean of the classes, then of the rows where any counts."""
    share = count.to(each.dtype) if weights is None else count * weights
    total = share.sum(1)
    rows = (each * share).sum(1) / total.clamp(min=torch.finfo(each.dtype).tiny)
    return rows.sum() / (total > 0).sum().clamp(min=1)
