"""Losses by name. Each takes logits (N x C x H x W), labels (N x H x W, 255: ignored) and class weights or None.

All are finite with a zero gradient on a crop that is ignored everywhere, and none waits for the device.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.errors import SwathError, unknown
from swath.training.aux_losses import aux_loss

IGNORE = 255
Criterion = Callable[[Sequence[Tensor], Tensor], Tensor]  # outputs (main, then auxiliary), labels -> one number


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
    """The mean over the pixels that are not ignored, weighted by class."""
    total = F.cross_entropy(
        logits, labels, weight=weights, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )
    if weights is None:
        return total / (labels != IGNORE).sum().clamp(min=1)
    return total / _pixel_weights(labels, weights).sum().clamp(min=1e-12)


def ohem(
    logits: Tensor, labels: Tensor, weights: Tensor | None, threshold: float = 0.7, min_share: float = 0.05
) -> Tensor:
    """Cross-entropy over the hard pixels: those whose true class has a probability of at most `threshold`, and at
    least the `min_share` of all pixels with the largest loss (online hard example mining, arXiv 1604.03540)."""
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    cut = _hard_from(loss.detach(), -math.log(threshold), min_share)
    hard = (loss.detach() >= cut) & (labels != IGNORE)
    counted = hard.to(loss.dtype) if weights is None else hard * _pixel_weights(labels, weights)
    return (loss * counted).sum() / counted.sum().clamp(min=1e-12)


LOSSES: dict[str, Callable[..., Tensor]] = {"cross-entropy": cross_entropy, "ohem": ohem}


def make_loss(
    name: str,
    options: Mapping[str, Any],
    class_weights: Tensor | None = None,
    aux_weights: Sequence[float] = (),
    aux_kinds: Sequence[str] | None = None,
) -> Criterion:
    """The loss `name` over all outputs of a network; its options are checked here, before anything is trained.

    Auxiliary outputs of classes take the same loss as the main one, other kinds (`Network.aux_kinds`) their own.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    one = LOSSES[name]
    check_options(name, one, options, above_zero=("threshold",))

    def main_loss(logits: Tensor, classes: Tensor) -> Tensor:
        return one(logits.float(), classes, class_weights, **options)

    kinds = aux_kinds if aux_kinds is not None else ["segmentation"] * len(aux_weights)
    each_loss = [main_loss, *(aux_loss(kind, main_loss) for kind in kinds)]

    def criterion(outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
        if len(outputs) != 1 + len(aux_weights):
            raise ValueError(f"{len(outputs)} outputs for one main and {len(aux_weights)} auxiliary weights")
        classes = labels.long()
        losses = [loss(output, classes) for loss, output in zip(each_loss, outputs, strict=True)]
        return sum((weight * loss for weight, loss in zip(aux_weights, losses[1:])), start=losses[0])

    return criterion


def check_options(
    name: str, loss: Callable[..., Tensor], options: Mapping[str, Any], above_zero: Sequence[str] = ()
) -> None:
    """Refuse what a loss does not take; its options are what has a default."""
    known = [each.name for each in inspect.signature(loss).parameters.values() if each.default is not each.empty]
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of the loss '{name}'", option, known)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise SwathError(f"loss_options.{option} of '{name}' is {value}, it must be a number between 0 and 1")
        if value == 0 and option in above_zero:
            raise SwathError(f"loss_options.{option} of '{name}' is 0, it must be above 0")


def _pixel_weights(labels: Tensor, weights: Tensor) -> Tensor:
    """The weight of each pixel's class; 0 where the pixel is ignored."""
    return F.pad(weights, (0, 1))[labels.clamp(max=len(weights))]


def _hard_from(loss: Tensor, threshold: float, min_share: float) -> Tensor:
    """The least loss that counts. Selecting the k largest is no sort of all, but still costs more than the rest; on the
    CPU, where looking at a number is free, it is left out when the threshold alone finds enough pixels."""
    least = max(1, int(min_share * loss.numel()))
    limit = loss.new_tensor(threshold)
    if loss.device.type == "cpu" and int((loss >= threshold).sum()) >= least:
        return limit
    largest: Tensor = torch.topk(loss.flatten(), least, sorted=False).values.min()
    return torch.minimum(limit, largest)
