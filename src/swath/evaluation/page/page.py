"""`Page`: sees every evaluated picture, keeps sums and the worst ones, and writes it all down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from swath.cards import Card
from swath.evaluation.metrics import Scores
from swath.evaluation.observers import Scored
from swath.evaluation.page.borders import BorderCounts
from swath.evaluation.page.calibration import CalibrationCounts
from swath.evaluation.page.sizes import SizeCounts
from swath.evaluation.page.worst import Worst
from swath.report import write_page

_IGNORE = 255


class Page:
    """The results page of an evaluation; its memory does not grow with the number of pictures."""

    wants_confidence = True

    def __init__(self, card: Card, worst: int = 12):
        self.card = card
        self.sizes = SizeCounts(card.num_classes)
        self.borders = BorderCounts(card.num_classes)
        self.calibration = CalibrationCounts(card.num_classes)
        self.worst = Worst(card, worst)
        self.pictures = self.pixels = 0

    def see(self, picture: Scored) -> None:
        """Add one evaluated picture."""
        truth = np.ascontiguousarray(picture.truth)
        known = truth != _IGNORE
        prediction = np.where(known, picture.labels, np.uint8(_IGNORE))  # what is ignored is nowhere counted
        hit = known & (truth == prediction)
        self.pictures += 1
        self.pixels += truth.size
        counts = self.borders.update(truth, prediction)
        self.sizes.update(truth, prediction, hit)
        if picture.confidence is not None:
            self.calibration.update(prediction, picture.confidence, hit)
        self.worst.update(picture, counts)

    def write(self, path: Path, scores: Scores, facts: Mapping[str, str]) -> None:
        """Write the page; `facts` are what the scores are of: weights, card, split, date, threads…"""
        from swath.evaluation.page.writing import text

        write_page(path, text(self, scores, facts))
