"""What is exported: the network between uint8 pixels and logits (finish outside) or labels (finish inside)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.inference.description import Description, Finish
from swath.inference.runtimes.torch import PixelsIn
from swath.networks import Network, fuse
from swath.quantise import Quantised

Precision = Literal["fp32", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")


class LabelsOut(nn.Module):
    """Pixels in, labels out: one graph that does it all, for a deployment of three lines in another language."""

    def __init__(self, pixels_in: PixelsIn, align_corners: bool, multiple: int):
        super().__init__()
        self.pixels_in = pixels_in
        self.align_corners = align_corners
        self.multiple = multiple

    def forward(self, image: Tensor) -> Tensor:
        return self.classes(image).to(torch.uint8)

    def classes(self, image: Tensor) -> Tensor:
        height, width = image.shape[1], image.shape[2]
        padded = self._pad(image) if self.multiple > 1 else image
        logits = self.pixels_in(padded).float()  # between halves, classes would tie that do not
        size = (padded.shape[1], padded.shape[2])
        full = F.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)
        labels = full.argmax(1)
        return labels[:, :height, :width] if self.multiple > 1 else labels

    def _pad(self, image: Tensor) -> Tensor:
        """Repeat the last row and column up to a multiple, as `Segmenter.pad` does."""
        for axis in (1, 2):
            side = image.shape[axis]
            whole = (side + self.multiple - 1) // self.multiple * self.multiple
            image = image.index_select(axis, torch.arange(whole, device=image.device).clamp(max=side - 1))
        return image


class LogitsOut(nn.Module):
    """Whatever a network computes with, its logits come out in float32: what reads them need not know halves."""

    def __init__(self, pixels_in: PixelsIn):
        super().__init__()
        self.pixels_in = pixels_in

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.pixels_in(image)
        return logits.float()


def exportable(network: Network, finish: Finish) -> tuple[nn.Module, Description, Tensor]:
    """The module to export, its batch norms folded, on the CPU in eval mode; what its file will say of itself; and
    pixels to trace it with."""
    fused = copy.deepcopy(network).drop_aux().cpu()
    fused = fused.converted() if isinstance(fused, Quantised) else fuse(fused)
    description = replace(Description.of(network), finish=finish)
    module: nn.Module = PixelsIn(fused)
    if finish == "inside":
        module = LabelsOut(PixelsIn(fused), description.align_corners, description.multiple)
    return module.eval(), description, example(description, network.deepest)


def halved(module: nn.Module) -> nn.Module:
    """A copy whose network computes in float16, after norms were folded in float32. Pixels become values in float32,
    which a mean and a deviation need, and logits leave in it."""
    module = copy.deepcopy(module)
    inner = module.pixels_in if isinstance(module, LabelsOut) else module
    assert isinstance(inner, PixelsIn)
    inner.network.half()
    inner.dtype = torch.float16
    return module if isinstance(module, LabelsOut) else LogitsOut(inner).eval()


def of_precision(module: nn.Module, precision: Precision) -> nn.Module:
    return halved(module) if precision == "fp16" else module


def of_size(description: Description, size: tuple[int, int]) -> Description:
    """The description of a file that takes pictures of this (height, width) alone."""
    right = [
        -(-max(side, least) // description.multiple) * description.multiple
        for side, least in zip(size, description.min_size)
    ]
    if tuple(right) != tuple(size):
        raise SwathError(
            f"size {size[1]}x{size[0]}: {description.meta.network} takes sides of {description.multiple} times a whole "
            f"number, at least {description.min_size[1]}x{description.min_size[0]}; the next is {right[1]}x{right[0]}"
        )
    return replace(description, shape=(size[0], size[1]))


def example(description: Description, deepest: int) -> Tensor:
    """Pixels to trace with: a batch of 2, unequal sides, and no map with a side of 1, because tracers take 1 and equal
    numbers for constants; or of the one size that the file shall take."""
    height, width = description.shape or (
        -(-max(2 * least, more * deepest, 64 * more) // description.multiple) * description.multiple
        for least, more in zip(description.min_size, (2, 3))
    )
    noise = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, height, width, description.channels), dtype=torch.uint8, generator=noise)


def free_sides(description: Description) -> dict[str, dict[int, Any]]:
    """What `torch.export` may not take for constants: the batch and, unless the file is for one size, the sides."""
    sides = (0, 1, 2) if description.shape is None else (0,)
    return {"image": dict.fromkeys(sides, torch.export.Dim.DYNAMIC)}
