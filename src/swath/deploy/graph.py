"""What is exported: the network between uint8 pixels and logits (finish outside) or labels (finish inside)."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.inference.description import Description, Finish
from swath.inference.runtimes.torch import PixelsIn
from swath.networks import Network, fuse
from swath.quantise import Quantised


class LabelsOut(nn.Module):
    """Pixels in, labels out: one graph that does it all, for a deployment of three lines in another language."""

    def __init__(self, pixels_in: PixelsIn, align_corners: bool, multiple: int):
        super().__init__()
        self.pixels_in = pixels_in
        self.align_corners = align_corners
        self.multiple = multiple

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[1], image.shape[2]
        padded = self._pad(image) if self.multiple > 1 else image
        logits = self.pixels_in(padded)
        size = (padded.shape[1], padded.shape[2])
        full = F.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)
        labels = full.argmax(1).to(torch.uint8)
        return labels[:, :height, :width] if self.multiple > 1 else labels

    def _pad(self, image: Tensor) -> Tensor:
        """Repeat the last row and column up to a multiple, as `Segmenter.pad` does."""
        for axis in (1, 2):
            side = image.shape[axis]
            whole = (side + self.multiple - 1) // self.multiple * self.multiple
            image = image.index_select(axis, torch.arange(whole, device=image.device).clamp(max=side - 1))
        return image


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


def example(description: Description, deepest: int) -> Tensor:
    """Pixels to trace with: a batch of 2, unequal sides, and no map with a side of 1, because tracers take 1 and equal
    numbers for constants."""
    height, width = (
        -(-max(2 * least, more * deepest, 64 * more) // description.multiple) * description.multiple
        for least, more in zip(description.min_size, (2, 3))
    )
    noise = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, height, width, description.channels), dtype=torch.uint8, generator=noise)
