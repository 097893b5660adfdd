"""BiSeNet: a context path on ResNet-18 beside a shallow spatial path.

Yu, Wang, Peng, Gao, Yu, Sang, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation",
ECCV 2018, arXiv 1808.00897.

Follows the CoinCheung implementation, which is what others compare with: the fusion's gate is one convolution with a
norm (two layers in the paper). Fixed factors became the partner's size, so any input size works. Auxiliary heads
(`aux`) stand on the context path at strides 8 and 16, weight 1 each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct
from swath.networks.parts.attention_refinement import ContextPath
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, register

# Of Cityscapes; the project's weights were trained with these.
MEAN, STD = (0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)


class BiSeNetV1(Network):
    """Both paths meet at stride 8."""

    stride = 8

    def __init__(self, num_classes: int, in_channels: int, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.preprocess = Preprocess.rgb(MEAN, STD, in_channels)
        self.encoder = create_encoder("resnet18", in_channels)
        self.context = ContextPath(256, 512)
        self.spatial = nn.Sequential(
            ConvNormAct(in_channels, 64, 7, 2),
            ConvNormAct(64, 64, 3, 2),
            ConvNormAct(64, 64, 3, 2),
            ConvNormAct(64, 128, 1),
        )
        self.join = FeatureFusion(256)
        self.head = _head(256, 256, num_classes)
        if aux:
            self.aux_heads = nn.ModuleList([_head(128, 64, num_classes) for _ in range(2)])
            self.aux_weights = (1.0, 1.0)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=1)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        *_, c2, c3, c4 = self.encoder(image)
        cp8, cp16 = self.context(c3, c4, c2.shape[-2:])
        main: Tensor = self.head(self.join(torch.cat([self.spatial(image), cp8], 1)))
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (cp8, cp16)))]
        return main


class FeatureFusion(nn.Module):
    """A 1x1, and the map added to itself times a gate from its average."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = ConvNormAct(channels, channels, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormAct(channels, channels, 1, act=nn.Sigmoid))

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        y: Tensor = x + x * self.gate(x)
        return y


def _head(i: int, width: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(i, width, 3), nn.Conv2d(width, num_classes, 1))


@register(
    "bisenetv1_resnet18",
    paper="https://arxiv.org/abs/1808.00897",
    year=2018,
    stride=8,
    size=(768, 1536),
    aliases=("bisenetv1", "BiSeNet"),
    claims=Claims(
        miou={
            "cityscapes val": 74.8,
            "cityscapes test": 74.7,
            "cityscapes val, this layout at 2048x1024": 75.44,
            "camvid test": 68.7,
        },
        fps={"Titan XP, 1536x768": 65.5, "A40, TensorRT, 2048x1024": 112, "Titan XP, 960x720": 116},
    ),
)
def bisenetv1(num_classes: int, in_channels: int, aux: bool = True) -> BiSeNetV1:
    return BiSeNetV1(num_classes, in_channels, aux)
