"""Where the pixels of a row (or column) lie between the logits of a row (or column)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SPARE = 8  # fractions beyond the last pixel: the compiled loop handles so many pixels at once


@dataclass(frozen=True)
class Axis:
    """Cell k lies between logits k - 1 and k; the first and the last, beyond the edge, between two copies of the edge.

    `start` (logits + 2): the first pixel of each cell, so cell k has the pixels start[k] to start[k + 1].
    `fraction` (pixels + SPARE): how far each pixel is from its cell's first end, 0 to 1.
    """

    start: Tensor
    fraction: Tensor

    @classmethod
    def of(cls, logits: int, pixels: int, align_corners: bool) -> Axis:
        at = torch.arange(pixels + SPARE, dtype=torch.float32)  # float32, as `interpolate` computes places
        if align_corners:
            source = at * ((logits - 1) / (pixels - 1) if pixels > 1 else 0.0)
        else:
            source = (at + 0.5) * (logits / pixels) - 0.5
        below = source.floor()
        cell = below[:pixels].long() + 1
        return cls(torch.searchsorted(cell, torch.arange(logits + 2)), source - below)

    @property
    def pixels(self) -> int:
        return len(self.fraction) - SPARE

    def pixels_of(self, cells_K: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of some cells and their fractions, both K x most. Smaller cells repeat their last pixel: what is
        computed for it is computed, and written, several times over."""
        count = self.start.diff()
        offset = torch.arange(int(count[cells_K].max()))
        pixel = self.start[cells_K, None] + torch.minimum(offset, count[cells_K, None] - 1)
        return pixel, self.fraction[pixel]
