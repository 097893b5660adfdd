"""What was done to the layers, and why: as rows, as CSV and JSON beside the file."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from swath import __version__
from swath.bench.manifest import cpu_name
from swath.files import atomic_write
from swath.quantise.engines.outcome import Outcome
from swath.quantise.engines.sensitivity import CLEAN, Sensitivity
from swath.quantise.engines.timing import verdict

COLUMNS = ("layer", "operator", "weights", "own_db", "logits_db", "agree", "runs_in", "why")


def rows(outcome: Outcome) -> list[dict[str, Any]]:
    """One a layer, the worst first; numbers as they were measured."""
    return [
        {
            "layer": each.layer.name,
            "operator": each.layer.op,
            "weights": each.layer.weights,
            "own_db": round(each.own, 2),
            "logits_db": round(each.logits, 2),
            "agree": round(each.agree, 6),
            "runs_in": "float" if place < outcome.found.kept else "int8",
            "why": why(outcome, place, each),
        }
        for place, each in enumerate(outcome.layers)
    ]


def why(outcome: Outcome, place: int, each: Sensitivity) -> str:
    """The reason for a layer's precision, in words."""
    if place < outcome.found.kept:
        rank = "the worst" if place == 0 else f"number {place + 1} of the worst"
        return f"{rank}: alone in 8 bits it leaves the answer {each.logits:.1f} dB and {each.agree:.2%} of the labels"
    return "changes nothing by itself" if each.logits >= CLEAN else "the budget holds with it"


def paths(out: Path) -> tuple[Path, Path]:
    """Of the table and of everything."""
    return out.with_name(f"{out.stem}.layers.csv"), out.with_name(f"{out.stem}.layers.json")


def write(outcome: Outcome, out: Path, facts: dict[str, Any]) -> None:
    """Both files; `facts` is what the caller knows besides: weights, card, splits."""
    table, whole = paths(out)
    with atomic_write(table, "w") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(outcome))
    with atomic_write(whole, "w") as file:
        json.dump({**facts, **as_dict(outcome)}, file, indent=1)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    found, settings = outcome.found, outcome.settings
    return {
        "network": outcome.network,
        "engine": outcome.engine.name,
        "swath": __version__,
        "trained_with_8_bits": outcome.trained,
        "weight_range": asdict(outcome.weights),
        "views": str(settings.views),
        "seed": settings.seed,
        "budget": found.budget,
        "holds": found.holds,
        "miou_float": outcome.before,
        "miou_int8": outcome.after,
        "lost": found.loss,
        "scored_pictures": outcome.pictures,
        "tried_on_subset": {str(count): loss for count, loss in sorted(found.tried.items())},
        "tried_on_all": {str(count): loss for count, loss in sorted(found.checked.items())},
        "bytes": outcome.size,
        "bytes_float": outcome.plain_size,
        "cpu": cpu_name(),
        "timed_at": f"{outcome.timed[1]}x{outcome.timed[0]}",
        "milliseconds": [asdict(each) for each in outcome.timings],
        "verdict": verdict(outcome.timings),
        "calibrated_with": outcome.calibrated,
        "left_out_of_one_colour": outcome.constant,
        "subset": outcome.subset,
        "layers": rows(outcome),
    }
