"""CSFCN: attention over pyramid contexts at stride 32, and learned sampling that aligns it with detail at stride 8.

Li, Geng, Wan, Cao, Zhou, "Context and Spatial Feature Calibration for Real-Time Semantic Segmentation", IEEE
Transactions on Image Processing 32 (2023), 5465-5477.

As in its authors' code, every grid of the pyramid pools the same map (the paper cascades them), and the frame rates
that they publish belong to the plain stem, `csfcn_plainstem`, while their accuracy belongs to the deep one. Offsets
and the recalibration mask start at zero as the paper means it; its code overwrites those zeros. Auxiliary heads (`aux`,
weight 0.4 each) are ours: on the backbone at stride 16 and on the calibrated context.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import unknown
from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, conv, initialise, resize_as, warp
from swath.networks.parts.pool import any_size, pooling_matrix
from swath.networks.registry import Claims, register

_HEADS = ("pixelshuffle", "bilinear")
_GRIDS = (6, 3, 2, 1)  # rows of the context pyramid
_GROUPS = 2  # of channels that are moved together


class CSFCN(Network):
    """ResNet-18, context calibration (CFC), spatial calibration (SFC), head."""

    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, head: str, stem: str, tiny: bool, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        if head not in _HEADS:
            raise unknown("head of csfcn", head, _HEADS)
        if stem not in ("deep", "plain"):
            raise unknown("stem of csfcn", stem, ("deep", "plain"))
        self.stride = 1 if head == "pixelshuffle" else 8
        self.encoder = create_encoder("resnet18", in_channels, stem=stem)
        self.context = ContextCalibration(512, 256, 32, 32 if tiny else 64)
        self.spatial = SpatialCalibration(128, 256, 0 if tiny else 32)
        self.head = nn.Sequential(
            ConvNormAct(128, 128, 3),
            *(
                (nn.Conv2d(128, 64 * num_classes, 1), nn.PixelShuffle(8))
                if head == "pixelshuffle"
                else (nn.Conv2d(128, num_classes, 1),)
            ),
        )
        if aux:
            self.aux_heads = nn.ModuleList(
                [nn.Sequential(ConvNormAct(256, 64, 3), nn.Conv2d(64, num_classes, 1)) for _ in range(2)]
            )
            self.aux_weights = (0.4, 0.4)
        initialise(self)
        self.context.initialise()
        self.spatial.initialise()

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        _, _, c3, c4, c5 = self.encoder(image)
        context = self.context(c5)
        main: Tensor = self.head(self.spatial(c3, context))
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (c4, context)))]
        return main


class ContextCalibration(nn.Module):
    """CFC: every place attends to the cells of a pyramid; what it finds is recalibrated and added."""

    def __init__(self, i: int, channels: int, key_width: int, mask_width: int):
        super().__init__()
        self.reduce = ConvNormAct(i, channels, 3)
        self.query = nn.Conv2d(channels, key_width, 1)
        self.key = nn.Conv1d(channels, key_width, 1)
        self.value = nn.Conv1d(channels, channels, 1)
        self.mask = nn.Sequential(ConvNormAct(channels, mask_width, 1), conv(mask_width, channels, 3), nn.Tanh())

    def initialise(self) -> None:
        for layer in (self.key, self.value):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.mask[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        query_NPK = self.query(x).flatten(2).transpose(1, 2)  # P places
        cells_NCS, spare_S = pyramid(x)  # S cells
        scores_NPS = query_NPK @ self.key(cells_NCS)
        if spare_S is not None:
            scores_NPS = scores_NPS.masked_fill(spare_S, float("-inf"))
        context_NCP = self.value(cells_NCS) @ scores_NPS.softmax(-1).transpose(1, 2)
        context = context_NCP.unflatten(2, x.shape[-2:])
        return x + (context * self.mask(context) + context)  # type: ignore[no-any-return]


def pyramid(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Averages of `x` over grids of 6, 3, 2 and 1 rows, and as many columns as make their cells square.

    A graph for any size has one more, spare column in each grid, named by the second answer: without it the graph would
    fix whether a grid has one column or more.
    """
    height, width = x.shape[-2:]
    grids = [(rows, round_ratio(rows * width, height)) for rows in _GRIDS]
    if not any_size(x):
        return torch.cat([F.adaptive_avg_pool2d(x, grid).flatten(2) for grid in grids], 2), None
    cells, spare = [], []
    for rows, columns in grids:
        pooled = pooling_matrix(rows, height, x) @ x @ pooling_matrix(columns, width, x, spare=1).T
        cells.append(pooled.flatten(2))
        spare.append((torch.arange(columns + 1, device=x.device) >= columns).repeat(rows))
    return torch.cat(cells, 2), torch.cat(spare)


def round_ratio(a: int, b: int) -> int:
    """max(1, round(a / b)), halves to even, in the operations that sizes in an exported graph know."""
    nearest, left = (2 * a + b) // (2 * b), (2 * a + b) % (2 * b)
    half = 1 - torch.sym_min(1, left)
    result: int = torch.sym_max(1, nearest - half * (nearest % 2))
    return result


class SpatialCalibration(nn.Module):
    """SFC: moves groups of channels of both maps by learned offsets, and adds them with learned gates.

    `key_width` narrows both maps before they are compared; 0 compares them as they are.
    """

    def __init__(self, low: int, high: int, key_width: int):
        super().__init__()
        self.from_high = ConvNormAct(high, low, 3)
        self.from_low = ConvNormAct(low, low, 3)
        self.low_key = conv(low, key_width, 1) if key_width else nn.Identity()
        self.high_key = conv(low, key_width, 1) if key_width else nn.Identity()
        self.move = nn.Sequential(ConvNormAct(2 * (key_width or low), 64, 1), conv(64, 4 * _GROUPS + 2, 3))

    def initialise(self) -> None:
        nn.init.zeros_(self.move[1].weight)  # type: ignore[arg-type]

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        high = resize_as(self.from_high(high), low, align_corners=True)
        low = self.from_low(low)
        moves = self.move(torch.cat((self.low_key(low), self.high_key(high)), 1))
        low_offset, high_offset, gates = moves.split((2 * _GROUPS, 2 * _GROUPS, 2), 1)
        low, high = _moved(low, low_offset), _moved(high, high_offset)
        high_gate, low_gate = (1 + gates.tanh()).chunk(2, 1)
        return high * high_gate + low * low_gate  # type: ignore[no-any-return]


def _moved(x: Tensor, offsets: Tensor) -> Tensor:
    """Each group of channels of `x`, moved by its own two of `offsets`. Groups are moved as pictures of a batch, which
    spares engines four splits and two joins."""
    groups, moves = (each.unflatten(1, (_GROUPS, -1)).flatten(0, 1) for each in (x, offsets))
    moved: Tensor = warp(groups, moves).unflatten(0, (-1, _GROUPS))
    return moved.flatten(1, 2)


_PAPER = "https://doi.org/10.1109/TIP.2023.3318967"
_ACCURACY = Claims(
    miou={"cityscapes val": 79.0, "cityscapes test": 78.7},
    note="at 512x1024: 74.0 val, 73.8 test; at 768x1536: 77.3 val, 77.2 test",
)
_SPEED = Claims(
    miou={"camvid test": 77.8},
    fps={
        "GTX 1080 Ti, 1024x512": 229.1,
        "GTX 1080 Ti, 1536x768": 122.2,
        "GTX 1080 Ti, 2048x1024": 70.0,
        "GTX 1080 Ti, 960x720": 179.2,
        "RTX 2080 Super Max-Q, 1024x512": 114.2,
        "RTX 2080 Super Max-Q, 1536x768": 65.9,
        "RTX 2080 Super Max-Q, 2048x1024": 38.1,
    },
    note="timed without its norms; camvid: 81.0 after pre-training on Cityscapes",
)


@register(
    "csfcn",
    paper=_PAPER,
    year=2023,
    stride=1,
    aliases=("CSFCN", "CSFCN-100", "CSFCN-75", "CSFCN-50"),
    claims=_ACCURACY,
)
def csfcn(
    num_classes: int, in_channels: int, head: str = "pixelshuffle", stem: str = "deep", aux: bool = False
) -> CSFCN:
    return CSFCN(num_classes, in_channels, head, stem, tiny=False, aux=aux)


@register("csfcn_bilinear", paper=_PAPER, year=2023, stride=8)
def csfcn_bilinear(num_classes: int, in_channels: int, stem: str = "deep", aux: bool = False) -> CSFCN:
    return CSFCN(num_classes, in_channels, "bilinear", stem, tiny=False, aux=aux)


@register("csfcn_plainstem", paper=_PAPER, year=2023, stride=1, aliases=("CSFCN_speed",), claims=_SPEED)
def csfcn_plainstem(num_classes: int, in_channels: int, head: str = "pixelshuffle", aux: bool = False) -> CSFCN:
    return CSFCN(num_classes, in_channels, head, "plain", tiny=False, aux=aux)


@register("csfcn_tiny", paper=_PAPER, year=2023, stride=8, aliases=("CSFCN-Tiny",))
def csfcn_tiny(
    num_classes: int, in_channels: int, head: str = "bilinear", stem: str = "deep", aux: bool = False
) -> CSFCN:
    return CSFCN(num_classes, in_channels, head, stem, tiny=True, aux=aux)


@register("csfcn_tiny_pixelshuffle", paper=_PAPER, year=2023, stride=1)
def csfcn_tiny_pixelshuffle(num_classes: int, in_channels: int, stem: str = "deep", aux: bool = False) -> CSFCN:
    return CSFCN(num_classes, in_channels, "pixelshuffle", stem, tiny=True, aux=aux)
