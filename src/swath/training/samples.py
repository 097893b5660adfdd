"""Validation pictures with their truth and what the network makes of them, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.cards import Card
from swath.data import Source
from swath.data.source import read_parts
from swath.evaluation.tasks import MOTION, TRUTHS, Predictor
from swath.inference import Segmentation, Segmenter, Views
from swath.networks import Network
from swath.report import depth_picture, depth_range, difference, image_uri
from swath.training.tasks import has_more, needed_maps

Array = npt.NDArray[np.uint8]
Captioned = tuple[str, Array]

_WIDTH = 420  # of a sample in the page, in pixels
_MOTION_COLORS = ((90, 90, 90), (255, 140, 0))


@dataclass(frozen=True)
class Sample:
    """A validation picture with its truth and what the network makes of it."""

    name: str
    image: Array
    truth: Segmentation
    prediction: Segmentation
    more: Sequence[Captioned] = ()  # truth and prediction of every other task

    def strip(self) -> Array:
        """Truth and prediction side by side."""
        return np.concatenate([self.truth.overlay(), self.prediction.overlay()], axis=1)

    def rows(self) -> list[list[tuple[str, str]]]:
        """(caption, picture) of the four columns of the page; a second row has the other tasks."""
        truth, prediction = self.truth.labels, self.prediction.labels
        counted = truth != 255
        right = float((truth == prediction)[counted].mean()) if counted.any() else float("nan")
        first: list[Captioned] = [
            (self.name, self.image),
            ("truth", self.truth.overlay()),
            ("prediction", self.prediction.overlay()),
            (f"red: wrong ({100 * right:.1f} % right)", difference(self.image, truth, prediction)),
        ]
        return [[(text, image_uri(each, width=_WIDTH)) for text, each in row] for row in (first, self.more) if row]


def show_samples(model: Network, source: Source, count: int) -> list[Sample]:
    """Predictions on pictures spread evenly over the split, always the same ones."""
    indices = sorted({i * len(source) // count for i in range(count)})
    if not has_more(model):
        segmenter = Segmenter(model.eval(), optimise=False, views=Views())
        return [_sample(source, i, {"segmentation": segmenter.label_maps([source.image(i)])[0]}) for i in indices]
    predict = Predictor(model.eval())
    maps = needed_maps(model)
    return [_sample(source, i, predict(read_parts(source, i, ("image", *maps)))) for i in indices]


def _sample(source: Source, index: int, answers: dict[str, npt.NDArray[Any]]) -> Sample:
    card: Card = source.card
    parts = read_parts(source, index, ("image", *(TRUTHS[task] for task in answers)))
    image, names, colors = parts["image"], card.class_names, card.colors
    more: list[Captioned] = []
    for task, answer in answers.items():
        truth = parts[TRUTHS[task]]
        if task == "depth":
            near, far = depth_range(truth)
            more.append((f"depth: truth, {near:.0f} to {far:.0f} m", depth_picture(truth, near, far)))
            more.append(("depth: prediction", depth_picture(answer, near, far)))
        elif task == "motion":
            for whose, labels in (("truth", truth), ("prediction", answer)):
                more.append((f"motion: {whose}", Segmentation(labels, MOTION, _MOTION_COLORS, image).overlay()))
    return Sample(
        source.name(index),
        image,
        Segmentation(parts["labels"], names, colors, image),
        Segmentation(answers["segmentation"], names, colors, image),
        more,
    )
