"""How sure the labels are, at every pixel, without ever holding full-size logits of all classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.finish import plain
from swath.finish.axis import Axis, Shown, axes
from swath.finish.labels import checked, use_triton, way
from swath.finish.labels import labels as best_labels

_VALUES = {"cpu": 1 << 19}  # scores held at once: on a processor what its caches hold
_VALUES_ON_DEVICE = 1 << 26


class Confident(NamedTuple):
    """N x H x W each: uint8 labels, float32 probabilities of these classes, and how far the second best are behind."""

    labels: Tensor
    confidence: Tensor
    margin: Tensor


def confident(
    logits: Tensor,
    size: tuple[int, int],
    align_corners: bool = False,
    temperature: float = 1.0,
    shown: Shown | None = None,
) -> Confident:
    """Labels as `labels` gives them, with the softmax probability of the best class at each pixel and the difference of
    the two largest probabilities (1 where there is one class). `temperature` divides the logits, for those two only."""
    if not 0 < temperature < float("inf"):
        raise SwathError(f"temperature {temperature}: it must be a number above 0")
    if temperature != 1:
        # Rounding may decide ties anew: the labels are those of the logits as they came.
        tempered = confident(checked(logits, size) / temperature, size, align_corners, shown=shown)
        return tempered._replace(labels=best_labels(logits, size, align_corners, shown))
    logits = checked(logits, size)
    if use_triton(logits) and shown is None:
        from swath.finish import triton_kernel

        found = triton_kernel.finish(logits, size, align_corners, sure=True)
    elif logits.device.type == "cpu" and way() == "c":
        from swath.finish import compiled

        found = compiled.finish(logits, *axes(logits, size, align_corners, shown), sure=True)
    else:
        return in_bands(plain.finite(logits), *axes(logits, size, align_corners, shown))
    labels, confidence, margin = found
    assert confidence is not None and margin is not None
    return Confident(labels, confidence, margin)


def in_bands(logits: Tensor, rows: Axis, columns: Axis) -> Confident:
    """Some rows of full-size scores at a time, in plain torch."""
    count, classes, h, w = logits.shape
    size, device = (rows.pixels, columns.pixels), logits.device
    above, below, fy = _places(h, rows, device)
    left, right, fx = _places(w, columns, device)
    labels = torch.empty((count, *size), dtype=torch.uint8, device=device)
    confidence, margin = torch.empty((2, count, *size), device=device)
    at_once = max(1, _VALUES.get(device.type, _VALUES_ON_DEVICE) // (max(1, count) * classes * size[1]))
    for start in range(0, size[0], at_once):
        band = slice(start, start + at_once)
        low, high = int(above[band][0]), int(below[band][-1]) + 1
        few = logits[:, :, low:high].transpose(0, 1)  # few rows of logits lie behind many of pixels: widen them first
        wide = torch.lerp(few[..., left], few[..., right], fx)
        scores = torch.lerp(wide[:, :, above[band] - low], wide[:, :, below[band] - low], fy[band, None])
        best = plain.best_class(scores)
        most = scores.amax(0)
        second = scores.scatter(0, best.long()[None], -2 * plain.LIMIT).amax(0)
        total = scores.sub_(most).exp_().sum(0)
        labels[:, band] = best
        confidence[:, band] = 1 / total
        margin[:, band] = (1 - (second - most).exp()) / total
    return Confident(labels, confidence, margin)


def _places(logits: int, axis: Axis, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Between which two logits each pixel lies, and how far from the first."""
    cell = torch.arange(logits + 1).repeat_interleave(axis.start.diff())
    first, second = ((cell - back).clamp_(0, logits - 1).to(device) for back in (1, 0))
    return first, second, axis.fraction[: axis.pixels].to(device)
