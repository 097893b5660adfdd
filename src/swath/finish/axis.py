"""Where the pixels of a row (or column) lie between the logits of a row (or column)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SPARE = 8  # fractions beyond the last pixel: the compiled loop handles so many pixels at once


Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Shown:
    """How a network saw a picture: resized to `size`, then padded below and to the right, to `padded`."""

    size: Size
    padded: Size


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
        """As `interpolate` places them; it computes in float32."""
        at = torch.arange(pixels + SPARE, dtype=torch.float32)
        if align_corners:
            return cls._at(at * ((logits - 1) / (pixels - 1) if pixels > 1 else 0.0), logits)
        return cls._at((at + 0.5) * (logits / pixels) - 0.5, logits)

    @classmethod
    def of_shown(cls, logits: int, pixels: int, align_corners: bool, shown: int, padded: int) -> Axis:
        """Of a picture that was shown with `shown` pixels, and `padded` before these became logits."""
        at = (torch.arange(pixels + SPARE, dtype=torch.float64) + 0.5) * (shown / pixels)  # from the edge
        if align_corners:
            source = (at - 0.5) * ((logits - 1) / (padded - 1) if padded > 1 else 0.0)
        else:
            source = at * (logits / padded) - 0.5
        # a little beyond the corners is still the edge; of the last pixel's spare neighbours nobody asks
        return cls._at(source.clamp_(-0.5, logits - 0.5).float(), logits)

    @classmethod
    def _at(cls, source: Tensor, logits: int) -> Axis:
        below, pixels = source.floor(), len(source) - SPARE
        cell = below[:pixels].long() + 1
        return cls(torch.searchsorted(cell, torch.arange(logits + 2)), source - below)

    @property
    def pixels(self) -> int:
        return len(self.fraction) - SPARE

    @property
    def on_logits(self) -> bool:
        """Whether pixel i is logit i, so that nothing lies between; of a padded picture there may be more."""
        count = self.pixels
        if count > len(self.start) - 2 or self.fraction[:count].any():
            return False
        return torch.equal(self.start[1 : count + 2], torch.arange(count + 1))

    def pixels_of(self, cells_K: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of some cells and their fractions, both K x most. Smaller cells repeat their last pixel: what is
        computed for it is computed, and written, several times over."""
        count = self.start.diff()
        offset = torch.arange(int(count[cells_K].max()))
        pixel = self.start[cells_K, None] + torch.minimum(offset, count[cells_K, None] - 1)
        return pixel, self.fraction[pixel]


def axes(logits: Tensor, size: Size, align_corners: bool, shown: Shown | None = None) -> tuple[Axis, Axis]:
    """Of the rows and of the columns."""
    have = (logits.shape[2], logits.shape[3])
    if shown is None:
        return Axis.of(have[0], size[0], align_corners), Axis.of(have[1], size[1], align_corners)
    ends = zip(have, size, shown.size, shown.padded)
    rows, columns = (Axis.of_shown(h, pixels, align_corners, seen, whole) for h, pixels, seen, whole in ends)
    return rows, columns
