"""Cityscapes' iIoU (Cordts et al. 2016, section 4.1): the IoU in which every object counts as much as any other.

iIoU = iTP / (iTP + FP + iFN). A pixel of an object counts `average size of its class / size of this object` towards
iTP or iFN, so that near objects no longer outweigh far ones; FP are plain pixels, since a prediction has no objects.
Pixels of groups that are annotated as one, without single objects, count neither as iTP nor as iFN. Of a category, a
pixel is right where the prediction is any class of the category.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from swath.errors import SwathError
from swath.evaluation.confusion import Bytes, Counts
from swath.evaluation.metrics import Score, mean
from swath.evaluation.processes import sum_over_processes

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.data import Source

# Pixels of an object, on average over Cityscapes' training pictures: the constants of its official evaluator.
AVERAGE_SIZES = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}
_FIRST = 1000  # instance maps hold class * 1000 + number for an object, and the bare class for anything else


@dataclass(frozen=True, kw_only=True)
class InstanceScores:
    """By name, for classes that have objects and for their categories alone."""

    class_iiou: dict[str, Score]
    mean_class_iiou: Score
    category_iiou: dict[str, Score]
    mean_category_iiou: Score


class InstanceCounts:
    """Streaming weighted sums over pictures, by class: first of classes, then of their categories."""

    def __init__(self, card: Card):
        sized = {index: AVERAGE_SIZES[name] for index, name in enumerate(card.class_names) if name in AVERAGE_SIZES}
        if not sized:
            raise SwathError(
                f"card '{card.name}': iIoU needs the average size of a class's objects, which is known for Cityscapes' "
                f"classes alone ({', '.join(AVERAGE_SIZES)})"
            )
        self.names = card.class_names
        self.categories = [each.category for each in card.classes]
        self.sizes = np.zeros(256)
        self.sizes[list(sized)] = list(sized.values())
        known = list(dict.fromkeys(each for each in self.categories if each))
        self.category_of = np.full(256, -1)  # -1 is nobody's category: of ignored pixels, and of classes without one
        self.category_of[: len(self.names)] = [known.index(each) if each else -1 for each in self.categories]
        self.hits, self.misses = np.zeros((2, len(self.names))), np.zeros((2, len(self.names)))

    def update(self, instances: npt.NDArray[Any], truth: Bytes, prediction: Bytes) -> None:
        """Add the objects of one picture; `instances` holds the values of an *_instanceIds.png."""
        if instances.shape != truth.shape:
            raise SwathError(f"the instance map is {instances.shape}, the labels are {truth.shape}; they must agree")
        at = np.flatnonzero(instances >= _FIRST)
        values, true, said = (each.reshape(-1)[at] for each in (instances, truth, prediction))
        counted = self.sizes[true] > 0
        values, true, said = values[counted], true[counted], said[counted]
        if not len(values):
            return
        pixels = np.bincount(values)
        of = np.zeros(len(pixels), np.int64)
        of[values] = true  # the class of each object
        objects = np.flatnonzero(pixels)
        weight = self.sizes[of[objects]] / pixels[objects]
        mine = self.category_of[true]
        for row, right in enumerate((said == true, (self.category_of[said] == mine) & (mine >= 0))):
            hit = np.bincount(values[right], minlength=len(pixels))[objects]
            np.add.at(self.hits[row], of[objects], hit * weight)
            np.add.at(self.misses[row], of[objects], (pixels[objects] - hit) * weight)

    def all_reduce(self) -> None:
        """Add up the sums of all processes of torch.distributed."""
        sum_over_processes(self.hits, self.misses)

    def scores(self, counts: Counts) -> InstanceScores:
        """The scores, with the confusion matrix of the same pictures, which has the false positives."""
        with_objects = [index for index in range(len(self.names)) if self.sizes[index]]
        classes = {self.names[index]: self._score(0, counts, [index]) for index in with_objects}
        groups = dict.fromkeys(self.categories[index] for index in with_objects if self.categories[index])
        categories = {
            name: self._score(1, counts, [index for index in with_objects if self.categories[index] == name])
            for name in groups
        }
        return InstanceScores(
            class_iiou=classes,
            mean_class_iiou=mean(list(classes.values())),
            category_iiou=categories,
            mean_category_iiou=mean(list(categories.values())),
        )

    def _score(self, row: int, counts: Counts, members: Sequence[int]) -> Score:
        """Of one class, or of a category: its members."""
        hits, misses = float(self.hits[row, members].sum()), float(self.misses[row, members].sum())
        others = [index for index in range(len(self.names)) if index not in members]
        if row:  # truth of the same category is no false positive, even of classes without objects
            others = [index for index in others if self.categories[index] != self.categories[members[0]]]
        false = int(counts[np.ix_(others, members)].sum())
        whole = hits + misses + false
        return hits / whole if whole else None


def instance_maps(source: Source) -> Callable[[int], npt.NDArray[Any]]:
    """What reads the instance map of a picture, H x W of whole numbers."""
    read: Callable[[int], npt.NDArray[Any]] | None = getattr(source, "instances", None)
    if read is None:
        raise SwathError(
            f"card '{source.card.name}': these pictures come without the instance maps that iIoU is made of; "
            "score the dataset's own files, and see that the card has the key 'instances'"
        )
    return read
