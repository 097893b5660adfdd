"""Losses of whole regions: stand-ins for the overlap of prediction and truth, class by class."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from swath.training.losses.options import SomeAmount
from swath.training.losses.pixels import IGNORE, mean_over_classes


def dice(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    smooth: SomeAmount = 1.0,
    classes: Literal["all", "present"] = "all",
    per_picture: bool = False,
) -> Tensor:
    """Mean over classes of 1 - (2 sum(p y) + s) / (sum(p) + sum(y) + s) (Milletari et al., arXiv 1606.04797)."""
    known = (labels != IGNORE)[:, None]
    p = torch.where(known, logits.softmax(1), 0)
    truth = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)[:, None, None]
    over = (2, 3)
    hits, answered, true = torch.where(truth, p, 0).sum(over), p.sum(over), truth.sum(over)  # N x C
    pixels = known.sum(over)  # N x 1
    if not per_picture:
        hits, answered, true, pixels = (each.sum(0, keepdim=True) for each in (hits, answered, true, pixels))
    each = 1 - (2 * hits + smooth) / (answered + true + smooth)
    counts = true > 0 if classes == "present" else (pixels > 0).expand_as(true)
    return mean_over_classes(each, counts, weights)


def lovasz(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    classes: Literal["present", "all"] = "present",
    per_picture: bool = False,
) -> Tensor:
    """Lovász-softmax: the convex extension of each class's 1 - IoU, of the errors |y - p| (Berman, Rannen Triki and
    Blaschko, arXiv 1705.08790); over the batch, or the mean over its pictures."""
    rows = len(labels) if per_picture else 1
    known = (labels != IGNORE).reshape(rows, -1)
    each, present = [], []
    for number, p in enumerate(logits.softmax(1).unbind(1)):  # class by class: one sort's memory at a time
        true = (labels == number).reshape(rows, -1)
        p = p.reshape(rows, -1)
        errors = torch.where(true, 1 - p, p)
        each.append((errors * _slopes(errors.detach(), true, known)).sum(1))
        present.append(true.any(1))
    found = torch.stack(present, 1)
    counts = found if classes == "present" else known.any(1, keepdim=True).expand_as(found)
    return mean_over_classes(torch.stack(each, 1), counts, weights)


def _slopes(errors: Tensor, true: Tensor, known: Tensor) -> Tensor:
    """By how much 1 - IoU grows as each pixel, from the worst on, turns wrong; R x P as all else.

    With I true pixels still right and U pixels in the union, a true one adds 1 / U, another I / (U (U - 1)). The usual
    difference of neighbours' Jaccard indices is the same, but in float32 little is left of it after a million pixels.
    """
    order = errors.masked_fill(~known, -1).argsort(1, descending=True)  # ignored ones come last
    hit = true.gather(1, order)
    hits = hit.cumsum(1, dtype=torch.int32)
    place = torch.arange(1, hits.shape[1] + 1, dtype=torch.int32, device=hits.device)
    total = hits[:, -1:]
    right, union = (total - hits).to(errors.dtype), (total + place - hits).to(errors.dtype)
    of_others = torch.where(total > 0, right / union / (union - 1).clamp(min=1), (place == 1).to(errors.dtype))
    slopes = torch.where(hit, 1 / union, of_others)
    return torch.empty_like(errors).scatter_(1, order, slopes) * known
