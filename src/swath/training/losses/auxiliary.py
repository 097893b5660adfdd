"""Losses of auxiliary outputs that are not plain label maps: `Network.aux_kinds` says which output wants which."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.training.losses.edges import boundaries, detail_target, near_boundaries, widened
from swath.training.losses.pixels import IGNORE, in_full

SegmentationLoss = Callable[[Tensor, Tensor], Tensor]


def aux_loss(kind: str, segmentation: SegmentationLoss) -> SegmentationLoss:
    """The loss of an output of `kind`; outputs of classes take `segmentation`."""
    if kind == "segmentation":
        return segmentation
    if kind == "band":
        return lambda logits, labels: segmentation(logits, near_boundaries(labels))
    return {"boundary": boundary, "detail": detail, "presence": presence}[kind]


def boundary(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of "is this pixel at a boundary", boundary and other pixels counting half each (PIDNet)."""
    target = widened(boundaries(labels), 1)
    known = labels != IGNORE
    at, off = (target & known).sum(), (~target & known).sum()
    scores = in_full(logits[:, 0])
    weight = torch.where(target, off, at) * known / (at + off).clamp(min=1)
    loss = F.binary_cross_entropy_with_logits(scores, target.to(scores.dtype), reduction="none")
    return (weight * loss).sum() / known.sum().clamp(min=1)


def detail(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy and dice against fine structure of the labels at three scales (STDC-Seg, arXiv 2104.13188)."""
    scores = in_full(logits[:, 0])
    target, known = detail_target(labels).to(scores.dtype), (labels != IGNORE).to(scores.dtype)
    entropy = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    mean = (entropy * known).sum() / known.sum().clamp(min=1)
    guess = scores.sigmoid() * known
    hit, both = (guess * target).sum((1, 2)), guess.sum((1, 2)) + target.sum((1, 2))
    dice = 1 - (2 * hit + 1) / (both + 1)
    return mean + (dice * (known.sum((1, 2)) > 0)).mean()


def presence(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of "does this class occur in the picture" (context encoding, arXiv 1803.08904)."""
    scores = in_full(logits[:, :, 0, 0])  # constant over the picture
    occurs = scores.new_zeros(len(labels), IGNORE + 1).scatter_(1, labels.flatten(1), 1)[:, : scores.shape[1]]
    seen = (labels != IGNORE).flatten(1).any(1).to(scores.dtype)
    loss = F.binary_cross_entropy_with_logits(scores, occurs, reduction="none").mean(1)
    return (loss * seen).sum() / seen.sum().clamp(min=1)
