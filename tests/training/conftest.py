"""A tiny dataset: rectangles on noise, three classes, a card of its own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import runs

CARD = """
name: shapes
title: Shapes
classes: {ground: [90, 90, 90], box: [200, 40, 40], disc: [40, 40, 200]}
images: "{split}/images/{id}.png"
labels: "{split}/labels/{id}.png"
label_values: {0-2: in order, 255: ignore}
splits: [train, val]
"""


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with card.yaml, tiny.yaml, 14 training pictures of 96 x 64 and 3 for validation."""
    folder = tmp_path_factory.mktemp("shapes")
    draw_shapes(folder, "train", 14)
    draw_shapes(folder, "val", 3)
    (folder / "card.yaml").write_text(CARD)
    recipe = {**runs.RECIPE, "data": {**runs.RECIPE["data"], "card": str(folder / "card.yaml")}}  # type: ignore[dict-item]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def draw_shapes(folder: Path, split: str, count: int) -> None:
    rng = np.random.default_rng(len(split))
    for kind in ("images", "labels"):
        (folder / split / kind).mkdir(parents=True)
    for i in range(count):
        image = rng.integers(60, 120, (64, 96, 3), dtype=np.uint8)
        labels = np.zeros((64, 96), np.uint8)
        labels[:2] = 255
        x, y, u, v = (int(each) for each in rng.integers(12, 50, 4))
        cv2.rectangle(image, (x, y), (x + 20, y + 12), (40, 40, 200), -1)
        cv2.rectangle(labels, (x, y), (x + 20, y + 12), 1, -1)
        cv2.circle(image, (u + 30, v), 9, (200, 40, 40), -1)
        cv2.circle(labels, (u + 30, v), 9, 2, -1)
        cv2.imwrite(str(folder / split / "images" / f"p{i:02d}.png"), image)
        cv2.imwrite(str(folder / split / "labels" / f"p{i:02d}.png"), labels)
