"""What scoring a picture costs: our confusion matrix against torchmetrics and against torch's and numpy's bincount.

    python benchmarks/scoring.py [REPEATS]     writes benchmarks/scoring.md; needs torchmetrics

One picture of 1024 x 2048, one thread. "lifelike": areas of classes with a prediction that errs along their edges and
here and there, a strip at the top and bottom ignored; "noise": every pixel drawn by itself. All ways take turns,
times are medians, and all of them must count the same, or the script stops.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchmetrics
from torchmetrics.classification import MulticlassJaccardIndex

import swath
from swath.evaluation import BoundaryCounts, ConfusionMatrix

SIZE = (1024, 2048)
IGNORE = 255
Way = Callable[[], np.ndarray]  # does the work; gives the counts


def lifelike(classes: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(classes)

    def fields(coarse: int) -> np.ndarray:
        cells = draw.standard_normal((classes, SIZE[0] // coarse, SIZE[1] // coarse)).astype(np.float32)
        return np.stack([cv2.resize(each, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for each in cells])

    scores = fields(128)
    truth = scores.argmax(0).astype(np.uint8)
    prediction = (scores + 0.1 * fields(16)).argmax(0).astype(np.uint8)
    truth[:8], truth[-90:] = IGNORE, IGNORE
    return truth, prediction


def noise(classes: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(classes)
    truth, prediction = draw.integers(0, classes, (2, *SIZE)).astype(np.uint8)
    truth[draw.random(SIZE) < 0.1] = IGNORE
    return truth, prediction


def ways(classes: int, truth: np.ndarray, prediction: np.ndarray) -> dict[str, Way]:
    """Every way to count. What argmax gives is int64; labels that were kept small are uint8."""
    small = torch.from_numpy(truth), torch.from_numpy(prediction)
    large = small[0].long(), small[1].long()

    def ours() -> np.ndarray:
        matrix = ConfusionMatrix(classes)
        matrix.update(truth, prediction)
        return matrix.counts

    def metric(pair: tuple[torch.Tensor, torch.Tensor], validate: bool) -> Way:
        jaccard = MulticlassJaccardIndex(classes, ignore_index=IGNORE, validate_args=validate)

        def update() -> np.ndarray:
            jaccard.reset()
            jaccard.update(pair[1], pair[0])
            return jaccard.confmat.numpy()

        return update

    def torch_bincount() -> np.ndarray:
        known = small[0] != IGNORE
        keys = small[0][known].long() * classes + small[1][known]
        return torch.bincount(keys, minlength=classes**2).reshape(classes, classes).numpy()

    def numpy_bincount() -> np.ndarray:
        known = truth != IGNORE
        keys = truth[known].astype(np.int64) * classes + prediction[known]
        return np.bincount(keys, minlength=classes**2).reshape(classes, classes)

    def bare_histogram() -> np.ndarray:
        columns = 32 if classes <= 32 else 256
        counts = cv2.calcHist([truth, prediction], [0, 1], None, [256, columns], [0, 256, 0, columns])
        return counts[:classes, :classes].astype(np.int64)

    return {
        "**swath** `ConfusionMatrix.update`": ours,
        "one OpenCV histogram, no checks, inexact beyond 2^24": bare_histogram,
        "numpy.bincount with a mask": numpy_bincount,
        "torch.bincount with a mask": torch_bincount,
        "torchmetrics, `validate_args=False`, uint8": metric(small, False),
        "torchmetrics, `validate_args=False`, int64": metric(large, False),
        "torchmetrics as it comes, uint8": metric(small, True),
        "torchmetrics as it comes, int64": metric(large, True),
    }


def medians(tried: dict[Any, Callable[[], object]], repeats: int) -> dict[Any, float]:
    """Milliseconds; the ways take turns, so that a busy moment of the machine meets all of them."""
    taken: dict[Any, list[float]] = {name: [] for name in tried}
    for way in list(tried.values()) * 3:  # memory of large arrays is slow the first times, and kept afterwards
        way()
    for _ in range(repeats):
        for name, way in tried.items():
            began = time.perf_counter()
            way()
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(each) for name, each in taken.items()}


def compare(repeats: int) -> list[str]:
    cases = [(classes, make) for classes in (19, 150) for make in (lifelike, noise)]
    every: dict[Any, Way] = {}
    for case in cases:
        classes, make = case
        tried = ways(classes, *make(classes))
        counts = [way() for way in tried.values()]
        if not all(np.array_equal(each, counts[0]) for each in counts):
            raise SystemExit(f"{classes} classes, {make.__name__}: the ways do not count the same")
        every.update({(case, name): way for name, way in tried.items()})
    taken = medians(every, repeats)
    columns = [{name: taken[of, name] for of, name in taken if of == case} for case in cases]
    heads = [f"{classes} classes, {make.__name__}" for classes, make in cases]
    lines = ["| ms a picture (times ours) | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name in columns[0]:
        cells = [f"{each[name]:.2f} ({each[name] / next(iter(each.values())):.1f})" for each in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def boundaries(repeats: int) -> list[str]:
    truth, prediction = lifelike(19)
    tried = {}
    for name, widths in (("3", (3,)), ("1, 3, 5, 9, 12", (1, 3, 5, 9, 12))):
        counts = BoundaryCounts(19, widths)
        tried[name] = lambda counts=counts: counts.update(truth, prediction)
    taken = medians(tried, max(3, repeats // 3))
    rows = [f"| {name} | {each:.0f} |" for name, each in taken.items()]
    return ["| boundary F and IoU at widths (pixels) | ms a picture |", "|---|---:|", *rows]


def main(repeats: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    versions = f"swath {swath.__version__}, torch {torch.__version__}, torchmetrics {torchmetrics.__version__}, "
    versions += f"numpy {np.__version__}, OpenCV {cv2.__version__}, Python {platform.python_version()}"
    lines = [
        "# Scoring",
        "",
        f"`python benchmarks/scoring.py {repeats}`: one picture of 1024 x 2048, one thread of {os.cpu_count()} "
        f"({platform.machine()}), medians of {repeats}; load average before {os.getloadavg()[0]:.1f}.",
        f"{versions}.",
        "",
        *compare(repeats),
        "",
        "All ways count the same. int64 labels are what `logits.argmax(1)` gives, and what torchmetrics mostly gets.",
        "",
        *boundaries(repeats),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
