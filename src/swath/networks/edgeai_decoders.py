"""The decoders of EdgeAI-Lite (edgeai_lite.py), all from an encoder's maps, finest first, to logits.

The maps are counted from the deepest, so that encoders that begin at stride 4 fit too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from swath.networks.parts import ConvNormAct, conv, resize_as
from swath.networks.parts.conv import Activation, relu


@dataclass(frozen=True)
class Style:
    """How the layers outside the encoder look: group width of a 3x3, activation, widths."""

    group_width: int = 1
    act: Activation = relu
    width: int = 256  # of the ASPP and of FPN's levels
    shortcut: int = 48  # of DeepLabV3+'s shortcut
    dilations: tuple[int, ...] = (6, 12, 18)

    def groups(self, channels: int) -> int:
        """The largest divisor of `channels` that makes groups at least `group_width` wide."""
        return next(g for g in range(max(1, channels // self.group_width), 0, -1) if channels % g == 0)

    def point(self, i: int, o: int) -> nn.Module:
        return ConvNormAct(i, o, 1, act=self.act)

    def pair(self, i: int, o: int, stride: int = 1, dilation: int = 1) -> nn.Module:
        """Grouped 3x3, then 1x1."""
        wide = ConvNormAct(i, i, 3, stride, dilation, self.groups(i), self.act)
        return nn.Sequential(wide, self.point(i, o))

    def head(self, i: int, num_classes: int) -> nn.Module:
        """Grouped 3x3 without activation, then a bare 1x1."""
        return nn.Sequential(ConvNormAct(i, i, 3, groups=self.groups(i), act=None), conv(i, num_classes, 1))


class LightASPP(nn.Module):
    """A 1x1 and three dilated pairs, concatenated; no branch of global pooling."""

    def __init__(self, i: int, style: Style):
        super().__init__()
        inner = style.width
        self.branches = nn.ModuleList(
            [style.point(i, inner), *(style.pair(i, inner, dilation=each) for each in style.dilations)]
        )
        self.out = nn.Sequential(nn.Dropout2d(0.2), style.point(inner * len(self.branches), style.width))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([branch(x) for branch in self.branches], 1))  # type: ignore[no-any-return]


class DeepLabV3Plus(nn.Module):
    """ASPP, enlarged and concatenated with one fine shortcut; the head is the only 3x3 after that."""

    finest = -4  # the map at whose size it answers, counted from the deepest
    reduction = 1  # what it makes the deepest map smaller by

    def __init__(self, channels: Sequence[int], num_classes: int, style: Style):
        super().__init__()
        self.shortcut = style.point(channels[-4], style.shortcut)
        self.aspp = LightASPP(channels[-1], style)
        self.head = style.head(style.width + style.shortcut, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        fine = self.shortcut(maps[-4])
        deep = self.aspp(maps[-1])
        return self.head(torch.cat([resize_as(deep, fine), fine], 1))  # type: ignore[no-any-return]


class FPN(nn.Module):
    """A pyramid downwards from the ASPP; the smoothed map runs on to the next level.

    `levels` shortcuts are used. With `aspp=False` two strided pairs replace the ASPP and lend two more levels.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, style: Style, levels: int = 3, aspp: bool = True):
        super().__init__()
        width, deep = style.width, channels[-1]
        self.levels = levels
        self.finest = -1 - levels
        self.reduction = 1 if aspp else 4
        self.aspp = LightASPP(deep, style) if aspp else None
        self.down = nn.ModuleList([] if aspp else [style.pair(deep, deep, 2), style.pair(deep, width, 2)])
        skips = ([] if aspp else [deep, deep]) + list(channels[-2 : -2 - levels : -1])
        self.shortcuts = nn.ModuleList([style.point(each, width) for each in skips])
        self.smooth = nn.ModuleList([style.pair(width, width) for _ in skips])
        self.head = style.head(width, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        skips = list(maps[-2 : -2 - self.levels : -1])
        if self.aspp is not None:
            x = self.aspp(maps[-1])
        else:
            deeper = self.down[0](maps[-1])
            x = self.down[1](deeper)
            skips = [deeper, maps[-1], *skips]
        for shortcut, smooth, skip in zip(self.shortcuts, self.smooth, skips):
            fine = shortcut(skip)
            x = smooth(resize_as(x, fine) + fine)
        return self.head(x)  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Concatenates every shortcut up to half of the picture's size; the width follows the number of classes."""

    finest = 0
    reduction = 1

    def __init__(self, channels: Sequence[int], num_classes: int, style: Style):
        super().__init__()
        self.aspp = LightASPP(channels[-1], style)
        least = max(2 * num_classes, 32)
        levels = []
        i = style.width
        for c in channels[-2::-1]:
            o = max(least, c)
            levels.append(style.pair(i + c, o))
            i = o
        self.levels = nn.ModuleList(levels)
        self.head = style.head(i, num_classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.aspp(maps[-1])
        for level, skip in zip(self.levels, maps[-2::-1]):
            x = level(torch.cat([resize_as(x, skip), skip], 1))
        return self.head(x)  # type: ignore[no-any-return]
