"""How much of a network's quality bad weather and bad cameras leave, how honest it is, and what faults cost.

    swath train streets --network contextnet12 --epochs 3 --out RUN
    python benchmarks/stress.py RUN/best.safetensors streets - [WEIGHTS CARD ROOT ...] [--limit N]

writes benchmarks/stress.md: for each weights with a card's val split (and its folder, or `-`), the table of
`swath stress`, the figures of `swath calibrate`, and what a picture costs to spoil.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

import swath
from swath import Segmenter, load_card
from swath.evaluation.temperature import calibrate
from swath.robustness import FAULTS, SEVERITIES, corrupt, stress
from swath.robustness.stress import Stressed
from swath.robustness.tables import overconfidence, remarks
from swath.weights import read_meta

SIZES = ((360, 480), (1024, 2048))


def progress(title: str) -> Callable[[int, int, str], None]:
    def watch(done: int, total: int, what: str) -> None:
        print(f"\r{title}: {done} of {total}", end="", file=sys.stderr, flush=True)

    return watch


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def table(found: Stressed) -> list[str]:
    lines = [
        "| mIoU, % | 1 | 2 | 3 | 4 | 5 | mean | kept | sure | right |",
        "|---|" + "---:|" * 9,
    ]
    for fault in found.faults:
        cells = [found.cells[fault.name, severity] for severity in SEVERITIES]
        row = [percent(cell.scores.miou) for cell in cells]
        row += [percent(found.miou(fault.name)), percent(found.kept(fault.name))]
        row += [percent(statistics.mean(cell.confidence or 0 for cell in cells))]
        row += [percent(statistics.mean(cell.scores.pixel_accuracy or 0 for cell in cells))]
        lines.append(f"| {fault.name} | " + " | ".join(row) + " |")
    clean = found.clean
    ends = [percent(clean.confidence), percent(clean.scores.pixel_accuracy)]
    lines.append(f"| clean | | | | | | {percent(clean.scores.miou)} | 100.0 | {' | '.join(ends)} |")
    return lines


def one(weights: str, card: str, root: str | None, limit: int | None) -> list[str]:
    """The section of one network."""
    source = load_card(card).open("val", root)
    segmenter = Segmenter(weights, engine="torch")
    honest = calibrate(segmenter, source)
    meta = segmenter.runtime.description.meta
    description = replace(segmenter.runtime.description, meta=replace(meta, temperature=honest.temperature))
    segmenter.runtime.description = description  # as though the weights had been calibrated
    found = stress(segmenter, source, limit=limit, watch=progress(weights))
    gaps = {key: overconfidence(cell) or 0.0 for key, cell in found.cells.items()}
    worst = max(gaps, key=lambda key: gaps[key])
    checked = "" if honest.ece_checked is None else f" ({100 * honest.ece_checked:.2f} by the other half's temperature)"
    return [
        f"## {read_meta(weights).network} on {source.card.name} val, {found.pictures} of {len(source)} pictures",
        "",
        f"`swath stress` (seed 0; {'measured depth' if found.measured_depth else 'a typical street as depth'}); sure "
        "and right are means over severities, at the temperature below.",
        "",
        *table(found),
        "",
        f"mIoU {percent(found.clean.scores.miou)} clean, {percent(found.mean_miou())} under faults: "
        f"**{percent(found.mean_kept())} % kept**. " + "; ".join(remarks(found)) + ".",
        "",
        f"`swath calibrate`: temperature {honest.temperature:.3f}, ECE {100 * honest.ece_before:.2f} -> "
        f"{100 * honest.ece_after:.2f} %{checked}, negative log-likelihood {honest.nll_before:.4f} -> "
        f"{honest.nll_after:.4f} on {honest.pictures} pictures. Honest on clean pictures is not so in bad weather: "
        f"at {worst[0]} {worst[1]} it is {100 * gaps[worst]:.1f} points more sure than right.",
        "",
        "| right of the kept pixels | least confidence | left out |",
        "|---:|---:|---:|",
        *(
            f"| {100 * each.accuracy:g} % | {each.confidence:.3f} | {100 * each.left_out:.1f} % |"
            for each in honest.thresholds
        ),
        "",
    ]


def costs(repeats: int = 3) -> list[str]:
    """Milliseconds of one processor a picture, medians over repeats, the worst severity; they are processor time, as
    other people's work would otherwise be counted too."""
    lines = ["| ms a picture | " + " | ".join(f"{w} x {h}" for h, w in SIZES) + " |", "|---|" + "---:|" * len(SIZES)]
    for fault in FAULTS:
        row = []
        for height, width in SIZES:
            coarse = np.random.default_rng(0).integers(0, 256, (12, 24, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
            worst = 0.0
            for severity in SEVERITIES:
                taken = []
                for _ in range(repeats + 1):
                    began = time.process_time()
                    corrupt(image, fault, severity)
                    taken.append(1000 * (time.process_time() - began))
                worst = max(worst, statistics.median(taken[1:]))
            row.append(f"{worst:.0f}")
        lines.append(f"| {fault} | " + " | ".join(row) + " |")
    return lines


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    load = os.getloadavg()[0]
    limit = int(arguments.pop(arguments.index("--limit") + 1)) if "--limit" in arguments else None
    sections: list[str] = []
    given = [word for word in arguments if word != "--limit"]
    for weights, card, root in zip(given[::3], given[1::3], given[2::3]):
        sections += one(weights, card, None if root == "-" else root, limit)
    command = (
        "python benchmarks/stress.py "
        + " ".join("DIR" if Path(word).is_dir() else Path(word).name for word in given)
        + (f" --limit {limit}" if limit else "")
    )
    lines = [
        "# Stress",
        "",
        f"`{command}`: one thread of {os.cpu_count()} ({platform.machine()}), load average before {load:.1f}. "
        f"swath {swath.__version__}, torch {torch.__version__}, OpenCV {cv2.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}. What the severities are: docs/robustness.md.",
        "",
        *sections,
        "## What a picture costs to spoil",
        "",
        "Processor time of one thread at the slowest of the five severities, medians of 3.",
        "",
        *costs(),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
