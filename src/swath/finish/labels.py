"""The label of every pixel from small logits: `interpolate(bilinear)` + `argmax`, but only where it matters.

Bilinear values inside a cell between four neighbouring logit vectors are convex mixes of its corners. If one class is
the largest at all four corners, it is the largest everywhere inside; only cells on borders between classes need
arithmetic. On lifelike logits that is some per cent of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.errors import SwathError

_MOSTLY_MIXED = 0.6  # share of mixed cells above which going through whole planes is faster
_CHUNK = 1 << 20  # values interpolated at once; keeps the work in the cache and bounds the memory


def labels(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """uint8 labels N x H x W of logits N x C x h x w, at `size` = (H, W). Of equal classes the lowest wins."""
    classes, h, w = logits.shape[1:]
    if classes > 256:
        raise SwathError(f"{classes} classes do not fit into uint8 labels; 256 is the most")
    if logits.device.type != "cpu" or size[0] * size[1] < 4 * h * w:
        return _by_planes(logits.float(), size, align_corners)
    return torch.stack([_by_cells(each, size, align_corners) for each in logits.float()])


def reference_labels(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """The definition: full-size logits, then the best class. For tests and comparisons."""
    full = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=align_corners)
    return full.argmax(1).to(torch.uint8)


def best_class(values: Tensor) -> Tensor:
    """argmax over the first dimension as uint8; a running maximum is many times faster on a CPU than `argmax`."""
    best = values[0].clone()
    index = torch.zeros(values.shape[1:], dtype=torch.uint8, device=values.device)
    for c in range(1, len(values)):
        index.masked_fill_(values[c] > best, c)
        torch.maximum(best, values[c], out=best)
    return index


def _by_planes(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """One full-size plane at a time: for noise, for tiny enlargements and for devices without the cell form."""
    best: Tensor | None = None
    index = torch.zeros((len(logits), *size), dtype=torch.uint8, device=logits.device)
    for c in range(logits.shape[1]):
        plane = F.interpolate(logits[:, c : c + 1], size=size, mode="bilinear", align_corners=align_corners)[:, 0]
        if best is None:
            best = plane
        else:
            index.masked_fill_(plane > best, c)
            torch.maximum(best, plane, out=best)
    return index


def _by_cells(z_CHW: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    padded = F.pad(z_CHW[None], (1, 1, 1, 1), mode="replicate")[0]  # so that pixels at the edge lie in cells too
    best = best_class(padded)
    here = best[:-1, :-1]
    mixed = (here != best[:-1, 1:]) | (here != best[1:, :-1]) | (here != best[1:, 1:])
    cells = mixed.flatten().nonzero()[:, 0]
    if len(cells) > _MOSTLY_MIXED * mixed.numel():
        return _by_planes(z_CHW[None], size, align_corners)[0]
    rows = _Axis(z_CHW.shape[1], size[0], align_corners)
    columns = _Axis(z_CHW.shape[2], size[1], align_corners)
    out = here.index_select(0, rows.cell).index_select(1, columns.cell)
    flat = padded.reshape(len(padded), -1)
    per_chunk = max(1, _CHUNK // (len(flat) * rows.most * columns.most))
    for chunk in cells.split(per_chunk):
        _fill_mixed(out, flat, chunk, mixed.shape[1], rows, columns)
    return out


class _Axis:
    """Which output pixels lie in which cell along one axis, and how far between its two ends."""

    def __init__(self, logits: int, pixels: int, align_corners: bool):
        at = torch.arange(pixels, dtype=torch.float32)
        if align_corners:
            source = at * ((logits - 1) / (pixels - 1) if pixels > 1 else 0.0)
        else:
            source = (at + 0.5) * (logits / pixels) - 0.5
        below = source.floor()
        self.fraction = source - below
        self.cell = below.long() + 1  # of each pixel; the padding is the first cell's upper end
        self.pixels = pixels
        self.count = torch.bincount(self.cell, minlength=logits + 1)
        self.start = self.count.cumsum(0) - self.count
        self.most = int(self.count.max())

    def pixels_of(self, cells_K: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixel numbers K x most, their fractions, and which of them are real (cells hold unequal numbers)."""
        offset = torch.arange(self.most)
        pixel = (self.start[cells_K][:, None] + offset).clamp_(max=self.pixels - 1)
        return pixel, self.fraction[pixel], offset < self.count[cells_K][:, None]


def _fill_mixed(out: Tensor, flat: Tensor, cells_K: Tensor, w: int, rows: _Axis, columns: _Axis) -> None:
    y, x = cells_K // w, cells_K % w
    row, fy, real_row = rows.pixels_of(y)
    column, fx, real_column = columns.pixels_of(x)
    fx, fy = fx[None], fy[None, :, :, None]

    def line(at: Tensor) -> Tensor:  # C x K x most: two corners of each cell, interpolated along x
        corner = at * (w + 1) + x
        a, b = flat.index_select(1, corner)[:, :, None], flat.index_select(1, corner + 1)[:, :, None]
        return a * (1 - fx) + b * fx

    values = line(y)[:, :, None] * (1 - fy) + line(y + 1)[:, :, None] * fy  # C x K x most rows x most columns
    real = real_row[:, :, None] & real_column[:, None, :]
    pixel = row[:, :, None] * columns.pixels + column[:, None, :]
    out.view(-1)[pixel[real]] = best_class(values)[real]
