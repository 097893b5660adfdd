"""Score a network on a split: one picture (or a small batch) at a time, at the full resolution of the truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from swath.data.folder import FolderSource
from swath.errors import SwathError
from swath.evaluation.boundary import BoundaryCounts
from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.instances import InstanceCounts, instance_maps
from swath.evaluation.metrics import Scores, metrics
from swath.evaluation.observers import Observer, Scored
from swath.evaluation.processes import Shard, check_shard, joined_up
from swath.inference import Segmenter
from swath.inference.ahead import ahead
from swath.networks import Network

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.data import Source

Watch = Callable[[int, int, ConfusionMatrix], None]  # pictures done, pictures in all, counts so far
Array = npt.NDArray[Any]


def evaluate(
    model: Network | Segmenter,
    source: Source,
    *,
    batch: int = 1,
    limit: int | None = None,
    watch: Watch | None = None,
    observers: Sequence[Observer] = (),
    boundary: Sequence[int] = (),
    instances: bool = False,
    shard: Shard | None = None,
) -> Scores:
    """All scores of `model` on the pictures of `source`. A network is taken as it stands, on the device it is on, and
    is left in the mode it came in; memory does not grow with the number of pictures.

    `boundary`: widths in pixels at which boundaries are scored as well. `instances`: Cityscapes' iIoU as well.
    `shard=(rank, world)`: this process takes every world-th picture. Where torch.distributed has been set up, the sums
    of all processes are added and each gets the scores of all pictures; elsewhere the scores are those of the share.
    """
    with _ready(model) as segmenter:
        check_classes(segmenter, source.card)
        total = len(source) if limit is None else min(limit, len(source))
        if total < 1:
            raise SwathError(
                f"{source.card.name}: there is no picture to evaluate; check the split and the root folder"
            )
        rank, world = check_shard(shard) if shard else (0, 1)
        measures = Measures(source.card, boundary, instances)
        objects = instance_maps(source) if instances else lambda index: None
        sure = any(observer.wants_confidence for observer in observers)
        mine, step, done = range(rank, total, world), max(1, batch), 0
        chunks = [mine[start : start + step] for start in range(0, len(mine), step)]

        def read(chunk: range) -> list[tuple[Array, Array, Array | None]]:
            return [(source.image(index), source.labels(index), objects(index)) for index in chunk]

        for indices, pictures in ahead(read, chunks, _readers(segmenter, source)):
            images, truths, known = zip(*pictures())
            answers = segmenter.answers(images, sure)
            for index, image, truth, instance_map, answer in zip(indices, images, truths, known, answers):
                try:
                    measures.update(truth, answer.labels, instance_map)
                except SwathError as error:
                    raise SwathError(f"{source.name(index)}: {error}") from error
                for observer in observers:
                    observer.see(Scored(index, source.name(index), image, truth, answer.labels, answer.confidence))
            done += len(indices)
            if watch:
                watch(done, len(mine), measures.confusion)
    if shard and joined_up():
        measures.all_reduce()
    return measures.scores()


@contextmanager
def _ready(model: Network | Segmenter) -> Iterator[Segmenter]:
    """What segments; a network is given back as it came."""
    if isinstance(model, Segmenter):
        yield model
        return
    training = model.training
    try:
        yield Segmenter(model.eval(), optimise=False)
    finally:
        model.train(training)


def _readers(segmenter: Segmenter, source: Source) -> int:
    """On a processor the network itself takes all cores; anything else wants to be fed. Files are read each by itself,
    another source may keep something from one call to the next."""
    if segmenter.runtime.device == "cpu" or not isinstance(source, FolderSource):
        return 1
    return min(8, os.cpu_count() or 1)


class Measures:
    """All sums over pictures that were asked for."""

    def __init__(self, card: Card, boundary: Sequence[int], instances: bool):
        self.card = card
        self.confusion = ConfusionMatrix(card.num_classes)
        self.boundary = BoundaryCounts(card.num_classes, boundary) if boundary else None
        self.instances = InstanceCounts(card) if instances else None

    def update(self, truth: Array, labels: Array, objects: Array | None) -> None:
        """Add one picture."""
        self.confusion.update(truth, labels)
        if self.boundary:
            self.boundary.update(truth, labels)
        if self.instances and objects is not None:
            self.instances.update(objects, truth, labels)

    def all_reduce(self) -> None:
        """Add up the sums of all processes."""
        for each in (self.confusion, self.boundary, self.instances):
            if each:
                each.all_reduce()

    def scores(self) -> Scores:
        counts = self.confusion.counts
        return replace(
            metrics(counts, self.card),
            boundary=self.boundary.scores() if self.boundary else None,
            instances=self.instances.scores(counts) if self.instances else None,
        )


def check_classes(model: Segmenter, card: Card) -> None:
    """Refuse a card whose classes are not those that the network was trained on."""
    names = list(card.class_names)
    if model.num_classes != len(names):
        raise SwathError(
            f"{model.name} has {model.num_classes} classes and the card {card.name} {len(names)}; "
            "give the card that it was trained on, or other weights"
        )
    if not model.description.named:
        return
    for index, (ours, theirs) in enumerate(zip(model.class_names, names)):
        if ours != theirs:
            raise SwathError(
                f"class {index} is '{ours}' in {model.name} and '{theirs}' in the card {card.name}; "
                "give the card that it was trained on, or other weights"
            )
