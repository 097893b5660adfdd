"""Losses that learn from the hardest pixels. None sorts: see `select.py`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from swath.training.losses.moment import Moment
from swath.training.losses.options import Amount, Count, Share, SomeCount, SomeShare
from swath.training.losses.pixels import IGNORE, counted, mean_of, pixel_entropy
from swath.training.losses.select import kth_largest

_PARTS = 1_000_000  # shares are taken in whole numbers, which the device multiplies without rounding


def ohem(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    threshold: SomeShare = 0.7,
    min_share: Share = 0.05,
    min_pixels: Count = 0,
) -> Tensor:
    """Cross-entropy over the hard pixels: those whose true class has a probability of at most `threshold`, but at least
    the `min_share` of the batch's known pixels with the largest loss, and at least `min_pixels` of them (online hard
    example mining, Shrivastava et al., arXiv 1604.03540)."""
    loss = pixel_entropy(logits, labels)
    size = loss.detach().float()
    known = labels != IGNORE
    pixels = known.sum()
    least = (pixels * round(min_share * _PARTS) // _PARTS).maximum(pixels.clamp(max=min_pixels)).clamp(min=1)
    cut = kth_largest(size.reshape(1, -1), least[None]).clamp(max=-math.log(threshold))
    hard = known & (size >= cut)
    return mean_of(loss, hard * counted(labels, weights, loss.dtype))


def bootstrapped(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    moment: Moment,
    start: SomeCount = 512,
    least: SomeCount = 128,
    step: SomeCount = 512,
    power: Amount = 0.95,
) -> Tensor:
    """The mean of the K largest losses of each picture, or of all where it has no more known pixels. K falls from
    `step` * `start` to `step` * `least` in the course of the stage; power 0 keeps it (bootstrapped cross-entropy, Wu,
    Shen and van den Hengel, arXiv 1604.04339; the schedule is LightNet's). Weights of classes multiply the losses
    first."""
    k = step * max(least, math.floor(start * (1 - moment.done) ** power))
    loss = pixel_entropy(logits, labels).flatten(1)
    if weights is not None:
        loss = loss * counted(labels, weights, loss.dtype).flatten(1)
    size, known = loss.detach().float(), (labels != IGNORE).flatten(1)
    kept = known.sum(1).clamp(max=k)
    cut = kth_largest(size, kept.clamp(min=1))[:, None]
    above, level = known & (size > cut), known & (size == cut)
    rest = (kept - above.sum(1)) / level.sum(1).clamp(min=1)  # equal losses share the places that are left
    share = torch.where(level, rest.to(loss.dtype)[:, None], above.to(loss.dtype))
    pictures = (loss * share).sum(1) / kept.clamp(min=1)
    return pictures.sum() / (kept > 0).sum().clamp(min=1)
