"""Bilinear resizing whose sizes stay symbolic while a graph is traced (never `int(h * 0.5)`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_to(x: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """`x` at `size` = (height, width)."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def resize_as(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """`x` at the height and width of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)


def crop_to(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The upper left corner of `x`, which is (height, width) = `size` or a little larger."""
    if torch.compiler.is_compiling():  # a slice would fix in the graph whether there was something to cut
        return F.pad(x, (0, size[1] - x.shape[-1], 0, size[0] - x.shape[-2]))
    return x[..., : size[0], : size[1]]
