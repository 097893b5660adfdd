"""FC-DenseNet: a U-shaped network of dense blocks. Not a real-time one; kept for completeness.

Jegou, Drozdzal, Vazquez, Romero, Bengio, "The One Hundred Layers Tiramisu: Fully Convolutional DenseNets for Semantic
Segmentation", CVPR Workshops 2017, arXiv 1611.09326.

Every norm here comes before its activation and convolution, so there is none that `fuse` could fold.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import conv, crop_to, initialise
from swath.networks.registry import Claims, register

_DROPOUT = 0.2


class FCDenseNet(Network):
    """Dense blocks of `layers` going down, one of `bottleneck` layers, and the same blocks going up."""

    stride = 1

    def __init__(self, num_classes: int, in_channels: int, layers: Sequence[int], bottleneck: int, growth: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        channels = 48
        self.stem = conv(in_channels, channels, 3)
        self.down_blocks, self.transitions, skips = nn.ModuleList(), nn.ModuleList(), []
        for count in layers:
            self.down_blocks.append(DenseBlock(channels, count, growth))
            channels += count * growth
            skips.append(channels)
            self.transitions.append(_transition(channels))
        self.bottleneck = DenseBlock(channels, bottleneck, growth)
        channels = bottleneck * growth
        self.ups, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for count, skip in zip(reversed(layers), reversed(skips)):
            self.ups.append(nn.ConvTranspose2d(channels, channels, 3, 2, 1, output_padding=1))
            self.up_blocks.append(DenseBlock(channels + skip, count, growth))
            channels = count * growth
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        x = self.stem(image)
        skips = []
        for block, transition in zip(self.down_blocks, self.transitions):
            x = torch.cat((x, block(x)), 1)
            skips.append(x)
            x = F.max_pool2d(transition(x), 2, ceil_mode=True)
        x = self.bottleneck(x)
        for up, block, skip in zip(self.ups, self.up_blocks, reversed(skips)):
            x = block(torch.cat((crop_to(up(x), (skip.shape[-2], skip.shape[-1])), skip), 1))
        main: Tensor = self.classifier(x)
        return [main] if self.training else main


class DenseBlock(nn.Module):
    """Each layer sees the input and all layers before it, oldest first; the answer is what the layers added."""

    def __init__(self, channels: int, count: int, growth: int):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.BatchNorm2d(channels + k * growth),
                    nn.ReLU(inplace=True),
                    conv(channels + k * growth, growth, 3),
                    nn.Dropout(_DROPOUT),
                )
                for k in range(count)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        added: list[Tensor] = []
        for layer in self.layers:
            added.append(layer(torch.cat((x, *added), 1)))
        return torch.cat(added, 1)


def _transition(channels: int) -> nn.Sequential:
    """Before the pooling."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv(channels, channels, 1), nn.Dropout(_DROPOUT)
    )


def _variant(
    depth: int, layers: tuple[int, ...], bottleneck: int, growth: int, params_m: float, aliases: tuple[str, ...]
) -> None:
    @register(
        f"fc_densenet{depth}",
        paper="https://arxiv.org/abs/1611.09326",
        year=2017,
        stride=1,
        size=(360, 480),
        aliases=aliases,
        claims=Claims(params_m=params_m),
    )
    def build(num_classes: int, in_channels: int) -> FCDenseNet:
        return FCDenseNet(num_classes, in_channels, layers, bottleneck, growth)


_variant(57, (4, 4, 4, 4, 4), 4, 12, 1.5, ("fc_densenet_57", "FC-DenseNet56"))
_variant(67, (5, 5, 5, 5, 5), 5, 16, 3.5, ("fc_densenet_67",))
_variant(103, (4, 5, 7, 10, 12), 15, 16, 9.4, ("fc_densenet_103",))
