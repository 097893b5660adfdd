"""Weights of classes from how often they occur: rare ones count more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from swath.data import Source
from swath.data.source import read_parts
from swath.errors import SwathError
from swath.evaluation.processes import joined_up, sum_over_processes
from swath.evaluation.tasks import TRUTHS, classes_of
from swath.training.config import Stage, Task

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def log_weights(pixels: Counts, pictures: Counts) -> Floats:
    """1 / ln(1.02 + share of the pixels) (ENet, arXiv 1606.02147)."""
    weights: Floats = 1 / np.log(1.02 + pixels / pixels.sum())
    return weights


def median_weights(pixels: Counts, pictures: Counts) -> Floats:
    """Median frequency / frequency, where a class's frequency is its pixels by the pictures that show it (Eigen and
    Fergus, arXiv 1411.4734)."""
    often = pixels / np.maximum(pictures, 1)
    return _or_largest(np.median(often[pixels > 0]), often)


def inverse_weights(pixels: Counts, pictures: Counts) -> Floats:
    """Mean share / share of the pixels (EdgeAI-Lite's rule for ADE20K)."""
    return _or_largest(pixels.mean(), pixels.astype(np.float64))


WEIGHTS: dict[str, Callable[[Counts, Counts], Floats]] = {
    "log": log_weights,
    "median": median_weights,
    "inverse": inverse_weights,
}


def class_weights(stage: Stage | Task, source: Source, task: str = "segmentation") -> Tensor | None:
    """One weight a class of a task, or None."""
    if isinstance(stage.class_weights, list):
        return _given(stage.class_weights, source, task)
    if stage.class_weights == "none":
        return None
    if not classes_of(task, source.card):
        raise SwathError(f"tasks.{task}.class_weights: {task} has no classes; leave it out")
    pixels, pictures = count(source, task)
    if not pixels.sum():
        raise SwathError(f"{source.card.name}: every pixel of the training split is ignored; check the card's labels")
    return torch.from_numpy(WEIGHTS[stage.class_weights](pixels, pictures)).float()


def count(source: Source, task: str = "segmentation") -> tuple[Counts, Counts]:
    """Pixels of each class over the whole truth of a task, and pictures in which it occurs. Several processes share the
    pictures."""
    pixels, pictures = np.zeros(256, np.int64), np.zeros(256, np.int64)
    truth = TRUTHS[task]
    rank, world = (dist.get_rank(), dist.get_world_size()) if joined_up() else (0, 1)
    for index in range(rank, len(source), world):
        here = np.bincount(read_parts(source, index, [truth])[truth].ravel(), minlength=256)
        pixels += here
        pictures += here > 0
    if world > 1:
        sum_over_processes(pixels, pictures)
    classes = len(classes_of(task, source.card))
    return pixels[:classes], pictures[:classes]


def _or_largest(part: float, of: Floats) -> Floats:
    """part / of; a class that never occurs, which would count without bounds, gets the largest weight of the others."""
    weights: Floats = part / np.where(of > 0, of, of[of > 0].min())
    return weights


def _given(weights: Sequence[float], source: Source, task: str) -> Tensor:
    names = classes_of(task, source.card)
    if len(weights) != len(names) or min(weights) < 0:
        raise SwathError(
            f"class_weights has {len(weights)} numbers for the {len(names)} classes of "
            f"{source.card.name}; give one each, 0 or more, in this order: {', '.join(names)}"
        )
    return torch.tensor(weights, dtype=torch.float32)
