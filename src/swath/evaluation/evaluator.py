"""Score a network on a split: one picture (or a small batch) at a time, at the full resolution of the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from swath.errors import SwathError
from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.metrics import Scores, metrics
from swath.inference import Segmenter
from swath.inference.ahead import ahead
from swath.networks import Network

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.data import Source

Watch = Callable[[int, int, ConfusionMatrix], None]  # pictures done, pictures in all, counts so far


def evaluate(
    model: Network | Segmenter,
    source: Source,
    *,
    batch: int = 1,
    limit: int | None = None,
    watch: Watch | None = None,
) -> Scores:
    """All scores of `model` on the pictures of `source`. A network is taken as it stands, on the device it is on, and
    is left in the mode it came in; memory does not grow with the number of pictures."""
    if isinstance(model, Network):
        training = model.training
        try:
            return evaluate(Segmenter(model.eval(), optimise=False), source, batch=batch, limit=limit, watch=watch)
        finally:
            model.train(training)
    check_classes(model, source.card)
    total = len(source) if limit is None else min(limit, len(source))
    if total < 1:
        raise SwathError(f"{source.card.name}: there is no picture to evaluate; check the split and the root folder")
    confusion = ConfusionMatrix(source.card.num_classes)
    done = 0
    chunks = [range(start, min(start + max(1, batch), total)) for start in range(0, total, max(1, batch))]
    for indices, pictures in ahead(lambda chunk: [(source.image(i), source.labels(i)) for i in chunk], chunks):
        images, truths = zip(*pictures())
        for index, truth, labels in zip(indices, truths, model.label_maps(images)):
            try:
                confusion.update(truth, labels)
            except SwathError as error:
                raise SwathError(f"{source.name(index)}: {error}") from error
        done += len(indices)
        if watch:
            watch(done, total, confusion)
    return metrics(confusion.counts, source.card)


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
