"""What a stress run found: as tables for a terminal, as JSON, as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from swath.evaluation.metrics import Score, mean
from swath.evaluation.tables import percent
from swath.files import atomic_write
from swath.robustness.stress import CLEAN, Cell, Stressed

WEATHER = ("fog", "rain", "snow", "night")  # which go by distances
_BLOCKS = " ▁▂▃▄▅▆▇█"


def show(found: Stressed, title: str, console: Console | None = None) -> None:
    """Everything, for a person to read."""
    console = console or Console()
    console.print(title, style="bold", markup=False, soft_wrap=True)
    console.print(_faults(found))
    if found.clean.confidence is not None:
        console.print("sure, right: mean confidence and share of right pixels over the severities", style="dim")
    console.print(_classes(found))
    clean, under, kept = found.clean.scores.miou, found.mean_miou(), found.mean_kept()
    left = "" if kept is None else f"   kept {percent(kept)} %"
    console.print(f"clean mIoU {percent(clean)}   under faults {percent(under)}{left}", style="bold", markup=False)
    for line in remarks(found):
        console.print(line, markup=False, soft_wrap=True)


def remarks(found: Stressed) -> list[str]:
    """What stands out, in sentences."""
    known = [fault for fault in found.faults if found.kept(fault.name) is not None]  # none where clean is 0 already
    ranked = sorted(known, key=lambda fault: found.kept(fault.name) or 0)
    said = []
    if len(ranked) > 1:
        worst, best = ranked[0], ranked[-1]
        said.append(
            f"worst: {worst.name} keeps {percent(found.kept(worst.name))} % of the clean mIoU, "
            f"best: {best.name} {percent(found.kept(best.name))} %"
        )
    sure = [(gap, key) for key, cell in found.cells.items() if (gap := overconfidence(cell)) is not None]
    if sure:
        gap, (name, severity) = max(sure)
        told = f"farthest from honest: at {name} {severity} the network is {100 * gap:.1f} points more sure than right"
        said.append(told if gap > 0 else "never more sure than right")
    weather = [fault.name for fault in found.faults if fault.name in WEATHER]
    if weather:
        whose = "the dataset's depth" if found.measured_depth else "a typical street, for the card has no depth"
        said.append(f"distances in {', '.join(weather)}: those of {whose}")
    return said


def overconfidence(cell: Cell) -> Score:
    """How much more sure than right, on average over pixels."""
    right = cell.scores.pixel_accuracy
    return None if cell.confidence is None or right is None else cell.confidence - right


def as_dict(found: Stressed) -> dict[str, Any]:
    """For JSON."""

    def cell(each: Cell) -> dict[str, Any]:
        scores = each.scores
        return {
            "miou": scores.miou,
            "pixel_accuracy": scores.pixel_accuracy,
            "confidence": each.confidence,
            "class_iou": dict(zip(scores.class_names, scores.class_iou)),
        }

    return {
        "mean_miou": found.mean_miou(),
        "kept": found.mean_kept(),
        "measured_depth": found.measured_depth,
        CLEAN: cell(found.clean),
        "faults": {
            fault.name: {
                "kept": found.kept(fault.name),
                "severities": {
                    str(severity): {"level": fault.level(severity), **cell(found.cells[fault.name, severity])}
                    for severity in found.severities
                },
            }
            for fault in found.faults
        },
    }


def write_json(path: str | Path, found: Stressed, facts: Mapping[str, Any]) -> None:
    with atomic_write(path, "w") as file:
        json.dump({**facts, **as_dict(found)}, file, indent=1)


def write_csv(path: str | Path, found: Stressed) -> None:
    """A row a fault and severity, shares of 1; what is absent is empty."""

    def row(cell: Cell) -> list[str]:
        scores = cell.scores
        values = (scores.miou, scores.pixel_accuracy, cell.confidence, *scores.class_iou)
        return ["" if value is None else f"{value:.6f}" for value in values]

    with atomic_write(path, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        names = [f"iou_{name}" for name in found.card.class_names]
        table.writerow(["fault", "severity", "level", "miou", "pixel_accuracy", "confidence", *names])
        table.writerow([CLEAN, "0", "", *row(found.clean)])
        for fault in found.faults:
            for severity in found.severities:
                cell = found.cells[fault.name, severity]
                table.writerow([fault.name, str(severity), fault.level(severity), *row(cell)])


def _faults(found: Stressed) -> Table:
    title = "mIoU by severity, %"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 0, 0, 1), pad_edge=False)
    knows = found.clean.confidence is not None
    numbers = [*map(str, found.severities), "mean", "kept", *(("sure", "right") if knows else ())]
    for name in ("fault", "", *numbers):
        bold = "bold" if name == "mean" else None
        table.add_column(name, justify="right" if name in numbers else "left", no_wrap=True, style=bold)
    clean = found.clean.scores.miou
    for fault in found.faults:
        cells = [found.cells[fault.name, severity] for severity in found.severities]
        mious = [cell.scores.miou for cell in cells]
        row = [fault.name, _spark(mious, clean), *(_short(each) for each in mious)]
        row += [_short(found.miou(fault.name)), _short(found.kept(fault.name))]
        if knows:
            row += [_short(mean([each.confidence for each in cells]))]
            row += [_short(mean([each.scores.pixel_accuracy for each in cells]))]
        table.add_row(*row)
    table.add_section()
    blank = [""] * len(found.severities)
    last = [CLEAN, "", *blank, _short(clean), _short(1.0 if clean else None)]
    if knows:
        last += [_short(found.clean.confidence), _short(found.clean.scores.pixel_accuracy)]
    table.add_row(*last)
    return table


def _classes(found: Stressed) -> Table:
    """Per class: the clean IoU, what is left on average, and the fault that hurts it most."""
    table = Table(box=box.SIMPLE_HEAD, title="IoU by class, %", title_justify="left")
    for name, justify in (("class", "left"), ("clean", "right"), ("under faults", "right"), ("kept", "right")):
        table.add_column(name, justify=justify, no_wrap=name == "class")  # type: ignore[arg-type]
    table.add_column("hurt most by")
    for index, name in enumerate(found.card.class_names):
        means = class_means(found, index)
        clean = found.clean.scores.class_iou[index]
        left = mean(list(means.values()))
        known = {fault: value for fault, value in means.items() if value is not None}
        hurt = min(known, key=lambda fault: known[fault]) if known and clean else ""
        told = f"{hurt} ({_short(known[hurt])})" if hurt else ""
        kept = left / clean if clean and left is not None else None
        table.add_row(name, _short(clean), _short(left), _short(kept), told)
    return table


def class_means(found: Stressed, index: int) -> dict[str, Score]:
    """The IoU of a class under each fault, mean over severities."""
    return {
        fault.name: mean([found.cells[fault.name, severity].scores.class_iou[index] for severity in found.severities])
        for fault in found.faults
    }


def _spark(values: list[Score], top: Score) -> str:
    return "".join(_BLOCKS[round(8 * min(1.0, (value or 0) / top))] if top else " " for value in values)


def _short(score: Score) -> str:
    return "–" if score is None else f"{100 * score:.1f}"
