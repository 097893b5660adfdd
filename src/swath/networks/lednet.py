"""LEDNet: residual blocks that split and shuffle their channels in the encoder, one attention map in the decoder.

Wang, Zhou, Liu, Xiong, Gao, Wu, Latecki, "LEDNet: A Lightweight Encoder-Decoder Network for Real-Time Semantic
Segmentation", ICIP 2019, arXiv 1905.02423.

`lednet_seedcode` is a public implementation that departs from the published network: both halves of a block run 1x3
before 3x1 without biases, and the decoder keeps all channels, which has more parameters than the whole published one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, initialise, resize_as
from swath.networks.parts.factorised import ConvPoolDown, strips
from swath.networks.registry import Claims, register

_DILATIONS = (1, 2, 5, 9, 2, 5, 9, 17)  # of the blocks with 128 channels


class LEDNet(Network):
    """Encoder to stride 8, attention pyramid."""

    stride = 8
    deepest = 64
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, published: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        eps = 1e-3 if published else 1e-5
        deep = [SplitBlock(128, dilation, 0.3, published) for dilation in _DILATIONS]
        if not published:
            deep[0] = SplitBlock(128, 1, 0.0, published)
        self.encoder = nn.Sequential(
            ConvPoolDown(in_channels, 32, eps),
            *[SplitBlock(32, 1, 0.03, published) for _ in range(3)],
            ConvPoolDown(32, 64, eps),
            *[SplitBlock(64, 1, 0.03, published) for _ in range(2)],
            ConvPoolDown(64, 128, eps),
            *deep,
        )
        self.decoder = AttentionPyramid(128, num_classes) if published else WidePyramid(128, num_classes)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        main: Tensor = self.decoder(self.encoder(image))
        return [main] if self.training else main


class SplitBlock(nn.Module):
    """SS-nbt: each half of the channels goes through strips of its own; joined, added to the input, shuffled."""

    def __init__(self, channels: int, dilation: int, dropout: float, published: bool):
        super().__init__()
        eps = 1e-3 if published else 1e-5

        def half(tall_first: bool) -> nn.Sequential:
            return nn.Sequential(
                *strips(channels // 2, tall_first=tall_first, eps=eps, bias=published),
                nn.ReLU(inplace=True),
                *strips(channels // 2, dilation=dilation, tall_first=tall_first, eps=eps, bias=published),
            )

        self.left = half(tall_first=published)
        self.right = half(tall_first=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        y = F.relu(self.dropout(torch.cat((self.left(left), self.right(right)), 1)) + x)
        return y.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)  # type: ignore[no-any-return]


class AttentionPyramid(nn.Module):
    """APN: class scores times one attention map that has seen three coarser sizes, plus scores of the whole image."""

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.image = _cbr(channels, num_classes, 1)
        self.scores = _cbr(channels, num_classes, 1)
        self.down1 = _cbr(channels, 1, 7, 2)
        self.down2 = _cbr(1, 1, 5, 2)
        self.down3 = nn.Sequential(_cbr(1, 1, 3, 2), _cbr(1, 1, 3))
        self.side2 = _cbr(1, 1, 5)
        self.side1 = _cbr(1, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.image(x.mean((-2, -1), keepdim=True))
        scores: Tensor = self.scores(x)
        x1 = self.down1(x)
        x2 = self.down2(x1)
        y = resize_as(self.down3(x2), x2, align_corners=True)
        y = resize_as(self.side2(x2) + y, x1, align_corners=True)
        y = resize_as(self.side1(x1) + y, x, align_corners=True)
        return scores * y + image


class WidePyramid(nn.Module):
    """The decoder of `lednet_seedcode`: attention for every class, from maps of full width."""

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.downs = nn.ModuleList([ConvNormAct(channels, channels, kernel, 2) for kernel in (3, 5, 7)])
        self.sides = nn.ModuleList([ConvNormAct(channels, num_classes, 1) for _ in range(3)])
        self.scores = ConvNormAct(channels, num_classes, 1)
        self.image = ConvNormAct(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for down in self.downs:
            maps.append(down(maps[-1]))
        coarse, middle, fine = (side(each) for side, each in zip(self.sides, reversed(maps)))
        y = resize_as(coarse, middle, align_corners=True)
        y = resize_as(middle + y, fine, align_corners=True)
        y = resize_as(fine + y, x, align_corners=True)
        scores: Tensor = self.scores(x)
        image: Tensor = self.image(x.mean((-2, -1), keepdim=True))
        return y * scores + image


def _cbr(i: int, o: int, kernel: int, stride: int = 1) -> ConvNormAct:
    return ConvNormAct(i, o, kernel, stride, bias=True)


_PAPER = "https://arxiv.org/abs/1905.02423"


@register(
    "lednet",
    paper=_PAPER,
    year=2019,
    stride=8,
    size=(512, 1024),
    claims=Claims(params_m=0.94, miou={"cityscapes test": 70.6}, fps={"GTX 1080 Ti, 1024x512": 71.0}),
)
def lednet(num_classes: int, in_channels: int) -> LEDNet:
    return LEDNet(num_classes, in_channels, published=True)


@register("lednet_seedcode", paper=_PAPER, year=2019, stride=8, size=(512, 1024))
def lednet_seedcode(num_classes: int, in_channels: int) -> LEDNet:
    return LEDNet(num_classes, in_channels, published=False)
