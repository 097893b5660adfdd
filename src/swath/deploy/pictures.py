"""What an export is tried on: pictures that look real, and hostile ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from swath.inference.description import Description
from swath.inference.views import shown

Named = tuple[str, Tensor]  # uint8 pixels N x H x W x C


def hostile(description: Description) -> Iterator[Named]:
    """Pictures that find what photographs do not: extremes, one-pixel detail, the smallest size, odd ones, batches. All
    of one size where the file is for one."""
    noise = np.random.default_rng(2)
    channels = description.channels
    low_h, low_w = description.min_size
    base = description.shape or (max(96, low_h), max(160, low_w))

    def random(count: int, height: int, width: int) -> Tensor:
        return torch.from_numpy(noise.integers(0, 256, (count, height, width, channels), dtype=np.uint8))

    def pattern(cell: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        return torch.from_numpy(np.repeat((255 * cell.astype(np.uint8))[None, :, :, None], channels, axis=3))

    rows, columns = np.indices(base)
    yield "black", torch.zeros((1, *base, channels), dtype=torch.uint8)
    yield "white", torch.full((1, *base, channels), 255, dtype=torch.uint8)
    yield "noise", random(1, *base)
    yield "1-pixel chessboard", pattern((rows + columns) % 2)
    yield "1-pixel lines", pattern(columns % 2)
    yield "single white pixels", pattern((rows % 17 == 8) & (columns % 13 == 6))
    if description.shape is None:
        yield "smallest size", random(1, low_h, low_w)
        yield "odd size", random(1, max(97, low_h + 1) | 1, max(131, low_w + 1) | 1)
        yield "tall", random(1, max(250, low_h), max(67, low_w))
    yield "batch of 3", random(3, *base)


def real(description: Description) -> Iterator[Named]:
    """Synthetic streets: as near to photographs as can be had without a download."""
    if description.channels != 3:
        return
    from swath.cards import load_card

    streets = load_card("streets").open("val")
    for index in range(2):
        picture = torch.from_numpy(np.ascontiguousarray(streets.image(index)))[None]
        yield f"street {index}", fitting(picture, description)


def fitting(pixels: Tensor, description: Description) -> Tensor:
    """Pictures in the one size that the file takes, if it takes one."""
    return pixels if description.shape is None else shown(pixels, description.shape)
