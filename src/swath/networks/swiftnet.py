"""SwiftNet: ImageNet's ResNet-18 or -34, a small pyramid pooling or an image pyramid, and a ladder of lateral sums.

Orsic, Kreso, Bevandic, Segvic, "In Defense of Pre-trained ImageNet Architectures for Real-time Semantic Segmentation
of Road-driving Images", CVPR 2019, arXiv 1903.08469 (single scale); Orsic, Segvic, "Efficient semantic segmentation
with pyramidal fusion", Pattern Recognition 2021 (pyramid, three levels).

As in the authors' code, the single-scale ladder taps the stages after their ReLU (before it in the paper), the pyramid
before it. Their image pyramid has floor(side / 2^level) pixels; here it is the ceiling, as after a convolution with
stride 2: then maps of equal stride have equal sizes for every picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, NormActConv, conv, initialise, pool_to, resize_as
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, register

# Of Cityscapes, on the scale 0-255.
_MEAN, _STD = (73.15, 82.90, 72.3), (47.67, 48.49, 47.73)
_LEVELS = 3
_WIDTH = 128  # of the ladder


class SwiftNet(Network):
    """One scale: encoder, pyramid pooling, ladder to stride 4."""

    stride = 4

    def __init__(self, num_classes: int, in_channels: int, encoder: str):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.preprocess = _preprocess(in_channels)
        self.encoder = create_encoder(encoder, in_channels, projection_first=True)
        _, *skips, deepest = self.encoder.channels
        self.pyramid = PyramidPooling(deepest)
        self.laterals = nn.ModuleList([NormActConv(i, _WIDTH, 1) for i in reversed(skips)])
        self.merges = nn.ModuleList([NormActConv(_WIDTH, _WIDTH, 3) for _ in skips])
        self.classifier = NormActConv(_WIDTH, num_classes, 1, bias=True)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        _, *skips, deepest = self.encoder(image)
        x = self.pyramid(deepest)
        for skip, lateral, merge in zip(reversed(skips), self.laterals, self.merges):
            skip = lateral(skip)
            x = merge(resize_as(x, skip) + skip)
        main: Tensor = self.classifier(x)
        return [main] if self.training else main


class PyramidPooling(nn.Module):
    """Averages over grids of 8, 4 and 2 rows, with about square cells."""

    def __init__(self, i: int):
        super().__init__()
        self.rows = (8, 4, 2)
        self.first = NormActConv(i, _WIDTH, 1, momentum=0.005)
        self.levels = nn.ModuleList([NormActConv(_WIDTH, _WIDTH // 3, 1, momentum=0.005) for _ in self.rows])
        joined = _WIDTH + len(self.rows) * (_WIDTH // 3)
        self.join = NormActConv(joined, _WIDTH, 1, momentum=0.005)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        height, width = x.shape[-2:]
        maps = [x]
        for rows, level in zip(self.rows, self.levels):
            columns = torch.sym_max(1, rounded(rows * width, height))
            maps.append(resize_as(level(pool_to(x, rows, columns)), x))
        y: Tensor = self.join(torch.cat(maps, 1))
        return y


def rounded(a: int, b: int) -> int:
    """round(a / b), halves to the even neighbour, in whole numbers: an exporter follows these for every size."""
    quotient, remainder = a // b, a % b
    return quotient + (2 * remainder + quotient % 2 + b - 1) // (2 * b)


class SwiftNetPyramid(Network):
    """Three scales through one ResNet whose norms are each scale's own; one ladder from stride 128 to 4."""

    stride = 4
    deepest = 128

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.preprocess = _preprocess(in_channels)
        self.stem = conv(in_channels, 64, 7, 2)
        self.stem_norms = _norms(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.ModuleList()  # two blocks each
        i = 64
        for o in (64, 128, 256, 512):
            self.layers.extend([SharedBlock(i, o), SharedBlock(o, o)])
            i = o
        self.laterals = nn.ModuleList([conv(o, _WIDTH, 1) for o in (64, 128, 256, 512)])
        rungs = len(self.laterals) + _LEVELS - 1
        self.merges = nn.ModuleList([NormActConv(_WIDTH, _WIDTH, 3) for _ in range(rungs - 1)])
        self.classifier = NormActConv(_WIDTH, num_classes, 1, bias=True)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        height, width = image.shape[-2:]
        rungs: dict[int, Tensor] = {}  # 0 to 5: strides 4 to 128
        pictures = [image]
        for level in range(1, _LEVELS):
            step = 2**level
            size = ((height + step - 1) // step, (width + step - 1) // step)
            pictures.append(_shrunk(image, size))
        for level, picture in enumerate(pictures):
            for rung, feature in enumerate(self.features(picture, level), level):
                rungs[rung] = feature if rung not in rungs else rungs[rung] + feature
        x = rungs.pop(max(rungs))
        for rung, merge in zip(sorted(rungs, reverse=True), self.merges):
            x = merge(resize_as(x, rungs[rung]) + rungs[rung])
        main: Tensor = self.classifier(x)
        return [main] if self.training else main

    def features(self, picture: Tensor, level: int) -> list[Tensor]:
        """The lateral maps of one scale, finest first."""
        x = self.pool(self.stem_norms[level](self.stem(picture)).relu())
        skips = []
        for first, second in zip(self.layers[::2], self.layers[1::2]):
            x = first(x, level).relu()
            skips.append(second(x, level))
            x = skips[-1].relu()
        deepest_first = [lateral(skip) for lateral, skip in zip(reversed(self.laterals), reversed(skips))]
        return deepest_first[::-1]


def _shrunk(image: Tensor, size: tuple[int, int]) -> Tensor:
    """By cubic interpolation. Being flat in between changes nothing, and keeps ONNX Runtime from laying it out with
    channels last, as it does with 8 bits: it cannot shrink by cubic interpolation there."""
    smaller = F.interpolate(image, size, mode="bicubic")
    return smaller.flatten(1).view(smaller.shape)


class SharedBlock(nn.Module):
    """ResNet's basic block before its last ReLU, with norms for each scale; the projection's norm is shared."""

    def __init__(self, i: int, o: int):
        super().__init__()
        stride = 1 if i == o else 2
        self.first, self.second = conv(i, o, 3, stride), conv(o, o, 3)
        self.first_norms, self.second_norms = _norms(o), _norms(o)
        self.projection = None if i == o else ConvNormAct(i, o, 1, stride, act=None)

    def forward(self, x: Tensor, level: int) -> Tensor:
        y = self.first_norms[level](self.first(x)).relu()
        y = self.second_norms[level](self.second(y))
        return y + (x if self.projection is None else self.projection(x))  # type: ignore[no-any-return]


def _norms(channels: int) -> nn.ModuleList:
    return nn.ModuleList([nn.BatchNorm2d(channels) for _ in range(_LEVELS)])


def _preprocess(in_channels: int) -> Preprocess:
    mean, std = (tuple(value / 255 for value in values) for values in (_MEAN, _STD))
    return Preprocess.rgb(mean, std, in_channels)


_PAPER = "https://arxiv.org/abs/1903.08469"


@register(
    "swiftnet_resnet18",
    paper=_PAPER,
    year=2019,
    stride=4,
    aliases=("SwiftNet", "SwiftNetRN-18", "rn18_single_scale"),
    claims=Claims(
        params_m=11.8,
        gmacs=104.0,
        miou={"cityscapes val": 75.4, "cityscapes test": 75.5},
        fps={"GTX 1080 Ti, 2048x1024": 39.9},
    ),
)
def swiftnet_resnet18(num_classes: int, in_channels: int) -> SwiftNet:
    return SwiftNet(num_classes, in_channels, "resnet18")


@register("swiftnet_resnet34", paper=_PAPER, year=2019, stride=4, aliases=("SwiftNetRN-34",))
def swiftnet_resnet34(num_classes: int, in_channels: int) -> SwiftNet:
    return SwiftNet(num_classes, in_channels, "resnet34")


@register(
    "swiftnet_pyramid_resnet18",
    paper="https://doi.org/10.1016/j.patcog.2020.107611",
    year=2020,
    stride=4,
    aliases=("SwiftNetRN-18-pyr", "rn18_pyramid"),
)
def swiftnet_pyramid(num_classes: int, in_channels: int) -> SwiftNetPyramid:
    return SwiftNetPyramid(num_classes, in_channels)
