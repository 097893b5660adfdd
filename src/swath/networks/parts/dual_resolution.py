"""What DDRNet and PIDNet share: residual chains that end before their ReLU, context pyramids, head and stem."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.parts.conv import ConvNormAct, NormActConv
from swath.networks.parts.resize import resize_as


class Residual(nn.Module):
    """Main path plus shortcut, then ReLU if `relu`; a 1x1 with norm is the shortcut where stride or width change."""

    def __init__(self, body: nn.Sequential, i: int, o: int, stride: int, relu: bool):
        super().__init__()
        self.body = body
        self.projection = ConvNormAct(i, o, 1, stride, act=None) if stride != 1 or i != o else None
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        y = y + (x if self.projection is None else self.projection(x))
        return y.relu_() if self.relu else y


def basic(i: int, o: int, stride: int = 1, relu: bool = False) -> Residual:
    """Two 3x3."""
    return Residual(nn.Sequential(ConvNormAct(i, o, 3, stride), ConvNormAct(o, o, 3, act=None)), i, o, stride, relu)


def chain(i: int, o: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Basic blocks with a ReLU after all but the last."""
    layers = [basic(i, o, stride, relu=blocks > 1)]
    layers += [basic(o, o, relu=block < blocks - 1) for block in range(1, blocks)]
    return nn.Sequential(*layers)


def bottleneck(i: int, width: int, stride: int = 1) -> Residual:
    """1x1, 3x3, 1x1 to twice the width, without a ReLU at the end."""
    body = nn.Sequential(
        ConvNormAct(i, width, 1), ConvNormAct(width, width, 3, stride), ConvNormAct(width, 2 * width, 1, act=None)
    )
    return Residual(body, i, 2 * width, stride, relu=False)


def stem(in_channels: int, width: int) -> nn.Sequential:
    """To stride 4; its convolutions have biases."""
    return nn.Sequential(ConvNormAct(in_channels, width, 3, 2, bias=True), ConvNormAct(width, width, 3, 2, bias=True))


def head(i: int, width: int, o: int) -> nn.Sequential:
    """Scores of `o` classes, in pre-activation order."""
    return nn.Sequential(NormActConv(i, width, 3), NormActConv(width, o, 1, bias=True))


class ContextPyramid(nn.Module):
    """The branches of both pyramids: the map itself, three average pools and the whole picture, each to `width`."""

    def __init__(self, i: int, width: int, o: int):
        super().__init__()
        pools = [nn.Identity(), *(nn.AvgPool2d(2 * s + 1, s, s) for s in (2, 4, 8)), nn.AdaptiveAvgPool2d(1)]
        self.branches = nn.ModuleList([nn.Sequential(pool, *NormActConv(i, width, 1)) for pool in pools])
        self.compress = NormActConv(5 * width, o, 1)
        self.shortcut = NormActConv(i, o, 1)


class DAPPM(ContextPyramid):
    """Each coarser branch is added to the one before and mixed by a 3x3 (DDRNet, PIDNet-L)."""

    def __init__(self, i: int, width: int, o: int):
        super().__init__(i, width, o)
        self.mix = nn.ModuleList([NormActConv(width, width, 3) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        first, *coarser = self.branches
        maps = [first(x)]
        for branch, mix in zip(coarser, self.mix):
            maps.append(mix(resize_as(branch(x), x) + maps[-1]))
        y: Tensor = self.compress(torch.cat(maps, 1)) + self.shortcut(x)
        return y


class PAPPM(ContextPyramid):
    """All coarser branches are added to the first and mixed at once, by a grouped 3x3 (PIDNet-S and -M)."""

    def __init__(self, i: int, width: int, o: int):
        super().__init__(i, width, o)
        self.mix = NormActConv(4 * width, 4 * width, 3, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        first, *coarser = self.branches
        finest = first(x)
        mixed = self.mix(torch.cat([resize_as(branch(x), x) + finest for branch in coarser], 1))
        y: Tensor = self.compress(torch.cat([finest, mixed], 1)) + self.shortcut(x)
        return y
