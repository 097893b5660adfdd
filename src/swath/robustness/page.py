"""The page of a stress run: one file with curves, tables, and what the network saw."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from swath.evaluation.metrics import Score, mean
from swath.inference import Segmentation
from swath.report import (
    BarRow,
    Shares,
    Tile,
    bar_rows,
    category_chart,
    columns,
    folded,
    heat_rows,
    image_grid,
    image_uri,
    legend,
    page,
    section,
    table,
    tiles,
    write_page,
)
from swath.report import facts as small_print
from swath.robustness.stress import CLEAN, Stressed
from swath.robustness.tables import WEATHER, class_means, remarks

_SENSOR = ("gaussian-noise", "shot-noise", "motion-blur", "defocus")
_WIDTH = 400  # of a picture
_ROWS = 20  # of a table that are not folded away


def write(path: str | Path, found: Stressed, facts: Mapping[str, str]) -> None:
    """Write it; `facts` are what was stressed: weights, card, split, date…"""
    write_page(path, text(found, facts))


def text(found: Stressed, facts: Mapping[str, str]) -> str:
    weights = Path(facts.get("weights", "")).name
    named = found.card.title or found.card.name
    title = f"{weights} under stress, on {named}" if weights else f"Stress on {named}"
    many = "" if found.pictures == 1 else "s"
    subtitle = f"{found.pictures:,} picture{many}, {len(found.faults)} faults, severities {_list(found)}"
    blocks = [
        small_print(facts),
        tiles(_headline(found)),
        _summary(found),
        columns(*_curves(found)),
        _table(found),
        _classes(found),
        *([_confidence(found)] if found.clean.confidence is not None else []),
        _examples(found),
        _meanings(found),
    ]
    return page(title, subtitle, *blocks, footer="Faults are drawn by swath stress; truths stay as they are.")


def _headline(found: Stressed) -> list[Tile]:
    ranked = sorted(found.faults, key=lambda fault: found.kept(fault.name) or 0)
    kept = found.kept(ranked[0].name)
    return [
        Tile(f"{_percent(found.clean.scores.miou)} %", "mIoU, clean"),
        Tile(f"{_percent(found.mean_miou())} %", "mIoU, mean over faults"),
        Tile(f"{_percent(found.mean_kept())} %", "of the clean mIoU kept"),
        *([Tile(ranked[0].name, f"hurts most: keeps {_percent(kept)} %")] if kept is not None else []),
    ]


def _summary(found: Stressed) -> str:
    ranked = sorted(found.faults, key=lambda fault: -(found.kept(fault.name) or 0))
    rows = [
        BarRow(fault.name, found.kept(fault.name), "var(--accent)", more=(_percent(found.miou(fault.name)),))
        for fault in ranked
    ]
    words = "".join(f"<li>{line}</li>" for line in remarks(found))
    defined = (
        "Kept: the mIoU under a fault, mean over severities, as a share of the clean mIoU. The mean over faults is the "
        "one number to compare networks by; it depends on which faults and severities were run."
    )
    return section(
        "How much is left", bar_rows(("fault", "kept, %", "mIoU, %"), rows), f'<ul class="words">{words}</ul>',
        defined=defined,
    )  # fmt: skip


def _curves(found: Stressed) -> list[str]:
    names = [fault.name for fault in found.faults]
    groups = {
        "Weather": [name for name in names if name in WEATHER],
        "Noise and blur": [name for name in names if name in _SENSOR],
        "Light and compression": [name for name in names if name not in (*WEATHER, *_SENSOR)],
    }
    bins = [CLEAN, *(str(severity) for severity in found.severities)]
    parts = []
    for title, members in groups.items():
        if members:
            lines = [
                Shares(name, [found.clean.scores.miou, *(found.cells[name, s].scores.miou for s in found.severities)])
                for name in members
            ]
            parts.append(section(title, category_chart(bins, lines, x_label="severity"), defined="mIoU, %."))
    return [*parts, _class_severities(found)]


def _class_severities(found: Stressed) -> str:
    rows = []
    for index, name in enumerate(found.card.class_names):
        means = [
            mean([found.cells[fault.name, severity].scores.class_iou[index] for fault in found.faults])
            for severity in found.severities
        ]
        if any(value is not None for value in means):
            rows.append((name, [found.clean.scores.class_iou[index], *means]))
    head = ("IoU, %", CLEAN, *(str(severity) for severity in found.severities))
    shown = heat_rows(head, rows[:_ROWS])
    rest = folded(f"{len(rows) - _ROWS} more", heat_rows(head, rows[_ROWS:])) if len(rows) > _ROWS else ""
    return section("Classes by severity", shown, rest, defined="IoU of each class, mean over the faults.")


def _table(found: Stressed) -> str:
    rows = [
        (
            fault.name,
            [found.clean.scores.miou, *(found.cells[fault.name, s].scores.miou for s in found.severities)],
        )
        for fault in found.faults
    ]
    head = ("mIoU, %", CLEAN, *(str(severity) for severity in found.severities))
    return section("mIoU by severity", heat_rows(head, rows), defined="The stronger the tint, the higher the number.")


def _classes(found: Stressed) -> str:
    names = found.card.class_names
    faults = [fault.name for fault in found.faults]
    rows = []
    for index, name in enumerate(names):
        means = class_means(found, index)
        values = [found.clean.scores.class_iou[index], *(means[fault] for fault in faults)]
        if any(value is not None for value in values):
            rows.append((name, values))
    every = [
        folded(
            fault,
            heat_rows(
                ("IoU, %", CLEAN, *(str(severity) for severity in found.severities)),
                [
                    (
                        name,
                        [
                            found.clean.scores.class_iou[index],
                            *(found.cells[fault, s].scores.class_iou[index] for s in found.severities),
                        ],
                    )
                    for index, name in enumerate(names)
                ],
            ),
        )
        for fault in faults
    ]
    defined = "IoU of each class, mean over severities; by severity below, a fault at a time."
    return section("By class", heat_rows(("IoU, %", CLEAN, *faults), rows), *every, defined=defined)


def _confidence(found: Stressed) -> str:
    rows = []
    for fault in found.faults:
        cells = [found.cells[fault.name, severity] for severity in found.severities]
        sure = mean([cell.confidence for cell in cells])
        right = mean([cell.scores.pixel_accuracy for cell in cells])
        last = cells[-1]
        gap = (sure or 0) - (right or 0)
        end = (last.confidence or 0) - (last.scores.pixel_accuracy or 0)
        rows.append([fault.name, _percent(sure), _percent(right), f"{100 * gap:+.1f}", f"{100 * end:+.1f}"])
    clean = found.clean
    gap = (clean.confidence or 0) - (clean.scores.pixel_accuracy or 0)
    rows.append([CLEAN, _percent(clean.confidence), _percent(clean.scores.pixel_accuracy), f"{100 * gap:+.1f}", ""])
    head = ["fault", "sure, %", "right, %", "gap", f"gap at {found.severities[-1]}"]
    defined = (
        "Mean confidence and share of right pixels, means over severities. A network that knows what it does not know "
        "gets less sure as it gets worse: a gap far above 0 means that its confidence warns of nothing there."
    )
    return section("Does it notice?", table(head, rows), defined=defined)


def _examples(found: Stressed) -> str:
    """One picture, with each fault at its least, middle and strongest severity."""
    shown = {found.severities[0], found.severities[len(found.severities) // 2], found.severities[-1]}
    by_fault: dict[str, list[list[tuple[str, str]]]] = {}
    for example in found.examples:
        if example.fault != CLEAN and example.severity not in shown:
            continue
        fault = next((each for each in found.faults if each.name == example.fault), None)
        level = f"{example.severity}: {fault.level(example.severity)}" if fault else "as it is"
        tinted = Segmentation(example.labels, found.card.class_names, found.card.colors, example.image).overlay(0.6)
        pair = by_fault.setdefault(example.fault, [[], []])
        pair[0].append((level, image_uri(example.image, width=_WIDTH)))
        pair[1].append(("what the network says", image_uri(tinted, width=_WIDTH)))
    clean = next(each for each in found.examples if each.fault == CLEAN)
    truth = Segmentation(found.truth, found.card.class_names, found.card.colors, clean.image).overlay(0.6)
    by_fault[CLEAN] = [[*by_fault[CLEAN][0], *by_fault[CLEAN][1], ("the truth", image_uri(truth, width=_WIDTH))]]
    parts = [
        f'<h3 class="row">{name}</h3>' + image_grid(rows)
        for name, rows in sorted(by_fault.items(), key=lambda each: each[0] != CLEAN)
    ]
    key = legend(list(zip(found.card.class_names, found.card.colors)))
    key = folded("Colors of the classes", key) if len(found.card.classes) > 30 else key
    defined = f"{found.example_name}, the first picture of the split."
    return section("What it saw", key, *parts, defined=defined)


def _meanings(found: Stressed) -> str:
    head = ["fault", *(f"severity {severity}" for severity in found.severities)]
    rows = [[fault.name, *(fault.level(s) for s in found.severities)] for fault in found.faults]
    why = "".join(f"<li>{fault.name}: <small>{escape(fault.why)}.</small></li>" for fault in found.faults)
    depth = (
        "Fog, rain, snow and night take the distances that the dataset's depth maps say."
        if found.measured_depth
        else "The dataset has no depth maps: fog, rain, snow and night take the distances of a typical street."
    )
    reasons = folded("Why these", f'<ul class="words">{why}</ul>')
    return section("What the severities are", table(head, rows), reasons, defined=depth)


def _list(found: Stressed) -> str:
    return ", ".join(map(str, found.severities))


def _percent(score: Score) -> str:
    return "–" if score is None else f"{100 * score:.1f}"
