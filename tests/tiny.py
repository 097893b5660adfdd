"""Small things that tests of several folders need: a dataset of rectangles, a network, its weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

import swath
from swath.networks import Network

NAMES = ["ground", "box", "disc", "sky"]
COLORS = [(90, 90, 90), (200, 40, 40), (40, 40, 200), (70, 130, 180)]
CATEGORIES = ["stuff", "thing", "thing", "stuff"]

CARD = """
name: shapes
title: Shapes
classes:
  ground: {color: [90, 90, 90], category: stuff}
  box: {color: [200, 40, 40], category: thing}
  disc: {color: [40, 40, 200], category: thing}
  sky: {color: [70, 130, 180], category: stuff}
images: "{split}/images/{id}.png"
labels: "{split}/labels/{id}.png"
label_values: {0-3: in order, 255: ignore}
splits: [train, val]
"""


def picture(seed: int, height: int = 70, width: int = 90) -> np.ndarray:
    """Smooth colours with some noise, RGB."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.int16)
    return np.clip(smooth + draw.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def labels(seed: int, height: int = 70, width: int = 90) -> np.ndarray:
    """Blocks of the first three classes, some of them ignored; no sky."""
    coarse = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (4, 5))
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


def dataset(folder: Path, pictures: int = 3) -> Path:
    """Write it; returns the card's path."""
    for index in range(pictures):
        for kind, content in (("images", picture(index)), ("labels", labels(index))):
            file = folder / "val" / kind / f"p{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), content[:, :, ::-1] if content.ndim == 3 else content)
    (folder / "card.yaml").write_text(CARD)
    return folder / "card.yaml"


def too_sure(folder: Path, pictures: int = 3) -> Path:
    """The same with truths by which `network()` is too sure: its temperature is 2."""
    card = dataset(folder, pictures)
    segmenter = swath.Segmenter(network(), engine="torch")
    noise = torch.Generator().manual_seed(0)
    for index in range(pictures):
        own = labels(index)
        pixels = segmenter.prepare(torch.from_numpy(picture(index))[None])
        logits = torch.nn.functional.interpolate(segmenter.runtime.run(pixels), pixels.shape[1:3], mode="bilinear")
        chances = (logits[0, :, : own.shape[0], : own.shape[1]].flatten(1).T / 2).softmax(1)
        truth = torch.multinomial(chances, 1, generator=noise).reshape(own.shape).numpy().astype(np.uint8)
        cv2.imwrite(str(folder / f"val/labels/p{index}.png"), np.where(own == 255, own, truth))
    return card


def network(name: str = "contextnet14_160", **options: object) -> Network:
    """Untrained, but with norms and a classifier that have an effect."""
    torch.manual_seed(0)
    model = swath.create_model(name, num_classes=len(NAMES), **options)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.7, 1.3)
                module.bias.normal_(0, 0.1)
        last = [each for each in model.modules() if isinstance(each, torch.nn.Conv2d)][-1]
        last.weight.normal_(0, 1)
        last.bias.sub_(last.bias)
    return model.eval()


def weights(path: Path, dataset: str = "", **more: object) -> Path:
    """Weights of `network()`."""
    swath.save(path, network(), classes=NAMES, colors=COLORS, categories=CATEGORIES, dataset=dataset, **more)
    return path
