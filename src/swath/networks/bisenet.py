"""BiSeNet in a loose variant (`bisenetv1_resnet18` is the faithful one): three convolutions beside a ResNet.

Yu, Wang, Peng, Gao, Yu, Sang, "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV 2018,
arXiv 1808.00897.

After a public implementation: the attention refinement has no norm, the image's average multiplies the deepest map
where the paper adds it, both context maps go to the fusion side by side at their full widths, and there are no
auxiliary outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, initialise, resize_as
from swath.networks.registry import register


class BiSeNet(Network):
    """Spatial path and context path, joined at stride 8."""

    stride = 8
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, depth: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.spatial = nn.Sequential(
            ConvNormAct(in_channels, 64, 3, 2), ConvNormAct(64, 128, 3, 2), ConvNormAct(128, 256, 3, 2)
        )
        self.encoder = create_encoder(f"resnet{depth}", in_channels)
        c4, c5 = self.encoder.channels[-2:]
        self.refine4 = nn.Sequential(nn.Conv2d(c4, c4, 1), nn.Sigmoid())
        self.refine5 = nn.Sequential(nn.Conv2d(c5, c5, 1), nn.Sigmoid())
        self.join = ConvNormAct(256 + c4 + c5, 128, 3)
        self.gate = nn.Sequential(ConvNormAct(128, 128, 1), nn.Conv2d(128, 128, 1), nn.Sigmoid())
        self.classifier = nn.Conv2d(128, num_classes, 1)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        spatial = self.spatial(image)
        *_, c4, c5 = self.encoder(image)
        average = _average(c5)
        c4 = c4 * self.refine4(_average(c4))
        c5 = c5 * self.refine5(_average(c5)) * average
        c5 = resize_as(c5, spatial, align_corners=True)
        c4 = resize_as(c4, spatial, align_corners=True)
        joined = self.join(torch.cat((c4, c5, spatial), 1))
        main: Tensor = self.classifier(joined * (1 + self.gate(_average(joined))))
        return [main] if self.training else main


def _average(x: Tensor) -> Tensor:
    return x.mean((-2, -1), keepdim=True)


def _variant(depth: int) -> None:
    @register(f"bisenet_resnet{depth}", paper="https://arxiv.org/abs/1808.00897", year=2018, stride=8)
    def build(num_classes: int, in_channels: int) -> BiSeNet:
        return BiSeNet(num_classes, in_channels, depth)


_variant(18)
_variant(34)
_variant(50)
