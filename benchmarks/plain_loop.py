"""A training loop in the style of most scripts of this field, to compare with: see training.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance
from torch.utils.data import DataLoader

import swath

LR, MOMENTUM, DECAY, JITTER = 0.01, 0.9, 5e-4, 0.25
SCALE = (0.5, 2.0)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


class Pictures(torch.utils.data.Dataset[Any]):
    """Cityscapes as most scripts read it."""

    def __init__(self, root: Path, size: tuple[int, int]):
        self.files = sorted((root / "leftImg8bit/train").rglob("*.png"))
        self.size = size
        self.ids = np.full(256, 255, np.uint8)
        self.ids[[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]] = np.arange(19)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = self.files[index]
        image = Image.open(path).convert("RGB")
        label = Image.open(str(path).replace("leftImg8bit", "gtFine").replace("_gtFine.png", "_gtFine_labelIds.png"))
        scale = np.random.uniform(*SCALE)
        wanted = (round(image.width * scale), round(image.height * scale))
        image, label = image.resize(wanted, Image.BILINEAR), label.resize(wanted, Image.NEAREST)
        height, width = self.size
        below, right = max(0, height - image.height), max(0, width - image.width)
        pixels, ids = np.array(image), self.ids[np.array(label)]
        if below or right:
            pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)))
            ids = np.pad(ids, ((0, below), (0, right)), constant_values=255)
        y = np.random.randint(pixels.shape[0] - height + 1)
        x = np.random.randint(pixels.shape[1] - width + 1)
        image = Image.fromarray(pixels[y : y + height, x : x + width])
        ids = ids[y : y + height, x : x + width]
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = change(image).enhance(np.random.uniform(1 - JITTER, 1 + JITTER))
        pixels = np.array(image, np.float32)
        if np.random.random() < 0.5:
            pixels, ids = pixels[:, ::-1], ids[:, ::-1]
        pixels = (pixels / 255 - MEAN) / DEVIATION
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), torch.from_numpy(ids.astype(np.int64))


def plain(
    network: str, root: Path, size: tuple[int, int], batch: int, device: torch.device, workers: int
) -> Iterator[None]:
    """A step each time."""
    model = swath.create_model(network, num_classes=19).to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    pin = device.type == "cuda"
    pictures = Pictures(root, size)
    loader = DataLoader(pictures, batch, shuffle=True, num_workers=workers, drop_last=True, pin_memory=pin)
    total = 0.0
    while True:
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimiser.zero_grad()
            main, *aux = model(images)
            loss = F.cross_entropy(main, labels, ignore_index=255)
            for weight, each in zip(model.aux_weights, aux):
                loss = loss + weight * F.cross_entropy(each, labels, ignore_index=255)
            loss.backward()
            optimiser.step()
            total += loss.item()
            yield
