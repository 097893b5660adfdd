"""Every shipped recipe, shortened, on a made-up tree in the official layout of its dataset."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from swath.training import list_recipes, load_recipe, start
from swath.weights import read_meta

SHORT_STAGE = [("epochs", "none"), ("iterations", "2"), ("batch", "2"), ("window.size", "64x64"), ("warmup", "1")]
SHORT = [
    ("threads", ["1"]),
    ("device", ["cpu"]),
    ("samples", ["1"]),
    ("tensorboard", ["false"]),
    ("data.workers", ["0"]),
]


def picture(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))


def label(path: Path, rng: np.random.Generator, values: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.repeat(np.repeat(rng.choice(values, (8, 12)).astype(np.uint8), 8, 0), 8, 1))


def cityscapes(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            name = f"{split}/aachen/aachen_{i:06d}_000019"
            picture(root / f"leftImg8bit/{name}_leftImg8bit.png", rng)
            label(root / f"gtFine/{name}_gtFine_labelIds.png", rng, list(range(34)))


def bdd100k(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            picture(root / f"images/10k/{split}/{i:08x}.jpg", rng)
            label(root / f"labels/sem_seg/masks/{split}/{i:08x}.png", rng, [*range(19), 255])


def camvid(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        lines = []
        for i in range(count):
            picture(root / f"{split}/{i:05d}.png", rng)
            label(root / f"{split}annot/{i:05d}.png", rng, list(range(12)))
            lines.append(f"/SegNet/CamVid/{split}/{i:05d}.png /SegNet/CamVid/{split}annot/{i:05d}.png")
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")


def shortened(name: str) -> list[tuple[str, list[str]]]:
    """What makes a recipe quick; where the network is what it is about, that stays."""
    stages = range(len(load_recipe(name).stages))
    keys = [(f"stages.{i}.{key}", [value]) for i in stages for key, value in SHORT_STAGE]
    smaller = [] if "multitask" in name or len(stages) > 1 else [("network", ["contextnet14_160"])]
    return [*smaller, *keys, *SHORT]


TREES = {
    "contextnet14-cityscapes": cityscapes,
    "contextnet14-cityscapes-compressed": cityscapes,
    "contextnet14-bdd100k": bdd100k,
    "contextnet12-camvid": camvid,
}


@pytest.mark.parametrize("name", list_recipes())
def test_shortened(name: str, tmp_path: Path, shapes: Path) -> None:
    run = tmp_path / "run"
    if len(load_recipe(name).stages) > 1:
        pytest.importorskip("torch_pruning")
    short = shortened(name)
    if name.startswith("streets"):
        small = [
            (f"data.{split}_options.{key}", [value])
            for split in ("train", "val")
            for key, value in (("count", "2"), ("size", "128x64"))
        ]
        assert start(name, [*short, *small], out=run) == 0
    elif name == "own":
        assert start(name, [*short, ("data.card", [str(shapes / "card.yaml")])], out=run) == 0
    else:
        TREES[name](tmp_path / "data")
        assert start(name, [*short, ("data.root", [str(tmp_path / "data")])], out=run) == 0
    meta = read_meta(run / "best.safetensors")
    assert meta.recipe == name and 0 <= meta.score["miou"] <= 1
