"""PP-LiteSeg: an STDC encoder, a cheap pyramid pooling, and a decoder whose merges are weighted position by position.

Peng, Liu, Tang and others, "PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model", arXiv 2204.02681, 2022.

As in PaddleSeg, where the pyramid's convolutions keep a bias before their norms. Auxiliary heads (`aux`) stand on the
decoder at strides 16 and 32, weight 1 each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders.stdc import STDC
from swath.networks.parts import ConvNormAct, conv, initialise, pool_to, resize_as
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, register


class PPLiteSeg(Network):
    """`widths` are those of the decoder at strides 8, 16 and 32."""

    stride = 8

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        encoder_size: int,
        widths: tuple[int, int, int],
        head_width: int,
        aux: bool,
    ):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.preprocess = Preprocess.rgb((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), in_channels)
        o1, o2, o3 = widths
        self.encoder = STDC(encoder_size, in_channels)
        self.context = PyramidSum(1024, 128)
        self.decoder = nn.ModuleList(
            [WeightedMerge(1024, 128, o3), WeightedMerge(512, o3, o2), WeightedMerge(256, o2, o1)]
        )
        self.head = _head(o1, head_width, num_classes)
        if aux:
            self.aux_heads = nn.ModuleList([_head(o2, 64, num_classes), _head(o3, 64, num_classes)])
            self.aux_weights = (1.0, 1.0)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        fine, middle, coarse = self.encoder(image)
        merge32, merge16, merge8 = self.decoder
        y32 = merge32(coarse, self.context(coarse))
        y16 = merge16(middle, y32)
        main: Tensor = self.head(merge8(fine, y16))
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (y16, y32)))]
        return main


class PyramidSum(nn.Module):
    """Averages over 1, 2x2 and 4x4 cells, each through a 1x1, enlarged and summed (the paper's SPPM)."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.bins = (1, 2, 4)
        self.reduce = nn.ModuleList([ConvNormAct(i, o, 1, bias=True) for _ in self.bins])
        self.join = ConvNormAct(o, o, 3, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [resize_as(reduce(pool_to(x, bins, bins)), x) for bins, reduce in zip(self.bins, self.reduce)]
        y: Tensor = self.join(pooled[0] + pooled[1] + pooled[2])
        return y


class WeightedMerge(nn.Module):
    """A weight for each position, from mean and maximum over the channels of both maps (the paper's UAFM)."""

    def __init__(self, low: int, high: int, o: int):
        super().__init__()
        self.low = ConvNormAct(low, high, 3)
        self.weigh = nn.Sequential(ConvNormAct(4, 2, 3), ConvNormAct(2, 1, 3, act=nn.Sigmoid))
        self.join = ConvNormAct(high, o, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = self.low(x)
        y = resize_as(y, x)
        weight = self.weigh(torch.cat([*_mean_and_max(x), *_mean_and_max(y)], 1))
        merged: Tensor = self.join(x * weight + y * (1 - weight))
        return merged


def _mean_and_max(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(1, keepdim=True), x.amax(1, keepdim=True)


def _head(i: int, width: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(i, width, 3), conv(width, num_classes, 1))


def _variant(size: str, encoder_size: int, widths: tuple[int, int, int], head_width: int, claims: Claims) -> None:
    @register(
        f"pp_liteseg_{size}",
        paper="https://arxiv.org/abs/2204.02681",
        year=2022,
        stride=8,
        size=(512, 1024),
        aliases=(f"PP-LiteSeg-{size.upper()}", f"pp_liteseg_stdc{encoder_size}"),
        claims=claims,
    )
    def build(num_classes: int, in_channels: int, aux: bool = True) -> PPLiteSeg:
        return PPLiteSeg(num_classes, in_channels, encoder_size, widths, head_width, aux)


_variant(
    "t",
    1,
    (32, 64, 128),
    32,
    Claims(
        miou={
            "cityscapes val, 1024x512": 73.1,
            "cityscapes test, 1024x512": 72.0,
            "cityscapes val, 1536x768": 76.0,
            "cityscapes test, 1536x768": 74.9,
            "cityscapes val, 2048x1024": 77.04,
            "camvid test": 73.3,
        },
        fps={
            "GTX 1080 Ti, TensorRT, 1024x512": 273.6,
            "GTX 1080 Ti, TensorRT, 1536x768": 143.6,
            "GTX 1080 Ti, TensorRT, 960x720": 222.3,
        },
    ),
)
_variant(
    "b",
    2,
    (64, 96, 128),
    64,
    Claims(
        miou={
            "cityscapes val, 1024x512": 75.3,
            "cityscapes test, 1024x512": 73.9,
            "cityscapes val, 1536x768": 78.2,
            "cityscapes test, 1536x768": 77.5,
            "cityscapes val, 2048x1024": 79.04,
            "camvid test": 75.1,
        },
        fps={
            "GTX 1080 Ti, TensorRT, 1024x512": 195.3,
            "GTX 1080 Ti, TensorRT, 1536x768": 102.6,
            "GTX 1080 Ti, TensorRT, 960x720": 154.8,
        },
    ),
)
