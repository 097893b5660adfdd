"""PIDNet: a detail, a context and a boundary branch; the boundary decides where detail or context rules.

Xu, Xiong, Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers", CVPR 2023,
arXiv 2206.02066.

As the authors' code has it: M has 28.5 M parameters (34.4 M in the paper), and both auxiliary heads (`aux`) see
rectified maps. Their stride-8 size is floor(side / 8); here it is the map's own, so any size works. The heads are: the
classes from the detail branch (weight 0.4) and the boundary from the boundary branch (weight 20).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, NormActConv, initialise, resize_as
from swath.networks.parts.dual_resolution import DAPPM, PAPPM, basic, bottleneck, chain, head, stem
from swath.networks.registry import Claims, register


class PIDNet(Network):
    """p, i and d are the paper's branches: detail (proportional), context (integral), boundary (derivative)."""

    stride = 8
    deepest = 512  # the coarsest pool of the pyramid
    align_corners = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: int,
        blocks: tuple[int, int],
        pyramid_width: int,
        head_width: int,
        large: bool,
        aux: bool,
    ):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        w = width
        shallow, deep = blocks
        d = 2 * w if large else w  # width of the boundary branch at its start
        self.stem = stem(in_channels, w)
        self.i_start = nn.Sequential(chain(w, w, shallow), nn.ReLU(), chain(w, 2 * w, shallow, stride=2), nn.ReLU())
        self.p1 = chain(2 * w, 2 * w, shallow)
        self.d1 = basic(2 * w, d)
        self.i1 = nn.Sequential(chain(2 * w, 4 * w, deep, stride=2), nn.ReLU())
        self.p_from_i1 = Attend(4 * w, 2 * w, w)
        self.d_from_i1 = ConvNormAct(4 * w, d, 3, act=None)
        self.i2 = nn.Sequential(chain(4 * w, 8 * w, deep, stride=2), nn.ReLU())
        self.p2 = chain(2 * w, 2 * w, shallow)
        self.d2 = basic(2 * w, 2 * w) if large else bottleneck(w, w)
        self.p_from_i2 = Attend(8 * w, 2 * w, w)
        self.d_from_i2 = ConvNormAct(8 * w, 2 * w, 3, act=None)
        self.p3 = bottleneck(2 * w, 2 * w)
        self.d3 = bottleneck(2 * w, 2 * w)
        pyramid = DAPPM if large else PAPPM
        self.i3 = nn.Sequential(
            bottleneck(8 * w, 8 * w, stride=2), bottleneck(16 * w, 8 * w), pyramid(16 * w, pyramid_width, 4 * w)
        )
        self.join = Bag(4 * w) if large else LightBag(4 * w)
        self.head = head(4 * w, head_width, num_classes)
        if aux:
            self.aux_heads = nn.ModuleList([head(2 * w, head_width, num_classes), head(2 * w, w, 1)])
            self.aux_weights = (0.4, 20.0)
            self.aux_kinds = ("segmentation", "boundary")
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        i = self.i_start(self.stem(image))
        p, d = self.p1(i), self.d1(i)
        i = self.i1(i)
        p = self.p_from_i1(p, i).relu()
        d = (d + resize_as(self.d_from_i1(i), d)).relu()
        detail = p
        i = self.i2(i)
        p, d = self.p2(p), self.d2(d)
        p = self.p_from_i2(p, i).relu()
        d = (d + resize_as(self.d_from_i2(i), d)).relu()
        boundary = d
        p, d = self.p3(p), self.d3(d)
        main: Tensor = self.head(self.join(p, resize_as(self.i3(i), p), d))
        if self.training:
            return [main, *(each(x) for each, x in zip(self.aux_heads, (detail, boundary)))]
        return main


class Attend(nn.Module):
    """Pag: the detail takes over as much of the context as the two agree, pixel by pixel."""

    def __init__(self, context: int, channels: int, key: int):
        super().__init__()
        self.compress = ConvNormAct(context, channels, 1, act=None)
        self.query = ConvNormAct(channels, key, 1, act=None)
        self.key = ConvNormAct(channels, key, 1, act=None)

    def forward(self, p: Tensor, context: Tensor) -> Tensor:
        context = self.compress(context)
        query = resize_as(self.query(context), p)
        agreement = torch.sigmoid((self.key(p) * query).sum(1, keepdim=True))
        return (1 - agreement) * p + agreement * resize_as(context, p)


class LightBag(nn.Module):
    """Detail where the boundary is, context elsewhere; the sum of two 1x1 (S and M)."""

    def __init__(self, channels: int):
        super().__init__()
        self.detail = ConvNormAct(channels, channels, 1, act=None)
        self.context = ConvNormAct(channels, channels, 1, act=None)

    def forward(self, p: Tensor, i: Tensor, d: Tensor) -> Tensor:
        edge = torch.sigmoid(d)
        y: Tensor = self.detail((1 - edge) * i + p) + self.context(i + edge * p)
        return y


class Bag(nn.Module):
    """The same with one 3x3 (L)."""

    def __init__(self, channels: int):
        super().__init__()
        self.mix = NormActConv(channels, channels, 3)

    def forward(self, p: Tensor, i: Tensor, d: Tensor) -> Tensor:
        edge = torch.sigmoid(d)
        y: Tensor = self.mix(edge * p + (1 - edge) * i)
        return y


def _variant(
    size: str, width: int, blocks: tuple[int, int], pyramid_width: int, head_width: int, claims: Claims
) -> None:
    large = size == "large"

    @register(
        f"pidnet_{size[0]}",
        paper="https://arxiv.org/abs/2206.02066",
        year=2023,
        stride=8,
        aliases=(f"PIDNet-{size[0].upper()}", f"pidnet_{size}"),
        claims=claims,
    )
    def build(num_classes: int, in_channels: int, aux: bool = True) -> PIDNet:
        return PIDNet(num_classes, in_channels, width, blocks, pyramid_width, head_width, large, aux)


_NOTE = "FPS without batch norms"
_variant(
    "small",
    32,
    (2, 3),
    96,
    128,
    Claims(
        params_m=7.6,
        gmacs=47.6,
        miou={"cityscapes val": 78.8, "cityscapes test": 78.6, "camvid test, pre-trained on Cityscapes": 80.1},
        fps={"RTX 3090, 2048x1024": 93.2, "RTX 3090, 960x720": 153.7},
        note=_NOTE,
    ),
)
_variant(
    "medium",
    64,
    (2, 3),
    96,
    128,
    Claims(
        params_m=34.4,
        gmacs=197.4,
        miou={"cityscapes val": 79.9, "cityscapes test": 79.8, "camvid test, pre-trained on Cityscapes": 82.0},
        fps={"RTX 3090, 2048x1024": 42.2, "RTX 3090, 960x720": 85.6},
        note=f"{_NOTE}; parameters and MACs are the paper's, the authors' code has 28.5 M and 177.3 G",
    ),
)
_variant(
    "large",
    64,
    (3, 4),
    112,
    256,
    Claims(
        params_m=36.9,
        gmacs=275.8,
        miou={"cityscapes val": 80.9, "cityscapes test": 80.6},
        fps={"RTX 3090, 2048x1024": 31.1},
        note=_NOTE,
    ),
)
