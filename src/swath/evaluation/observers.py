"""Who wants to see every picture while it is evaluated: the page of the worst ones, the table of all."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.metrics import Score, metrics
from swath.files import atomic_write

if TYPE_CHECKING:
    from swath.cards import Card


@dataclass(frozen=True)
class Scored:
    """One evaluated picture."""

    index: int
    name: str
    image: NDArray[np.uint8]  # H x W x 3
    truth: NDArray[np.uint8]  # H x W, 255 is ignored
    labels: NDArray[np.uint8]  # H x W, the prediction
    confidence: NDArray[np.float32] | None  # H x W, of the predicted class; None: nobody wants it, or nobody knows


class Observer(Protocol):
    """`see` is called once a picture, in the order of the source; `wants_confidence` before the first."""

    wants_confidence: bool

    def see(self, picture: Scored) -> None: ...


class PerPicture:
    """The scores of each picture by itself, as a table, the worst first."""

    wants_confidence = False

    def __init__(self, card: Card):
        self.card = card
        self.rows: list[tuple[float, list[str]]] = []

    def see(self, picture: Scored) -> None:
        confusion = ConfusionMatrix(self.card.num_classes)
        confusion.update(picture.truth, picture.labels)
        scores = metrics(confusion.counts, self.card)
        told = [picture.name, _cell(scores.miou), _cell(scores.pixel_accuracy), str(scores.pixels)]
        row = told + [_cell(iou) for iou in scores.class_iou]
        self.rows.append((2.0 if scores.miou is None else scores.miou, row))  # nothing to score is nothing bad

    def write(self, path: Path) -> None:
        """As CSV, shares of 1; a class that a picture neither has nor was said to have leaves its field empty."""
        with atomic_write(path, "w") as file:
            table = csv.writer(file, lineterminator="\n")
            names = [f"iou_{name}" for name in self.card.class_names]
            table.writerow(["picture", "miou", "pixel_accuracy", "pixels", *names])
            table.writerows(row for _, row in sorted(self.rows, key=lambda each: each[0]))


def _cell(score: Score) -> str:
    return "" if score is None else f"{score:.6f}"
