"""RegSeg: stride 16 with growing dilation in half of the groups, and a light decoder up to stride 4.

Gao, "Rethink Dilated Convolution for Real-time Semantic Segmentation", arXiv 2111.09957, 2021.

`regseg` is the authors' exp48_decoder26, `regseg_large` their exp53_decoder29.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, conv, initialise, resize_as
from swath.networks.registry import Claims, register

# Dilations of the blocks at stride 16, after the first one.
_DILATIONS = ((1,), (1, 2), *((1, 4),) * 4, *((1, 14),) * 6)


class RegSeg(Network):
    """`widths` are those of strides 4, 8, 16 and of the last block, `blocks` the counts at strides 4 and 8, and
    `decoder` the widths of what is summed at stride 8, of the two merges, and of the detail at stride 4."""

    stride = 4
    deepest = 16

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        widths: tuple[int, int, int, int],
        blocks: tuple[int, int],
        group_width: int,
        decoder: tuple[int, int, int],
    ):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        w4, w8, w16, last = widths
        g = group_width
        self.stem = ConvNormAct(in_channels, 32, 3, 2)
        self.stride4 = nn.Sequential(DBlock(32, w4, g, 2), *(DBlock(w4, w4, g) for _ in range(blocks[0] - 1)))
        self.stride8 = nn.Sequential(DBlock(w4, w8, g, 2), *(DBlock(w8, w8, g) for _ in range(blocks[1] - 1)))
        self.stride16 = nn.Sequential(
            DBlock(w8, w16, g, 2),
            *(DBlock(w16, w16, g, dilations=each) for each in _DILATIONS),
            DBlock(w16, last, g, dilations=_DILATIONS[-1]),
        )
        wide, narrow, detail = decoder
        self.reduce16 = ConvNormAct(last, wide, 1)
        self.reduce8 = ConvNormAct(w8, wide, 1)
        self.reduce4 = ConvNormAct(w4, detail, 1)
        self.merge8 = ConvNormAct(wide, narrow, 3)
        self.merge4 = ConvNormAct(narrow + detail, narrow, 3)
        self.classifier = nn.Conv2d(narrow, num_classes, 1)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        x4 = self.stride4(self.stem(image))
        x8 = self.stride8(x4)
        x16 = self.reduce16(self.stride16(x8))
        x8 = self.reduce8(x8)
        x4 = self.reduce4(x4)
        y = self.merge8(x8 + resize_as(x16, x8))
        y = self.merge4(torch.cat([resize_as(y, x4), x4], 1))
        main: Tensor = self.classifier(y)
        return [main] if self.training else main


class DBlock(nn.Module):
    """RegNetY's block, whose 3x3 works in groups of `group_width`; with two dilations each half has its own."""

    def __init__(self, i: int, o: int, group_width: int, stride: int = 1, dilations: tuple[int, ...] = (1,)):
        super().__init__()
        shortcut: list[nn.Module] = [nn.AvgPool2d(2, 2, ceil_mode=True)] if stride == 2 else []
        if stride == 2 or i != o:
            shortcut.append(ConvNormAct(i, o, 1, act=None))
        self.shortcut = nn.Sequential(*shortcut)
        middle = (
            ConvNormAct(o, o, 3, stride, dilations[0], groups=o // group_width)
            if len(dilations) == 1
            else nn.Sequential(Split(o, group_width, dilations), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
        )
        self.body = nn.Sequential(ConvNormAct(i, o, 1), middle, Gate(o, i // 4), ConvNormAct(o, o, 1, act=None))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        return (shortcut + self.body(x)).relu()  # type: ignore[no-any-return]


class Split(nn.Module):
    """Grouped 3x3 convolutions of equal parts of the channels, each with its own dilation."""

    def __init__(self, channels: int, group_width: int, dilations: tuple[int, ...]):
        super().__init__()
        part = channels // len(dilations)
        self.parts = nn.ModuleList(
            [conv(part, part, 3, dilation=each, groups=part // group_width) for each in dilations]
        )

    def forward(self, x: Tensor) -> Tensor:
        pieces = x.chunk(len(self.parts), 1)
        return torch.cat([part(piece) for part, piece in zip(self.parts, pieces)], 1)


class Gate(nn.Module):
    """Squeeze and excitation, whose narrow layer goes by the width of the block's input."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y


@register(
    "regseg",
    paper="https://arxiv.org/abs/2111.09957",
    year=2021,
    stride=4,
    aliases=("exp48_decoder26",),
    claims=Claims(
        params_m=3.34,
        gmacs=39.1,
        miou={"cityscapes val": 78.1, "cityscapes test": 78.3, "camvid test, pre-trained on Cityscapes": 80.9},
        fps={"T4, 2048x1024": 30, "T4, 960x720": 70},
        note="their MACs count pooling and interpolation too",
    ),
)
def regseg(num_classes: int, in_channels: int) -> RegSeg:
    return RegSeg(num_classes, in_channels, (48, 128, 256, 320), (1, 3), 16, (128, 64, 8))


@register(
    "regseg_large",
    paper="https://arxiv.org/abs/2111.09957",
    year=2021,
    stride=4,
    aliases=("exp53_decoder29",),
    claims=Claims(miou={"cityscapes test": 79.5}, fps={"T4, 2048x1024": 20}),
)
def regseg_large(num_classes: int, in_channels: int) -> RegSeg:
    return RegSeg(num_classes, in_channels, (48, 120, 336, 384), (2, 6), 24, (256, 128, 16))
