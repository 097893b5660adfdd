"""Losses against the answers of a larger network. Each takes logits, the teacher's logits of the same size, labels and
a temperature; pixels whose label is ignored teach nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from swath.training.losses.pixels import IGNORE

DistillationLoss = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def of_logits(logits: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """T^2 times the divergence of the two distributions over the classes, the mean over pixels (Hinton, Vinyals and
    Dean, arXiv 1503.02531)."""
    known = labels != IGNORE
    each = _divergence((logits / temperature).log_softmax(1), (teacher / temperature).log_softmax(1)).sum(1)
    return temperature**2 * torch.where(known, each, 0).sum() / known.sum().clamp(min=1)


def channel_wise(logits: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """T^2 times the divergence of the two distributions of each class over the picture, the mean over classes and
    pictures (Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", arXiv 2011.13256)."""
    known = (labels != IGNORE).flatten(1)[:, None]  # N x 1 x P
    seen = known.any(2)
    # A large negative number, not minus infinity, which turns a picture without known pixels into NaN.
    blind = torch.finfo(logits.dtype).min / 2

    def shares(scores: Tensor) -> Tensor:
        return (scores.flatten(2) / temperature).masked_fill(~known, blind).log_softmax(2)

    each = torch.where(known, _divergence(shares(logits), shares(teacher)), 0).sum(2)  # N x C
    return temperature**2 * (each * seen).sum() / (seen.sum() * logits.shape[1]).clamp(min=1)


def _divergence(own: Tensor, wanted: Tensor) -> Tensor:
    """Element by element, from logarithms; 0 where the teacher's probability is 0."""
    return wanted.exp() * (wanted - own)


DISTILLATION_LOSSES: dict[str, DistillationLoss] = {"channel-wise": channel_wise, "logits": of_logits}
