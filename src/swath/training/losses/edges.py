"""Class boundaries as targets. They are made from the labels on the device; ignored pixels make no boundary."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.training.losses.pixels import IGNORE

_BAND = 5  # pixels on either side of a class boundary that a "band" output is trained on
_SURE = 0.8  # of this probability on, PIDNet trusts its boundary branch
_LAPLACIAN = ((1, 0.6), (2, 0.3), (4, 0.1))  # stride and weight of each scale of STDC-Seg's detail target


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


def at_sure_boundaries(labels: Tensor, boundary_logits: Tensor) -> Tensor:
    """Labels that are kept where a network is sure of a boundary (PIDNet's boundary-aware cross-entropy)."""
    return torch.where(boundary_logits.detach()[:, 0].sigmoid() > _SURE, labels, IGNORE)


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
