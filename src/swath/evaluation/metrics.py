"""Scores from a confusion matrix, by the definitions of the Cityscapes evaluator.

A class is *absent* when no pixel is of it and none was predicted as it: its IoU and Dice are then None, and averages
leave it out. A class that was predicted but never occurs in the truth scores 0, as in the official evaluator. Accuracy
(recall) needs truth pixels alone: it is None for a class without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import SwathError
from swath.evaluation.confusion import Counts

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.evaluation.boundary import BoundaryScores
    from swath.evaluation.instances import InstanceScores

Score = float | None  # between 0 and 1, or absent


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Everything as a share of 1. Lists follow the card's classes; `counts[truth][prediction]` are pixels. Boundaries
    and instances are scored where that was asked for."""

    miou: Score
    class_iou: list[Score]
    category_miou: Score
    category_iou: dict[str, Score]
    pixel_accuracy: Score
    mean_accuracy: Score
    class_accuracy: list[Score]
    mean_dice: Score
    class_dice: list[Score]
    frequency_weighted_iou: Score
    class_names: list[str]
    absent: list[str]
    pixels: int  # that were scored
    counts: Counts
    boundary: BoundaryScores | None = None
    instances: InstanceScores | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain numbers and lists, absent scores as null."""
        return {**asdict(self), "counts": self.counts.tolist()}


def metrics(counts: Counts, card: Card) -> Scores:
    """All scores of a confusion matrix (rows: truth) over the classes of `card`."""
    names = list(card.class_names)
    if counts.shape != (len(names), len(names)):
        raise SwathError(f"{card.name}: {len(names)} classes, but the confusion matrix is {counts.shape}")
    return class_scores(counts, names, [each.category for each in card.classes])


def class_scores(counts: Counts, names: list[str], categories: Sequence[str | None]) -> Scores:
    """The same over any classes; `categories` is parallel to the names, or empty."""
    hits, truth, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    class_iou = ratios(hits, truth + predicted - hits)
    category_iou = _category_iou(counts, categories)
    class_accuracy = ratios(hits, truth)
    class_dice = ratios(2 * hits, truth + predicted)
    pixels = int(counts.sum())
    weighted = sum(int(n) * iou for n, iou in zip(truth, class_iou) if iou is not None)
    return Scores(
        miou=mean(class_iou),
        class_iou=class_iou,
        category_miou=mean(list(category_iou.values())),
        category_iou=category_iou,
        pixel_accuracy=_ratio(int(hits.sum()), pixels),
        mean_accuracy=mean(class_accuracy),
        class_accuracy=class_accuracy,
        mean_dice=mean(class_dice),
        class_dice=class_dice,
        frequency_weighted_iou=weighted / pixels if pixels else None,
        class_names=names,
        absent=[name for name, iou in zip(names, class_iou) if iou is None],
        pixels=pixels,
        counts=counts.copy(),
    )


def _category_iou(counts: Counts, categories: Sequence[str | None]) -> dict[str, Score]:
    """IoU of the matrix whose rows and columns are added up by category: confusing car with bus is right here."""
    known = list(dict.fromkeys(each for each in categories if each))
    member = np.array([[each == category for each in categories] for category in known], np.int64)
    if not known:
        return {}
    # Rows of classes without a category count as truth of none, as pixels of every other category do.
    hits = np.einsum("ki,ij,kj->k", member, counts, member)
    truth, predicted = member @ counts.sum(axis=1), member @ counts.sum(axis=0)
    return dict(zip(known, ratios(hits, truth + predicted - hits)))


def ratios(part: Counts, whole: Counts) -> list[Score]:
    """Parts of wholes, one by one; of nothing there is none."""
    return [_ratio(int(p), int(w)) for p, w in zip(part, whole)]


def _ratio(part: int, whole: int) -> Score:
    return part / whole if whole else None


def mean(scores: Sequence[Score]) -> Score:
    """The mean of those that are not absent."""
    present = [score for score in scores if score is not None]
    return sum(present) / len(present) if present else None
