"""A run to weights that ship: halves in the package, and beside them the card that says what they are good for.

    swath train contextnet14-camvid --data.root CAMVID --out RUN
    python benchmarks/ship.py RUN --root CAMVID        writes src/swath/weights/shipped/NAME.{safetensors,md,svg}

NAME is that of the run's recipe. What is scored is the file that ships, in halves, as `swath evaluate` scores it, on
the split that the run was measured on. Its best epoch was chosen on that split; the card says so.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path
from typing import Any

import torch

from swath import Segmenter, load
from swath.cards import load_card
from swath.evaluation import evaluate
from swath.files import atomic_write
from swath.report.charts import Line, line_chart
from swath.training import Recipe, load_recipe
from swath.weights import WeightsMeta, read_meta, save_weights
from swath.weights.shipped import ENDING, FOLDER

LICENCES = {
    "camvid": "CamVid (Brostow, Fauqueur and Cipolla, 2009) is given out by the University of Cambridge without a "
    "licence text that we know of, and is cited as a set for research. Whether weights learnt from it may go into a "
    "product is for you to decide; the code of swath is Apache-2.0, and so are these numbers as far as they are ours."
}
SEEN = {  # failures that somebody looked at
    "contextnet14-camvid": "Other cameras' colors: of a street in Cityscapes' greenish tint it takes most of the road "
    "for trees and signs, at any size.",
    "unet_lite_mobilenetv2-camvid": "Other cameras' colors: of a street in Cityscapes' greenish tint it takes patches "
    "of the road for trees and the people who cross it for cars.",
}
WEAK = 0.4  # IoU below which a class is named among the failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", required=True, help="the folder of the pictures")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.run / "config.yaml")
    path = FOLDER / f"{recipe.name}{ENDING}"
    meta = write(arguments.run, recipe, path, arguments.root)
    rows = list(csv.DictReader((arguments.run / "metrics.csv").open()))
    with atomic_write(path.with_suffix(".svg"), "w") as file:
        file.write(curve(rows) + "\n")
    with atomic_write(path.with_suffix(".md"), "w") as file:
        file.write(card(recipe, meta, path, rows, arguments.root))
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {100 * meta.score['miou']:.1f} % mIoU")


def write(run: Path, recipe: Recipe, path: Path, root: str) -> WeightsMeta:
    """The network in halves, with the score that these have."""
    model = load(run / "best.safetensors").drop_aux()
    assert model.meta is not None
    old = model.meta
    split = recipe.data.val
    source = load_card(old.dataset).open(split, root)
    side = min(source.image(0).shape[:2])  # at which things have the size that they had in training
    told = {key: value for key, value in vars(old).items() if key in ("classes", "colors", "categories", "dataset")}
    path.parent.mkdir(exist_ok=True)
    with_halves: dict[str, Any] = {
        "recipe": recipe.name,
        "dtype": torch.float16,
        "notes": {"seed": recipe.seed, "short_side": side},
    }
    save_weights(path, model, **told, **with_halves)
    scores = evaluate(Segmenter(path, engine="torch"), source)
    score = {
        "miou": scores.miou,
        "pixel_accuracy": scores.pixel_accuracy,
        "class_iou": dict(zip(old.classes, scores.class_iou)),
        "split": split,
        "iterations": old.score["iterations"],
    }
    save_weights(path, model, **told, **with_halves, score=score)
    return read_meta(path)


def curve(rows: list[dict[str, str]]) -> str:
    points = [(float(row["epoch"]), 100 * float(row["miou"])) for row in rows]
    chart = line_chart([Line("val", points)], x_label="epoch", y_label="mIoU on val, %", y_from_zero=True)
    return chart.replace("<svg", '<svg style="font: 13px sans-serif; background: white"', 1)


def card(recipe: Recipe, meta: WeightsMeta, path: Path, rows: list[dict[str, str]], root: str) -> str:
    score = meta.score
    per_class = sorted(score["class_iou"].items(), key=lambda item: -item[1])
    weak = [f"{name} ({100 * iou:.0f} %)" for name, iou in per_class if not math.isnan(iou) and iou < WEAK]
    stages = ", ".join(f"{stage.epochs} epochs `{stage.name}`" for stage in recipe.stages)
    counted = sum(parameter.numel() for parameter in load(path).parameters())
    dataset = load_card(meta.dataset)
    many = {split: len(dataset.open(split, root)) for split in (recipe.data.train, score["split"])}
    lines = [
        f"# {path.stem}",
        "",
        f"{meta.network}, {counted / 1e6:.2f} M parameters, {path.stat().st_size / 1e6:.2f} MB in halves: "
        f"{len(meta.classes)} classes of {dataset.title.partition(',')[0]}, street scenes from a car.",
        "",
        f"**{100 * score['miou']:.1f} % mIoU, {100 * score['pixel_accuracy']:.1f} % of the pixels**, on "
        f"{score['split']} ({many[score['split']]} pictures of 480x360), one view, in halves as they ship. The best of "
        f"{len(rows)} validations was chosen on that split, so expect less on pictures that it has not seen. The test "
        "split has not been looked at.",
        "",
        "| class | IoU (%) |",
        "|---|---:|",
        *(f"| {name} | {100 * iou:.1f} |" for name, iou in per_class),
        "",
        f"![mIoU on val over epochs]({path.stem}.svg)",
        "",
        "## How it was made",
        "",
        f"From scratch on the {many[recipe.data.train]} pictures of {meta.dataset}'s {recipe.data.train} split, no "
        f"other data, no weights trained elsewhere. Recipe `{recipe.name}` ({stages}), seed {recipe.seed}, "
        f"{score['iterations']:,} iterations; `swath train {recipe.name} --data.root FOLDER` does it again.",
        "",
        "## What it is for",
        "",
        "A first picture in the first minute, demonstrations, tests of a deployment, a start for training on your own "
        f"street scenes (`--init {path.stem}`). Not for anything that must not fail: nothing was trained or measured "
        "but 367 and 101 pictures of a few drives through Cambridge by day and dusk.",
        "",
        "## Where it fails",
        "",
        f"Weak classes: {', '.join(weak) if weak else 'none below 40 %'}. Thin and small things suffer most at the "
        f"network's stride of {load(path).stride}. Night, rain, snow, other cameras, other countries' signs: not seen "
        f"in training. {SEEN.get(path.stem, '')}".rstrip(),
        "",
        f"`swath stress {path.stem} --card {meta.dataset} --root FOLDER` measures some of that.",
        "",
        "## The data's licence",
        "",
        LICENCES[meta.dataset],
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
