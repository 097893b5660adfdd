"""A network that answers what its pictures say, so that tests choose every prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from swath.networks import Network

# Raw ids of the 19 classes in their order; the other raw ids are ignored.
IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
OTHERS = [0, 1, 3, 4, 5, 6, 9, 10, 14, 16, 18, 29, 30]
WITH_OBJECTS = range(24, 34)  # raw ids; 29 and 30 have objects, but are not evaluated


class Telling(Network):
    """The red channel of a pixel is its class."""

    stride = 1

    def __init__(self, num_classes: int):
        super().__init__(num_classes=num_classes)
        self.nothing = torch.nn.Parameter(torch.zeros(()))  # a network's device is that of its parameters

    def forward_logits(self, *inputs: Tensor) -> Tensor:
        red = inputs[0][:, :1] * self.preprocess.std[0] + self.preprocess.mean[0]
        classes = torch.arange(self.num_classes, dtype=red.dtype).reshape(1, -1, 1, 1)
        return -((red * 255).round() - classes).abs() + self.nothing


def picture(labels: np.ndarray) -> np.ndarray:
    """The picture that tells these labels."""
    image = np.zeros((*labels.shape, 3), np.uint8)
    image[..., 0] = labels
    image[..., 1] = 77
    return image


def blobs(draw: np.random.Generator, values: list[int], height: int, width: int, count: int = 30) -> np.ndarray:
    """Rectangles of these values over each other."""
    labels = np.full((height, width), draw.choice(values), np.uint8)
    for value in draw.choice(values, count):
        top, left = draw.integers(0, height), draw.integers(0, width)
        labels[top : top + draw.integers(2, height // 2), left : left + draw.integers(2, width // 2)] = value
    return labels


def cityscapes(root: Path, seed: int, absent: tuple[int, ...]) -> list[str]:
    """A tree as Cityscapes has it, with objects and groups; the label files, in their order."""
    files = []
    for number in range(4):
        draw = np.random.default_rng((seed, number))
        name = f"{'aachen' if number % 2 else 'bonn'}/x_{number:06d}_000019"
        classes = [raw for raw in IDS if raw not in absent]
        raw = blobs(draw, classes + OTHERS + [raw for raw in WITH_OBJECTS if raw not in absent] * 2, 48, 96, 60)
        instances = raw.astype(np.int32)
        for raw_id in np.unique(raw):
            if raw_id in WITH_OBJECTS:
                cut = draw.integers(0, 96, 2)  # left of it one object, right of it another, between them a group
                columns = np.arange(96)[None, :]
                object_number = np.where(columns < cut.min(), 0, np.where(columns >= cut.max(), 1, -1))
                mine = (raw == raw_id) & (object_number >= 0)
                instances[mine] = (raw_id.astype(int) * 1000 + np.broadcast_to(object_number, raw.shape))[mine]
        truth = np.full(256, 0, np.uint8)
        truth[IDS] = np.arange(19)
        said = np.where(draw.random(raw.shape) < 0.8, truth[raw], blobs(draw, list(range(19 - len(absent))), 48, 96))
        for pattern, array in (
            ("leftImg8bit/val/{}_leftImg8bit.png", picture(said.astype(np.uint8))),
            ("gtFine/val/{}_gtFine_labelIds.png", raw),
            ("gtFine/val/{}_gtFine_instanceIds.png", instances.astype(np.uint16)),
        ):
            file = root / pattern.format(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(file)
            if "labelIds" in pattern:
                files.append(str(file))
    return sorted(files)
