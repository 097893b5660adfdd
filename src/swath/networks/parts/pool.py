"""Average pooling to a number of cells, whatever the size of the map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.parts.conv import ConvNormAct
from swath.networks.parts.resize import resize_as


def pool_to(x: Tensor, rows: int, columns: int) -> Tensor:
    """Adaptive average pooling to `rows` x `columns`.

    In a graph for any size it is two matrix products: the ONNX exporter bakes the traced size into the cells' bounds,
    which answers wrongly, or not at all, at other sizes (torch 2.13).
    """
    if any_size(x):
        return pooling_matrix(rows, x.shape[-2], x) @ x @ pooling_matrix(columns, x.shape[-1], x).T
    return F.adaptive_avg_pool2d(x, (rows, columns))


def any_size(x: Tensor) -> bool:
    """Whether this is a graph in the making that has to serve maps of other sizes than that of `x`.

    One for a single size had better do without products by matrices: OpenVINO 2026.4 takes a product by a constant for
    a fully connected layer, joins it with the norm behind it, and gives up as the scales do not fit.
    """
    return torch.compiler.is_exporting() and not all(isinstance(side, int) for side in x.shape[-2:])


def pooling_matrix(cells: int, size: int, like: Tensor, spare: int = 0) -> Tensor:
    """cells x size: cell i averages from floor(i * size / cells) up to ceil((i + 1) * size / cells).

    `spare` appends rows of zeros: a dimension that is 2 or more for certain stays free in an exported graph.
    """
    cell = torch.arange(cells + spare, device=like.device).unsqueeze(1)
    place = torch.arange(size, device=like.device).unsqueeze(0)
    inside = (cell * size < (place + 1) * cells) & (place * cells < (cell + 1) * size)
    weights = inside.to(like.dtype)
    return weights / weights.sum(1, keepdim=True).clamp(min=1)


class PyramidPooling(nn.Module):
    """The map, and behind it its averages over grids of `bins` cells a side, each through a 1x1 (PSPNet)."""

    def __init__(self, channels: int, width: int, bins: Sequence[int], align_corners: bool):
        super().__init__()
        self.bins = tuple(bins)
        self.reduce = nn.ModuleList([ConvNormAct(channels, width, 1) for _ in bins])
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        pooled = [reduce(pool_to(x, bins, bins)) for bins, reduce in zip(self.bins, self.reduce)]
        return torch.cat([x, *(resize_as(each, x, self.align_corners) for each in pooled)], 1)
