"""A dataset to pack: pictures of several sizes, in two splits with labels and one without."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml

from swath.cards import Card, load_card
from swath.data import Source
from swath.data.packed import Plan, pack, plan_packing
from swath.data.packed.manifest import Split, read_manifest

SIZES = [(150, 210), (64, 97), (200, 130), (128, 128), (65, 300), (33, 20)]
CARD = {
    "name": "yard",
    "classes": ["ground", "box", "sky"],
    "images": "{split}/images/{id}.png",
    "labels": "{split}/labels/{id}.png",
    "label_values": {0: "ground", 7: "box", 9: "sky", 255: "ignore"},
    "splits": {"train": {}, "val": {}, "test": {"labels": "none"}},
}


def photo(draw: np.random.Generator, height: int, width: int) -> np.ndarray:
    smooth = cv2.resize(draw.integers(0, 256, (4, 5, 3), np.uint8), (width, height)).astype(int)
    return np.clip(smooth + draw.integers(-5, 6, smooth.shape), 0, 255).astype(np.uint8)


def fill(root: Path, split: str, count: int, labels: bool = True) -> None:
    draw = np.random.default_rng(len(split))
    for index in range(count):
        height, width = SIZES[index % len(SIZES)]
        write(root / split / "images" / f"town/{index:03}.png", photo(draw, height, width))
        if labels:
            truth = draw.choice(np.array([0, 7, 9, 255], np.uint8), (height, width))
            write(root / split / "labels" / f"town/{index:03}.png", truth)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def card_file(folder: Path, **changes: object) -> Card:
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump({**CARD, **changes}))
    return load_card(str(path))


def do(card: Card, **options: object) -> Plan:
    """Pack it, in this process; gives what was planned."""
    folder = card.file.parent
    planned = plan_packing(card, folder / "packed", folder / "source", **options)  # type: ignore[arg-type]
    pack(planned, 1)
    return planned


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(one: Source, other: Source, labels: bool = True) -> None:
    assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]
    for index in range(len(other)):
        assert one.size(index) == other.size(index)
        assert np.array_equal(one.image(index), other.image(index))
        if labels:
            assert np.array_equal(one.labels(index), other.labels(index))


def read(folder: Path) -> Split:
    """What pack.json says of the training split."""
    return read_manifest(folder).splits["train"]
