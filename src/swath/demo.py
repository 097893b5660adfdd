"""The whole way in one call: train on synthetic streets, score, time, segment, and a page that shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from swath.bench import Settings, benchmark
from swath.cards import Card, load_card
from swath.data import Source
from swath.errors import SwathError
from swath.evaluation import Scores, evaluate
from swath.inference import Segmentation, Segmenter
from swath.report import (
    Bar,
    Tile,
    bar_chart,
    columns,
    difference,
    image_grid,
    image_uri,
    legend,
    page,
    section,
    table,
    tiles,
    write_page,
)
from swath.training import start

PICTURES = 8  # on the page
SCORED = 40  # test pictures


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found out, and where its page lies."""

    network: str
    scores: Scores
    milliseconds: float  # a picture, network and mask, median
    size: tuple[int, int]
    page: Path
    weights: Path


def demo(out: Path, overwrite: bool = False, overrides: tuple[tuple[str, list[str]], ...] = ()) -> DemoResult | int:
    """Run everything into `out`. Returns the exit status of the training where that was stopped."""
    if (out / "index.html").exists() and not overwrite:
        raise SwathError(f"{out}: holds a demo already; choose another folder with --out, or replace it: --overwrite")
    began = time.monotonic()
    if status := start("streets", overrides, out / "run", overwrite=overwrite):
        return status
    weights = out / "run" / "best.safetensors"
    segmenter = Segmenter(weights)
    card = load_card("streets")
    source = card.open("test", count=SCORED)  # streets that neither training nor validation has seen
    scores = evaluate(segmenter, source)
    size = source.size(0)
    (timed,) = benchmark([str(weights)], Settings(size=size, iterations=30, warmup=5, stages=("mask",), memory=False))
    result = DemoResult(
        network=segmenter.description.meta.network,
        scores=scores,
        milliseconds=timed.latency["mask"].p50,
        size=size,
        page=out / "index.html",
        weights=weights,
    )
    write_page(result.page, gallery(result, segmenter, card, source, time.monotonic() - began))
    return result


def gallery(result: DemoResult, segmenter: Segmenter, card: Card, source: Source, seconds: float) -> str:
    """The page: the numbers, the classes, and pictures with truth, prediction and difference."""
    scores = result.scores
    height, width = result.size
    shown = range(min(PICTURES, len(source)))
    rows = [_row(segmenter, source, i) for i in shown]
    named = zip(card.class_names, scores.class_iou, card.colors)
    bars = [Bar(name, iou, f"rgb{tuple(color)}") for name, iou, color in named]
    facts = table(
        ["what", "how much"],
        [
            ["network", result.network],
            ["pictures scored", f"{len(source)} of {width} x {height}, unseen in training"],
            ["pixel accuracy", _percent(scores.pixel_accuracy)],
            ["mean accuracy", _percent(scores.mean_accuracy)],
            ["category mIoU", _percent(scores.category_miou)],
            ["everything took", f"{seconds:.0f} s"],
        ],
    )
    return page(
        "swath on synthetic streets",
        "A network trained from scratch on this machine, on pictures made on this machine.",
        tiles(
            [
                Tile(_percent(scores.miou), "mIoU on unseen streets"),
                Tile(f"{result.milliseconds:.1f} ms", f"a picture of {width} x {height}, network and mask"),
                Tile(f"{seconds:.0f} s", "to train, score, time and draw"),
            ]
        ),
        columns(section("IoU of each class", bar_chart(bars)), section("In numbers", facts)),
        section(
            "Pictures",
            legend(list(zip(card.class_names, card.colors))),
            '<div style="height:12px"></div>',
            image_grid(rows),
            note="Each row: the picture, its exact truth, the prediction, and where they differ (red).",
        ),
        section(
            "Go on",
            f"<pre>swath predict {result.weights} YOUR_PICTURES --out out\n"
            f"swath export {result.weights} --to onnx\n"
            "swath init-card FOLDER        # your own classes</pre>",
        ),
        footer="Written by swath demo.",
    )


def _row(segmenter: Segmenter, source: Source, index: int) -> list[tuple[str, str]]:
    image, truth = source.image(index), source.labels(index)
    prediction = segmenter(image)
    exact = Segmentation(image=image, labels=truth, class_names=prediction.class_names, colors=prediction.colors)
    wrong = float((prediction.labels != truth)[truth != source.card.ignore_index].mean())
    return [
        ("picture", image_uri(image)),
        ("truth", image_uri(exact.color(), lossless=True)),
        ("prediction", image_uri(prediction.color(), lossless=True)),
        (f"difference: {100 * wrong:.1f} % of the pixels", image_uri(difference(image, truth, prediction.labels))),
    ]


def _percent(score: float | None) -> str:
    return "absent" if score is None else f"{100 * score:.1f} %"
