"""The page as HTML: what it says first, and classes; its other sections are in `details`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from swath.evaluation.metrics import Score, Scores
from swath.evaluation.page import details
from swath.report import (
    BarRow,
    Tile,
    bar_rows,
    columns,
    folded,
    heat_map,
    image_grid,
    legend,
    page,
    section,
    table,
    tiles,
)
from swath.report import facts as small_print

if TYPE_CHECKING:
    from swath.evaluation.page.page import Page

_NAMED = 12  # confusions in words
_WORTH = 0.01  # of a class's pixels
_LONG = 40  # classes: a longer list stands in two columns
_FEW = 12  # classes whose matrix takes half of the page


def text(seen: Page, scores: Scores, facts: Mapping[str, str]) -> str:
    """All of it."""
    card = seen.card
    weights = PurePath(facts["weights"]).name if "weights" in facts else ""
    title = f"{weights} on {card.title or card.name}" if weights else card.title or card.name
    split = f" of split {facts['split']}" if "split" in facts else ""
    subtitle = f"{seen.pictures:,} picture{'s' if seen.pictures != 1 else ''}{split}, {scores.pixels:,} pixels scored"
    blocks = [
        small_print(facts),
        tiles(_headline(seen, scores)),
        _classes(seen, scores),
        _worst(seen),
        _confusion(scores),
        *details.sections(seen, scores),
    ]
    footer = "Pixels that the truth ignores are nowhere counted. Written by swath evaluate --report."
    return page(title, subtitle, *blocks, footer=footer)


def _headline(seen: Page, scores: Scores) -> list[Tile]:
    numbers = [
        (scores.miou, "mIoU"),
        (scores.category_miou if scores.category_iou else None, "category mIoU"),
        (scores.pixel_accuracy, "pixel accuracy"),
        (scores.mean_accuracy, "mean class accuracy"),
        (scores.frequency_weighted_iou, "frequency-weighted IoU"),
        (scores.mean_dice, "mean Dice"),
        (scores.instances.mean_class_iiou if scores.instances else None, "iIoU"),
        (seen.calibration.ece(), "calibration error (ECE)"),
    ]
    return [Tile(f"{100 * score:.1f} %", name) for score, name in numbers if score is not None]


def _classes(seen: Page, scores: Scores) -> str:
    """Bars from the best to the worst; what is absent comes last."""
    shares = scores.counts.sum(axis=1) / max(1, scores.pixels)
    order = sorted(range(len(shares)), key=lambda i: (scores.class_iou[i] is None, -(scores.class_iou[i] or 0)))
    rows = [
        BarRow(
            scores.class_names[i],
            scores.class_iou[i],
            f"rgb{tuple(seen.card.colors[i])}",
            scores.class_accuracy[i],
            (percent(scores.class_accuracy[i]), f"{100 * shares[i]:.2f}"),
        )
        for i in order
    ]
    defined = (
        "IoU: right / (right + missed + falsely predicted) pixels of the class. Accuracy, the mark across the bar: "
        "right / true pixels of the class. Share: true pixels of the class / all scored pixels. All in per cent."
    )
    if scores.absent:
        defined += f" Absent, and left out of all means: {', '.join(scores.absent)}."
    half = len(rows) if len(rows) <= _LONG else -(-len(rows) // 2)
    parts = [bar_rows(("class", "IoU", "accuracy", "share"), part) for part in (rows[:half], rows[half:]) if part]
    classes = section("Classes", parts[0] if len(parts) == 1 else columns(*parts), defined=defined)
    if not scores.category_iou:
        return classes
    return columns(classes, _categories(scores)) if len(parts) == 1 else classes + _categories(scores)


def _categories(scores: Scores) -> str:
    ranked = sorted(scores.category_iou.items(), key=lambda each: -(each[1] or -1))
    rows = [BarRow(name, iou, "var(--accent)") for name, iou in ranked]
    defined = "IoU of categories: a confusion between two classes of one category is right here."
    return section("Categories", bar_rows(("category", "IoU"), rows), defined=defined)


def _worst(seen: Page) -> str:
    ranked = seen.worst.ranked()
    if not ranked:
        return ""
    shown = "".join(
        f'<h3 class="row">{escape(bad.name)}<small>mIoU {percent(bad.miou)} %'
        f"{', ' + escape(bad.lost) if bad.lost else ''}</small></h3>"
        + image_grid([[(f"{caption}", uri) for caption, uri in bad.pictures]])
        for bad in ranked
    )
    key = legend(list(zip(seen.card.class_names, seen.card.colors)))
    key = folded("Colors of the classes", key) if len(seen.card.classes) > 30 else key
    defined = (
        f"The {len(ranked)} worst of {seen.pictures:,} pictures by their own mIoU, over the classes that their truth "
        "has. The difference is redder the more pixels are wrong; what is ignored is darker."
    )
    return section("Worst pictures", key, shown, defined=defined)


def _confusion(scores: Scores) -> str:
    """The matrix, what stands out of it in words, and for each class what it is taken for."""
    counts, names = scores.counts, scores.class_names
    true = counts.sum(axis=1)
    shares = counts / np.maximum(true, 1)[:, None]
    wrong = np.where(np.eye(len(names), dtype=bool), 0, shares)
    order = np.argsort(-wrong, axis=None, kind="stable")[: _NAMED if len(names) <= _LONG else 2 * _NAMED]
    said = counts.sum(axis=0)
    lines = []
    for at in order:
        t, p = divmod(int(at), len(names))
        if wrong[t, p] >= _WORTH:
            share = f"{100 * counts[t, p] / said[p]:.1f} % of all that is said to be {escape(names[p])}"
            lines.append(
                f"<li>{escape(names[t])} is taken for {escape(names[p])}: {100 * wrong[t, p]:.0f} % of "
                f"{escape(names[t])}'s pixels <small>({counts[t, p]:,} pixels, {share})</small></li>"
            )
    words = f'<ol class="words">{"".join(lines)}</ol>' if lines else "<p>Nothing above 1 % of a class.</p>"
    matrix = section(
        "Confusion",
        heat_map(shares, names, [bool(each) for each in true]),
        folded("What each class is taken for, as a table", _taken(names, shares, true)),
        defined="Rows are the truth, columns the prediction, numbers per cent of the row; blue is right, red is wrong.",
    )
    defined = "The largest shares of a class's true pixels that were predicted as another class, from 1 %."
    largest = section("Largest confusions", words, defined=defined)
    return columns(matrix, largest) if len(names) <= _FEW else matrix + largest


def _taken(names: list[str], shares: npt.NDArray[np.float64], true: npt.NDArray[np.int64]) -> str:
    """For each class, how much is right, and the three that it is most often taken for."""
    rows = []
    for index, name in enumerate(names):
        if not true[index]:
            rows.append([name, "absent", "", "", ""])
            continue
        others = [int(at) for at in np.argsort(-shares[index], kind="stable") if at != index and shares[index, at] > 0]
        taken = [f"{names[at]} {100 * shares[index, at]:.1f}" for at in others[:3]]
        rows.append([name, f"{100 * shares[index, index]:.1f}", *taken, *[""] * (3 - len(taken))])
    return table(["class", "right, %", "taken for, %", "then", "then"], rows)


def percent(score: Score) -> str:
    """For tables in per cent."""
    return "–" if score is None else f"{100 * score:.1f}"
