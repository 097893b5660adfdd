"""BiSeNetV2: a wide shallow detail branch and a narrow deep semantic branch, joined by guided aggregation.

Yu, Gao, Wang, Yu, Shen, Sang, "BiSeNet V2: Bilateral Network with Guided Aggregation for Real-time Semantic
Segmentation", IJCV 2021, arXiv 2004.02147.

Follows the CoinCheung implementation, which is what others compare with: the context embedding ends with a norm and a
ReLU (a plain convolution in the paper). Fixed factors became the partner's size, so any input size works. Auxiliary
heads (`aux`) stand on the semantic branch at strides 4, 8, 16 and 32, weight 1 each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, conv, initialise
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, register

# Of Cityscapes; the project's weights were trained with these.
MEAN, STD = (0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)


class BiSeNetV2(Network):
    """Detail at stride 8, semantics down to stride 32."""

    stride = 8

    def __init__(self, num_classes: int, in_channels: int, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.preprocess = Preprocess.rgb(MEAN, STD, in_channels)
        self.detail = nn.Sequential(
            ConvNormAct(in_channels, 64, 3, 2),
            ConvNormAct(64, 64, 3),
            ConvNormAct(64, 64, 3, 2),
            ConvNormAct(64, 64, 3),
            ConvNormAct(64, 64, 3),
            ConvNormAct(64, 128, 3, 2),
            ConvNormAct(128, 128, 3),
            ConvNormAct(128, 128, 3),
        )
        self.semantic = nn.ModuleList(
            [
                Stem(in_channels),
                nn.Sequential(GatherDown(16, 32), Gather(32)),
                nn.Sequential(GatherDown(32, 64), Gather(64)),
                nn.Sequential(GatherDown(64, 128), Gather(128), Gather(128), Gather(128)),
            ]
        )
        self.context = ContextEmbedding()
        self.aggregate = GuidedAggregation()
        self.head = nn.Sequential(ConvNormAct(128, 1024, 3), nn.Dropout(0.1), nn.Conv2d(1024, num_classes, 1))
        if aux:
            self.aux_heads = nn.ModuleList(
                [_aux_head(i, factor, num_classes) for i, factor in ((16, 4), (32, 8), (64, 16), (128, 32))]
            )
            self.aux_weights = (1.0,) * 4
        initialise(self)
        for module in self.modules():
            if isinstance(module, (Gather, GatherDown)):  # every block starts as its shortcut
                nn.init.zeros_(module.narrow.get_parameter("1.weight"))

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        detail = self.detail(image)
        maps = []
        x = image
        for stage in self.semantic:
            x = stage(x)
            maps.append(x)
        main: Tensor = self.head(self.aggregate(detail, self.context(x)))
        if self.training:
            return [main, *(head(each) for head, each in zip(self.aux_heads, maps))]
        return main


class Stem(nn.Module):
    """To stride 4 with 16 channels, by convolution and by max pooling at once."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.first = ConvNormAct(in_channels, 16, 3, 2)
        self.left = nn.Sequential(ConvNormAct(16, 8, 1), ConvNormAct(8, 16, 3, 2))
        self.right = nn.MaxPool2d(3, 2, 1)
        self.join = ConvNormAct(32, 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y: Tensor = self.join(torch.cat([self.left(x), self.right(x)], 1))
        return y


class Gather(nn.Module):
    """Gather-and-expansion: 3x3, depthwise-like 3x3 to six times the width, 1x1 back."""

    def __init__(self, channels: int):
        super().__init__()
        self.widen = nn.Sequential(
            ConvNormAct(channels, channels, 3), ConvNormAct(channels, 6 * channels, 3, groups=channels)
        )
        self.narrow = ConvNormAct(6 * channels, channels, 1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return (self.narrow(self.widen(x)) + x).relu()  # type: ignore[no-any-return]


class GatherDown(nn.Module):
    """The same with stride 2, a second depthwise 3x3 and a separable shortcut."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.widen = nn.Sequential(
            ConvNormAct(i, i, 3),
            ConvNormAct(i, 6 * i, 3, 2, groups=i, act=None),
            ConvNormAct(6 * i, 6 * i, 3, groups=6 * i),
        )
        self.narrow = ConvNormAct(6 * i, o, 1, act=None)
        self.shortcut = nn.Sequential(ConvNormAct(i, i, 3, 2, groups=i, act=None), ConvNormAct(i, o, 1, act=None))

    def forward(self, x: Tensor) -> Tensor:
        return (self.narrow(self.widen(x)) + self.shortcut(x)).relu()  # type: ignore[no-any-return]


class ContextEmbedding(nn.Module):
    """The whole picture's average is added to every position."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(128), ConvNormAct(128, 128, 1))
        self.join = ConvNormAct(128, 128, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.join(x + self.picture(x))
        return y


class GuidedAggregation(nn.Module):
    """Each branch gates the other, at both of their strides (the paper's figure 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.detail_keep = _separable()
        self.detail_down = nn.Sequential(ConvNormAct(128, 128, 3, 2, act=None), nn.AvgPool2d(3, 2, 1))
        self.semantic_up = ConvNormAct(128, 128, 3, act=None)
        self.semantic_keep = _separable()
        self.join = ConvNormAct(128, 128, 3)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        size = detail.shape[-2:]
        high, low = self.detail_keep(detail), self.detail_down(detail)
        high_gate, low_gate = self.semantic_up(semantic), self.semantic_keep(semantic)
        high = high * torch.sigmoid(F.interpolate(high_gate, size))
        y: Tensor = self.join(high + F.interpolate(low * torch.sigmoid(low_gate), size))
        return y


def _separable() -> nn.Sequential:
    return nn.Sequential(ConvNormAct(128, 128, 3, groups=128, act=None), conv(128, 128, 1))


def _aux_head(i: int, factor: int, num_classes: int) -> nn.Sequential:
    """Scores at half of the map's stride `factor`."""
    return nn.Sequential(
        ConvNormAct(i, 128, 3),
        nn.Dropout(0.1),
        nn.Upsample(scale_factor=2),
        ConvNormAct(128, factor * factor, 3),
        nn.Conv2d(factor * factor, num_classes, 1),
    )


@register(
    "bisenetv2",
    paper="https://arxiv.org/abs/2004.02147",
    year=2020,
    stride=8,
    size=(512, 1024),
    aliases=("BiSeNetV2",),
    claims=Claims(
        miou={
            "cityscapes val": 73.4,
            "cityscapes test": 72.6,
            "cityscapes val, this layout at 2048x1024": 74.95,
            "camvid test": 72.4,
        },
        fps={"GTX 1080 Ti, TensorRT, 1024x512": 156, "A40, TensorRT, 2048x1024": 103},
    ),
)
def bisenetv2(num_classes: int, in_channels: int, aux: bool = True) -> BiSeNetV2:
    return BiSeNetV2(num_classes, in_channels, aux)
