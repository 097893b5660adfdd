"""Cross-entropy and its relatives that weigh the pixels."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.training.losses.distance import squared_distance
from swath.training.losses.edges import boundaries
from swath.training.losses.options import Amount, Share, SomeAmount
from swath.training.losses.pixels import IGNORE, counted, mean_of, pixel_entropy

_NEAR = ((16, 8.0), (64, 4.0), (128, 2.0))  # pixels to the next boundary, and how much a pixel counts that is nearer


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    smoothing: Share = 0.0,
    divide_by: Literal["weights", "pixels", "all"] = "weights",
) -> Tensor:
    """The mean over the pixels that are not ignored, weighted by class. `divide_by: pixels` lets weights change its
    size too, `all` counts ignored pixels as right (both as EdgeAI-Lite does)."""
    total = F.cross_entropy(
        logits, labels, weight=weights, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )
    if divide_by == "all":
        return total / labels.numel()
    by = counted(labels, weights if divide_by == "weights" else None, logits.dtype)
    return total / by.sum().clamp(min=torch.finfo(logits.dtype).tiny)


def focal(
    logits: Tensor, labels: Tensor, weights: Tensor | None, gamma: Amount = 2.0, alpha: SomeAmount = 0.25
) -> Tensor:
    """Mean of -alpha (1 - p)^gamma ln p of the true class (Lin et al., arXiv 1708.02002)."""
    loss = pixel_entropy(logits, labels)
    wrong = (-torch.expm1(-loss)).clamp(min=torch.finfo(loss.dtype).eps)  # at 0 a power below 1 is infinitely steep
    return mean_of(alpha * wrong**gamma * loss, counted(labels, weights, loss.dtype))


def boundary_focal(logits: Tensor, labels: Tensor, weights: Tensor | None, gamma: Amount = 0.5) -> Tensor:
    """Mean of -alpha exp(gamma (1 - p)) ln p, the factors without a gradient, alpha 8, 4, 2, 1 with the distance from
    the next boundary (SwiftNet's pyramid; Orsic and Segvic, Pattern Recognition 110, 2021)."""
    loss = pixel_entropy(logits, labels)
    wrong = -torch.expm1(-loss.detach())
    away = squared_distance(boundaries(labels), reach=_NEAR[-1][0])
    alpha = torch.ones_like(loss)
    for near, much in reversed(_NEAR):
        alpha = torch.where(away < near**2, much, alpha)
    return mean_of(alpha * (gamma * wrong).exp() * loss, counted(labels, weights, loss.dtype))
