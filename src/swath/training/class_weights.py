"""Weights of classes from how often they occur: rare ones count more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from swath.data import Source
from swath.data.source import read_parts
from swath.errors import SwathError
from swath.evaluation.tasks import TRUTHS, classes_of
from swath.training.config import Stage, Task


def class_weights(stage: Stage | Task, source: Source, task: str = "segmentation") -> Tensor | None:
    """One weight a class of a task, or None; `log` is 1 / ln(1.02 + share of the pixels) (ENet, arXiv 1606.02147)."""
    if isinstance(stage.class_weights, list):
        return _given(stage.class_weights, source, task)
    if stage.class_weights == "none":
        return None
    if not classes_of(task, source.card):
        raise SwathError(f"tasks.{task}.class_weights: {task} has no classes; leave it out")
    counts = count_pixels(source, task)
    if not counts.sum():
        raise SwathError(f"{source.card.name}: every pixel of the training split is ignored; check the card's labels")
    return torch.from_numpy(1 / np.log(1.02 + counts / counts.sum())).float()


def count_pixels(source: Source, task: str = "segmentation") -> np.ndarray:  # type: ignore[type-arg]
    """Pixels of each class over the whole truth of a task."""
    counts = np.zeros(256, np.int64)
    truth = TRUTHS[task]
    for index in range(len(source)):
        counts += np.bincount(read_parts(source, index, [truth])[truth].ravel(), minlength=256)
    return counts[: len(classes_of(task, source.card))]


def _given(weights: Sequence[float], source: Source, task: str) -> Tensor:
    names = classes_of(task, source.card)
    if len(weights) != len(names) or min(weights) < 0:
        raise SwathError(
            f"class_weights has {len(weights)} numbers for the {len(names)} classes of "
            f"{source.card.name}; give one each, 0 or more, in this order: {', '.join(names)}"
        )
    return torch.tensor(weights, dtype=torch.float32)
