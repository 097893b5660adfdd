"""report.html: how the run went, to be opened while it goes on. Written again after each epoch and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swath.cards import Card
from swath.evaluation import Scores
from swath.evaluation.tasks import NUMBERS, in_words
from swath.report import (
    Bar,
    Line,
    Tile,
    bar_chart,
    columns,
    image_grid,
    legend,
    line_chart,
    page,
    section,
    tiles,
    write_page,
)
from swath.training.config import Data, Recipe
from swath.training.journal import STEP_COLUMNS, Journal
from swath.training.samples import Sample

_POINTS = 600  # of a curve: more cannot be told apart


def write_report(
    path: Path,
    recipe: Recipe,
    data: Data,
    journal: Journal,
    scores: Scores | None,
    card: Card,
    samples: Sequence[Sample],
) -> None:
    """The page of a run as it stands; `data` are those of its present stage, scores and samples those of the last
    validation, if there was one."""
    rows = [dict(zip(journal.score_columns, row)) for row in journal.scores]
    step_axis = "iteration"
    losses = [(float(row[2]), float(row[4])) for row in journal.steps]
    rates = [(float(row[2]), float(row[STEP_COLUMNS.index("lr")])) for row in journal.steps]
    mious = [Line("mIoU", _points(rows, "miou", 100), dots=len(rows) <= 60)]
    if "motion_miou" in journal.more:
        mious.append(Line("motion", _points(rows, "motion_miou", 100), dots=len(rows) <= 60))
    numbers = [*_of_validations(rows, journal.more), *_of_training(journal)]
    bars, absent = _bars(card, scores) if scores else ([], 0)
    curves = columns(
        section(
            "Validation mIoU",
            line_chart(mious, x_label=step_axis, y_label="%", y_from_zero=True),
        ),
        section(
            "Training loss", line_chart([Line("loss", thinned(losses), "#ea580c")], x_label=step_axis, y_label="loss")
        ),
        section("IoU of each class", bar_chart(bars), note=f"{absent} absent" if absent else ""),
        section(
            "Learning rate", line_chart([Line("rate", thinned(rates), "#059669")], x_label=step_axis, y_label="rate")
        ),
        *([_depth_section(rows, step_axis)] if "depth_abs_rel" in journal.more else []),
    )
    shown = section(
        "Samples of the validation split",
        image_grid([row for sample in samples for row in sample.rows()]),
        legend(list(zip(card.class_names, card.colors))),
    )
    title = f"{recipe.network} on {card.title or card.name}"  # a recipe's own may name another network
    subtitle = f"recipe {recipe.name}: {data.train} → {data.val}"
    write_page(path, page(title, subtitle, tiles(numbers), curves, shown if samples else ""))


def _of_validations(rows: Sequence[Mapping[str, Any]], more: Sequence[str]) -> list[Tile]:
    if not rows:
        return [Tile("-", "no validation yet")]
    now = rows[-1]
    best = max((row for row in rows if row["stage"] == now["stage"]), key=lambda row: row["miou"] or 0)
    return [
        Tile(_percent(now["miou"]), "mIoU now"),
        Tile(_percent(best["miou"]), f"best mIoU, epoch {best['epoch']:.4g}"),
        Tile(_percent(now["pixel_accuracy"]), "pixel accuracy"),
        *(
            Tile(in_words(now[column], unit), title)
            for task in NUMBERS.values()
            for column, title, unit in task
            if column in more
        ),
    ]


def _of_training(journal: Journal) -> list[Tile]:
    _, epoch, step, _, loss = journal.steps[-1]
    return [Tile(f"{loss:.3f}", "training loss"), Tile(f"{epoch:.4g}", f"epochs ({step:,} iterations)")]


def _bars(card: Card, scores: Scores) -> tuple[list[Bar], int]:
    """The classes, best first, and how many are absent."""
    ordered = sorted(zip(card.class_names, scores.class_iou, card.colors), key=lambda each: -(each[1] or -1))
    return [Bar(name, iou, f"rgb{tuple(color)}") for name, iou, color in ordered], len(scores.absent)


def _depth_section(rows: Sequence[Mapping[str, Any]], step_axis: str) -> str:
    errors = Line("error", _points(rows, "depth_abs_rel", 100), "#9333ea", dots=len(rows) <= 60)
    chart = line_chart([errors], x_label=step_axis, y_label="%", y_from_zero=True)
    return section("Validation depth: relative error", chart)


def _points(rows: Sequence[Mapping[str, Any]], column: str, factor: float) -> list[tuple[float, float]]:
    return [(float(row["step"]), factor * (row[column] or 0)) for row in rows]


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_POINTS` points: means of neighbours, so that no spike of a long curve is invented or lost to chance."""
    group = -(-len(points) // _POINTS)
    if group <= 1:
        return list(points)
    parts = [points[i : i + group] for i in range(0, len(points), group)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.1f} %"
