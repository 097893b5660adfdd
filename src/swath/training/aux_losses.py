"""Losses of auxiliary outputs that are not plain label maps: `Network.aux_kinds` says which output wants which.

All targets are made from the labels on the device; ignored pixels make no boundary and count nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
_BAND = 5  # pixels on either side of a class boundary that a "band" output is trained on
_LAPLACIAN = ((1, 0.6), (2, 0.3), (4, 0.1))  # stride and weight of each scale of STDC-Seg's detail target

SegmentationLoss = Callable[[Tensor, Tensor], Tensor]


def aux_loss(kind: str, segmentation: SegmentationLoss) -> SegmentationLoss:
    """The loss of an output of `kind`; outputs of classes take that of the main output."""
    if kind == "segmentation":
        return segmentation
    if kind == "band":
        return lambda logits, labels: segmentation(logits, near_boundaries(labels))
    return {"boundary": boundary, "detail": detail, "presence": presence}[kind]


def boundaries(labels: Tensor) -> Tensor:
    """N x H x W, True where the right or lower neighbour is of another class (on either side of the border)."""
    known = labels != IGNORE
    edge = torch.zeros_like(known)
    across = (labels[:, :, 1:] != labels[:, :, :-1]) & known[:, :, 1:] & known[:, :, :-1]
    down = (labels[:, 1:] != labels[:, :-1]) & known[:, 1:] & known[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    return edge


def widened(mask: Tensor, by: int) -> Tensor:
    """The mask and all pixels within `by` of it, by rows and columns."""
    return F.max_pool2d(mask[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0


def near_boundaries(labels: Tensor) -> Tensor:
    """Labels that are kept near class boundaries and ignored elsewhere (MSFNet's second decoder)."""
    return torch.where(widened(boundaries(labels), _BAND), labels, IGNORE)


def boundary(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of "is this pixel at a boundary", boundary and other pixels counting half each (PIDNet)."""
    target = widened(boundaries(labels), 1)
    known = labels != IGNORE
    at, off = (target & known).sum(), (~target & known).sum()
    weight = torch.where(target, off, at) * known / (at + off).clamp(min=1)
    loss = F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float(), reduction="none")
    return (weight * loss).sum() / known.sum().clamp(min=1)


def detail(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy and dice against fine structure of the labels at three scales (STDC-Seg, arXiv 2104.13188)."""
    target, known = detail_target(labels), (labels != IGNORE).float()
    scores = logits[:, 0].float()
    entropy = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    mean = (entropy * known).sum() / known.sum().clamp(min=1)
    guess = scores.sigmoid() * known
    hit, both = (guess * target).sum((1, 2)), guess.sum((1, 2)) + target.sum((1, 2))
    dice = 1 - (2 * hit + 1) / (both + 1)
    return mean + (dice * (known.sum((1, 2)) > 0)).mean()


def detail_target(labels: Tensor) -> Tensor:
    """1 where the Laplacian of the labels, taken at strides 1, 2 and 4 and added up, is strong enough."""
    known = labels != IGNORE
    plane = torch.where(known, labels, 0)[:, None].float()
    kernel = torch.full((1, 1, 3, 3), -1.0, device=labels.device)
    kernel[0, 0, 1, 1] = 8
    total = torch.zeros_like(plane)
    for stride, share in _LAPLACIAN:
        edge = (F.conv2d(plane, kernel, stride=stride, padding=1).clamp(min=0) > 0.1).float()
        total += share * F.interpolate(edge, size=plane.shape[-2:], mode="nearest")
    blind = widened(~known, 1)  # a border of ignored pixels is no structure
    return ((total[:, 0] > 0.1) & ~blind).float()


def presence(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of "does this class occur in the picture" (context encoding, arXiv 1803.08904)."""
    scores = logits[:, :, 0, 0].float()  # constant over the picture
    occurs = scores.new_zeros(len(labels), IGNORE + 1).scatter_(1, labels.flatten(1), 1)[:, : scores.shape[1]]
    seen = (labels != IGNORE).flatten(1).any(1).float()
    loss = F.binary_cross_entropy_with_logits(scores, occurs, reduction="none").mean(1)
    return (loss * seen).sum() / seen.sum().clamp(min=1)
