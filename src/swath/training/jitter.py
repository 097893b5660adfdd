"""Colors of a whole batch changed on a device, as data/colors.py says: the loader draws the numbers, and bytes travel.

A processor does it in the loader instead: OpenCV works on bytes, ten to thirty times faster than floats can be read and
written there. All numbers in here are small enough to be exact in float32 (below 2^24 of their own steps), so devices
agree to the bit, in whatever order they add.
"""

from __future__ import annotations

import torch
from torch import Tensor

from swath.data.colors import MATRIX, SHIFTS
from swath.training.stream import Batch

COLORS = (SHIFTS, MATRIX)


def recolored(batch: Batch) -> Batch:
    """A batch on its device as the network is to see it; one that the loader painted stays as it is."""
    if not any(name in batch for name in COLORS):
        return batch
    rest = {name: each for name, each in batch.items() if name not in COLORS}
    image = batch["image"].float()
    if SHIFTS in batch:
        image = shifted(image, batch[SHIFTS])
    if MATRIX in batch:
        image = mixed(image, batch[MATRIX])
    return {**rest, "image": image}


def mixed(image: Tensor, matrix: Tensor) -> Tensor:
    """Whole numbers N x 3 x H x W by matrices N x 3 x 4. No matrix product: TF32 would round its factors."""
    red, green, blue, constant = matrix[..., None, None].unbind(2)  # each N x 3 x 1 x 1
    mix = torch.addcmul(constant + 0.5, red, image[:, 0:1])
    mix.addcmul_(green, image[:, 1:2]).addcmul_(blue, image[:, 2:3])
    return mix.floor_().clamp_(0, 255)


def shifted(image: Tensor, shifts: Tensor) -> Tensor:
    """Whole numbers N x 3 x H x W by shifts N x 3 of hue, saturation and value."""
    add = shifts[..., None, None]
    hue, saturation, value = _hsv(image)
    hue = (hue + add[:, 0]).remainder(180)
    saturation, value = (saturation + add[:, 1]).clamp(0, 255), (value + add[:, 2]).clamp(0, 255)
    return torch.where(add.any(1, keepdim=True), _rgb(hue, saturation, value), image)


def _hsv(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in steps of 2 degrees, saturation and value in bytes, by OpenCV's arithmetic in 4096ths."""
    red, green, blue = image.unbind(1)
    value = image.amax(1)
    span = value - image.amin(1)
    saturation = (span * (255 * 4096 / value.clamp(min=1)).round() + 2048).div(4096).floor()
    sector = torch.where(value == green, blue - red + 2 * span, red - green + 4 * span)
    sector = torch.where(value == red, green - blue, sector)
    hue = (sector * (30 * 4096 / span.clamp(min=1)).round() + 2048).div(4096).floor()
    return hue.remainder(180), saturation, value


def _rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The way back. A color lacks of the value what the hue is away from it, in 30ths, times the saturation."""
    lacks = ((hue + turn).remainder(180) for turn in (150, 90, 30))
    lacks = (torch.minimum(each, 120 - each).clamp(0, 30) for each in lacks)
    whole = 30 * 255
    return torch.stack([(value * (whole - saturation * each) + 0.5).div(whole).floor() for each in lacks], 1)
