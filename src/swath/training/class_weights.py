"""Weights of classes from how often they occur: rare ones count more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from swath.data import Source
from swath.errors import SwathError
from swath.training.config import Stage


def class_weights(stage: Stage, source: Source) -> Tensor | None:
    """One weight a class, or None; `log` is 1 / ln(1.02 + share of the pixels) (ENet, arXiv 1606.02147)."""
    if isinstance(stage.class_weights, list):
        return _given(stage.class_weights, source)
    if stage.class_weights == "none":
        return None
    counts = count_pixels(source)
    if not counts.sum():
        raise SwathError(f"{source.card.name}: every pixel of the training split is ignored; check the card's labels")
    return torch.from_numpy(1 / np.log(1.02 + counts / counts.sum())).float()


def count_pixels(source: Source) -> np.ndarray:  # type: ignore[type-arg]
    """Pixels of each class over all labels of a source."""
    counts = np.zeros(256, np.int64)
    for index in range(len(source)):
        counts += np.bincount(source.labels(index).ravel(), minlength=256)
    return counts[: source.card.num_classes]


def _given(weights: Sequence[float], source: Source) -> Tensor:
    if len(weights) != source.card.num_classes or min(weights) < 0:
        raise SwathError(
            f"class_weights has {len(weights)} numbers for the {source.card.num_classes} classes of "
            f"{source.card.name}; give one each, 0 or more, in this order: {', '.join(source.card.class_names)}"
        )
    return torch.tensor(weights, dtype=torch.float32)
