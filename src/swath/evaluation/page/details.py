"""The sections about confidence, size of segments, and borders; each says below its chart what its numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

from swath.evaluation.metrics import Score, Scores
from swath.evaluation.page import borders, sizes
from swath.evaluation.page.calibration import BINS, totals
from swath.report import Shares, category_chart, columns, folded, heat_rows, reliability_chart, section, table

if TYPE_CHECKING:
    from swath.evaluation.page.page import Page

_BLUE, _ORANGE, _RED, _GREEN = "#2f7de1", "#ea7a1f", "#dc3b3b", "#0f9d6c"
_HONEST = 0.005  # a difference that is not worth a word
_ROWS = 20  # of a table that are not folded away


def sections(seen: Page, scores: Scores) -> list[str]:
    """Two beside each other, where the window is wide enough."""
    names = seen.card.class_names
    near = _by_class("Classes near borders", names, seen.borders.iou(), borders.NAMES, "pixels from the border")
    small = _by_class("Classes by size", names, seen.sizes.iou(), sizes.NAMES, "per cent of the picture")
    rows = [columns(*_calibration(seen)), columns(_distance(seen), near), columns(_size(seen), small)]
    return rows + ([_boundary(scores)] if scores.boundary else [])


def _calibration(seen: Page) -> list[str]:
    bins = seen.calibration.bins()
    if not bins:
        said = "<p>Not known: labels are all that these weights answer, without how sure they are.</p>"
        return [section("Confidence", said)]
    sure, right = totals(bins)
    ece = seen.calibration.ece()
    gap = (sure or 0) - (right or 0)
    verdict = "as sure as right" if abs(gap) < _HONEST else "too sure" if gap > 0 else "not sure enough"
    note = f"On average {_percent(sure)} % sure and {_percent(right)} % right: {verdict}. ECE {_percent(ece)} %."
    rows = [
        [
            f"{100 * each.low:.1f} to {100 * each.high:.1f}",
            f"{100 * each.share:.2f}",
            f"{100 * each.confidence:.1f}",
            f"{100 * each.accuracy:.1f}",
        ]
        for each in bins
    ]
    numbers = folded("As a table", table(["confidence, %", "of the pixels", "sure", "right"], rows))
    defined = (
        f"Pixels in {BINS} bins by the probability of their class: the bar is the share of right ones, with the gap "
        "between it and the mean confidence of the bin. ECE: the mean of these gaps, weighted by pixels."
    )
    return [
        section("Confidence", reliability_chart(bins), numbers, note=note, defined=defined),
        _class_calibration(seen),
    ]


def _class_calibration(seen: Page) -> str:
    rows: list[tuple[float, list[str]]] = []
    for index, name in enumerate(seen.card.class_names):
        ece = seen.calibration.class_ece(index)
        if ece is not None:
            sure, right = totals(seen.calibration.class_bins(index))
            gap = (sure or 0) - (right or 0)
            rows.append((ece, [name, _percent(ece), _percent(sure), _percent(right), f"{100 * gap:+.1f}"]))
    rows.sort(key=lambda each: -each[0])
    head = ["predicted class", "ECE, %", "sure, %", "right, %", "gap"]
    shown, more = (table(head, [row for _, row in part]) for part in (rows[:_ROWS], rows[_ROWS:]))
    rest = folded(f"{len(rows) - _ROWS} more", more) if len(rows) > _ROWS else ""
    defined = "Over the pixels predicted as the class; a gap above 0 is too sure."
    return section("Confidence by class", shown, rest, defined=defined)


def _distance(seen: Page) -> str:
    pixels = seen.borders.pixels()
    total = max(1, sum(pixels))
    wrong, miou = seen.borders.wrong(), seen.borders.mean_iou()
    chart = category_chart(
        borders.NAMES,
        [Shares("wrong pixels", wrong, _RED), Shares("mIoU", miou, _BLUE)],
        x_label="distance from the nearest border, pixels",
        heights=[count / total for count in pixels],
    )
    rows = [
        [name, f"{100 * count / total:.1f}", _percent(share), _percent(iou)]
        for name, count, share, iou in zip(borders.NAMES, pixels, wrong, miou)
    ]
    errors = [count * (share or 0) for count, share in zip(pixels, wrong)]
    near = sum(errors[:3]) / max(1.0, sum(errors))
    note = f"{100 * near:.0f} % of all wrong pixels lie within 4 pixels of a border."
    defined = (
        "Borders are where two classes of the truth meet (not the picture's edge, nor what is ignored); 1 is a pixel "
        "right at one. Distances are Euclidean, to about 2 %. mIoU: of a bin's pixels alone, over the classes of its "
        "truth. Grey: the bin's share of all pixels."
    )
    numbers = folded("As a table", table(["pixels", "of all, %", "wrong, %", "mIoU, %"], rows))
    return section("Near borders and far from them", chart, numbers, note=note, defined=defined)


def _size(seen: Page) -> str:
    counts = seen.sizes
    iou, recall, found = counts.mean_iou(), counts.mean_recall(), counts.found_share()
    chart = category_chart(
        sizes.NAMES,
        [Shares("IoU", iou, _BLUE), Shares("recall", recall, _GREEN), Shares("segments found", found, _ORANGE)],
        x_label="size of the segment, % of the picture",
    )
    sides = [f"{sqrt(edge * seen.pixels / max(1, seen.pictures)):.0f}" for edge in sizes.EDGES]
    numbers = counts.segments.sum(axis=0)
    rows = [
        [name, side, f"{count:,}", _percent(i), _percent(r), _percent(f)]
        for name, side, count, i, r, f in zip(sizes.NAMES, [*sides, "…"], numbers, iou, recall, found)
    ]
    head = ["% of the picture", "px square", "segments", "IoU, %", "recall, %", "found, %"]
    defined = (
        "A segment is what hangs together of one class. Right and missed pixels count at the size of their true "
        "segment, false ones at the size of the segment they were predicted in: every pixel counts once, and the bins "
        "of a class add up to its ordinary IoU. Recall: right / true pixels. Both are means over the classes with true "
        "segments of the size. Found: segments with more than half of their pixels right, of all classes together."
    )
    note = f"Edges of the bins are squares of {', '.join(sides)} pixels in pictures of the mean size."
    return section("By size of the segment", chart, folded("As a table", table(head, rows)), note=note, defined=defined)


def _by_class(title: str, names: list[str], ious: list[list[Score]], bins: Sequence[str], unit: str) -> str:
    """The IoU of a neighbouring chart, class by class; those that have none at all are left out."""
    rows = [(name, row) for name, row in zip(names, zip(*ious)) if any(each is not None for each in row)]
    shown = heat_rows(("IoU, %", *bins), rows[:_ROWS])
    rest = folded(f"{len(rows) - _ROWS} more", heat_rows(("IoU, %", *bins), rows[_ROWS:])) if len(rows) > _ROWS else ""
    return section(title, shown, rest, defined=f"The IoU of the chart, of each class; columns are {unit}.")


def _boundary(scores: Scores) -> str:
    assert scores.boundary is not None
    each = scores.boundary
    names = [f"{width}" for width in each.widths]
    chart = category_chart(
        names,
        [Shares("boundary F", each.mean_f, _ORANGE), Shares("IoU in bands", each.trimap_miou, _BLUE)],
        x_label="tolerance, width of the band, pixels",
    )
    rows = [[name, _percent(f), _percent(iou)] for name, f, iou in zip(names, each.mean_f, each.trimap_miou)]
    defined = (
        "Boundary F: harmonic mean of precision and recall of boundary pixels, found within the tolerance, by class. "
        "IoU in bands: over the pixels nearer to a boundary of the truth than the width. Both are means over classes."
    )
    numbers = folded("As a table", table(["pixels", "boundary F, %", "IoU in bands, %"], rows))
    return section("Boundaries", chart, numbers, defined=defined)


def _percent(score: Score) -> str:
    return "–" if score is None else f"{100 * score:.1f}"
