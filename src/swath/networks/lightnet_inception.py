"""LightNet's Inception-ResNet-v2, its reductions dilated instead of strided (stride 8), with one ASPP and one skip.

Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
AAAI 2017, arXiv 1602.07261, within LightNet (Liu, TU Braunschweig, 2018).

The ASPP has plain ReLU and the zero ring of the authors' code; `faithful=False` mends both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.parts import ConvNormAct, conv, initialise, resize_as
from swath.networks.parts.context import ASPP, Rates
from swath.networks.parts.gates import SCSE
from swath.networks.parts.lightnet import PROJECT, LightNet
from swath.networks.registry import register

# One convolution of a branch: channels, kernel, dilation.
Step = tuple[int, int | tuple[int, int], int | tuple[int, int]]


def _chain(i: int, *steps: Step) -> nn.Sequential:
    layers = nn.Sequential()
    for o, kernel, dilation in steps:
        layers.append(ConvNormAct(i, o, kernel, dilation=dilation, eps=1e-3))
        i = o
    return layers


class Mixed(nn.Module):
    """The branches beside each other, and then the input pooled: by `pool`, or halved and enlarged again."""

    def __init__(self, branches: Sequence[nn.Module], pool: nn.Module | None, align_corners: bool):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.pool = pool
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.branches]
        if self.pool is not None:
            maps.append(self.pool(x))
        else:
            maps.append(resize_as(F.max_pool2d(x, 3, 2, 1), x, self.align_corners))
        return torch.cat(maps, 1)


class InceptionResidual(nn.Module):
    """Branches of `joined` channels together, back to the input's width by 1x1, times `scale`, plus the input."""

    def __init__(self, i: int, joined: int, branches: Sequence[nn.Module], scale: float, act: bool = True):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.project = conv(joined, i, 1, bias=True)
        self.scale, self.act = scale, act

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.scale * self.project(torch.cat([branch(x) for branch in self.branches], 1))
        return F.relu(y) if self.act else y


def _block35() -> InceptionResidual:
    branches = (
        _chain(320, (32, 1, 1)),
        _chain(320, (32, 1, 1), (32, 3, 1)),
        _chain(320, (32, 1, 1), (48, 3, 1), (64, 3, 1)),
    )
    return InceptionResidual(320, 128, branches, 0.17)


def _block17() -> InceptionResidual:
    branches = (_chain(1088, (192, 1, 1)), _chain(1088, (128, 1, 1), (160, (1, 7), (1, 2)), (192, (7, 1), (2, 1))))
    return InceptionResidual(1088, 384, branches, 0.10)


def _block8(scale: float = 0.20, act: bool = True) -> InceptionResidual:
    branches = (_chain(2080, (192, 1, 1)), _chain(2080, (192, 1, 1), (224, (1, 3), (1, 4)), (256, (3, 1), (4, 1))))
    return InceptionResidual(2080, 448, branches, scale, act)


class InceptionResNetV2ASPP(LightNet):
    stride = 4
    multiple = 16  # the reductions halve their input for the pooled branch

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
    ):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, align_corners=align_corners, checkpointing=checkpointing
        )
        self.stem = nn.Sequential(
            ConvNormAct(in_channels, 32, 3, 2, eps=1e-3),
            *_chain(32, (32, 3, 1), (64, 3, 1)),
            nn.MaxPool2d(3, 2, 1),
            *_chain(64, (80, 1, 1), (192, 3, 1)),
        )
        average = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), *_chain(192, (64, 1, 1)))
        mixed = Mixed(
            (
                _chain(192, (96, 1, 1)),
                _chain(192, (48, 1, 1), (64, 5, 1)),
                _chain(192, (64, 1, 1), (96, 3, 1), (96, 3, 1)),
            ),
            average,
            align_corners,
        )
        reduction_a = Mixed(
            (_chain(320, (384, 3, 2)), _chain(320, (256, 1, 1), (256, 3, 2), (384, 3, 2))), None, align_corners
        )
        reduction_b = Mixed(
            (
                _chain(1088, (256, 1, 1), (384, 3, 4)),
                _chain(1088, (256, 1, 1), (288, 3, 4)),
                _chain(1088, (256, 1, 1), (288, 3, 4), (320, 3, 4)),
            ),
            None,
            align_corners,
        )
        self.trunk = nn.Sequential(
            nn.MaxPool2d(3, 2, 1),
            mixed,
            *(_block35() for _ in range(10)),
            reduction_a,
            *(_block17() for _ in range(20)),
            reduction_b,
            *(_block8() for _ in range(9)),
            _block8(1.0, act=False),
            ConvNormAct(2080, 1536, 1, eps=1e-3),
        )
        self.context = ASPP(1536, 512, rates, 2, 0.0 if faithful else abn_slope, faithful, align_corners)
        self.skip = conv(192, 64, 1)
        self.gate = SCSE(576, product=True)
        self.classifier = nn.Conv2d(576, num_classes, 3, padding=1)
        initialise(self)

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        x = stem = self.run(self.stem, image)
        for block in self.trunk:
            x = self.run(block, x)
        context = self.run(self.context, x)
        joined = torch.cat((context, self.skip(stem)), 1)
        main: Tensor = self.classifier(self.run(self.gate, joined))
        return [main] if self.training else main


@register("inceptionresnetv2_aspp", paper=PROJECT, year=2018, stride=4, size=(448, 896), aliases=("InceptionResNetV2",))
def inceptionresnetv2_aspp(
    num_classes: int,
    in_channels: int,
    rates: Rates = (12, 24, 36),
    abn_slope: float = 0.1,
    align_corners: bool = True,
    faithful: bool = True,
    checkpointing: bool = False,
) -> InceptionResNetV2ASPP:
    return InceptionResNetV2ASPP(num_classes, in_channels, rates, abn_slope, align_corners, faithful, checkpointing)
