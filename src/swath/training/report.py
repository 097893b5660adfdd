"""report.html: how the run went, to be opened while it goes on. Written again after each validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swath.cards import Card
from swath.data import Source
from swath.evaluation import Scores
from swath.inference import Segmentation, Segmenter
from swath.networks import Network
from swath.report import (
    Bar,
    Line,
    Tile,
    bar_chart,
    columns,
    difference,
    image_grid,
    image_uri,
    legend,
    line_chart,
    page,
    section,
    tiles,
    write_page,
)
from swath.training.config import Recipe
from swath.training.journal import SCORE_COLUMNS, STEP_COLUMNS, Journal

Array = npt.NDArray[np.uint8]

_WIDTH = 420  # of a sample in the page, in pixels
_POINTS = 600  # of a curve: more cannot be told apart


@dataclass(frozen=True)
class Sample:
    """A validation picture with its truth and what the network makes of it."""

    name: str
    image: Array
    truth: Segmentation
    prediction: Segmentation

    def strip(self) -> Array:
        """Truth and prediction side by side."""
        return np.concatenate([self.truth.overlay(), self.prediction.overlay()], axis=1)

    def row(self) -> list[tuple[str, str]]:
        """(caption, picture) of the four columns of the page."""
        truth, prediction = self.truth.labels, self.prediction.labels
        counted = truth != 255
        right = float((truth == prediction)[counted].mean()) if counted.any() else float("nan")
        return [
            (self.name, image_uri(self.image, width=_WIDTH)),
            ("truth", image_uri(self.truth.overlay(), width=_WIDTH)),
            ("prediction", image_uri(self.prediction.overlay(), width=_WIDTH)),
            (
                f"red: wrong ({100 * right:.1f} % right)",
                image_uri(difference(self.image, truth, prediction), width=_WIDTH),
            ),
        ]


def show_samples(model: Network, source: Source, count: int) -> list[Sample]:
    """Predictions on pictures spread evenly over the split, always the same ones."""
    segmenter = Segmenter(model.eval(), optimise=False)
    names, colors = source.card.class_names, source.card.colors
    samples = []
    for index in sorted({i * len(source) // count for i in range(count)}):
        image, truth = source.image(index), source.labels(index)
        (labels,) = segmenter.label_maps([image])
        samples.append(
            Sample(
                source.name(index),
                image,
                Segmentation(truth, names, colors, image),
                Segmentation(labels, names, colors, image),
            )
        )
    return samples


def write_report(
    path: Path, recipe: Recipe, journal: Journal, scores: Scores, card: Card, samples: Sequence[Sample]
) -> None:
    """The page of a run as it stands."""
    rows = [dict(zip(SCORE_COLUMNS, row)) for row in journal.scores]
    now = rows[-1]
    best = max(rows, key=lambda row: row["miou"] or 0)
    step_axis = "iteration"
    losses = [(float(row[2]), float(row[4])) for row in journal.steps]
    rates = [(float(row[2]), float(row[STEP_COLUMNS.index("lr")])) for row in journal.steps]
    mious = [(float(row["step"]), 100 * (row["miou"] or 0)) for row in rows]
    numbers = [
        Tile(_percent(now["miou"]), "mIoU now"),
        Tile(_percent(best["miou"]), f"best mIoU, epoch {best['epoch']:.4g}"),
        Tile(_percent(now["pixel_accuracy"]), "pixel accuracy"),
        Tile(f"{now['loss']:.3f}" if now["loss"] is not None else "-", "training loss"),
        Tile(f"{now['epoch']:.4g}", f"epochs ({now['step']:,} iterations)"),
    ]
    ordered = sorted(zip(card.class_names, scores.class_iou, card.colors), key=lambda each: -(each[1] or -1))
    bars = [Bar(name, iou, f"rgb{tuple(color)}") for name, iou, color in ordered]
    curves = columns(
        section(
            "Validation mIoU",
            line_chart([Line("mIoU", mious, dots=len(mious) <= 60)], x_label=step_axis, y_label="%", y_from_zero=True),
        ),
        section(
            "Training loss", line_chart([Line("loss", thinned(losses), "#ea580c")], x_label=step_axis, y_label="loss")
        ),
        section("IoU of each class", bar_chart(bars), note=f"{len(scores.absent)} absent" if scores.absent else ""),
        section(
            "Learning rate", line_chart([Line("rate", thinned(rates), "#059669")], x_label=step_axis, y_label="rate")
        ),
    )
    shown = section(
        "Samples of the validation split",
        image_grid([sample.row() for sample in samples]),
        legend(list(zip(card.class_names, card.colors))),
    )
    subtitle = f"{recipe.network} on {card.title or card.name}: {recipe.data.train} → {recipe.data.val}"
    write_page(path, page(recipe.title or recipe.name, subtitle, tiles(numbers), curves, shown if samples else ""))


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_POINTS` points: means of neighbours, so that no spike of a long curve is invented or lost to chance."""
    group = -(-len(points) // _POINTS)
    if group <= 1:
        return list(points)
    parts = [points[i : i + group] for i in range(0, len(points), group)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.1f} %"
