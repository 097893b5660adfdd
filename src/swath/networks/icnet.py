"""ICNet: the whole image through three convolutions, a half and a quarter of it through one deep network.

Zhao, Qi, Shen, Shi, Jia, "ICNet for Real-Time Semantic Segmentation on High-Resolution Images", ECCV 2018,
arXiv 1704.08545.

The two deep branches share a dilated ResNet with a stem of three 3x3, as in the implementation that CSFCN compares
with; the half-size branch stops where its map is taken. Auxiliary outputs (`aux`, weight 0.4 each) are of the low map
in each cascade fusion, finest first; they and the main output are compared with labels at their own sizes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, conv, initialise, pool_to, resize_as, resize_to
from swath.networks.registry import Claims, register

_HALF_STAGES = 4  # stem, pooling, layers 1 and 2


class ICNet(Network):
    """Three resolutions, joined from coarse to fine by two cascade fusions."""

    stride = 4
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, depth: int, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.full = nn.Sequential(
            ConvNormAct(in_channels, 32, 3, 2), ConvNormAct(32, 32, 3, 2), ConvNormAct(32, 64, 3, 2)
        )
        self.encoder = create_encoder(f"resnet{depth}", in_channels, output_stride=8, stem="deep")
        self.fuse_half = CascadeFusion(2048, 512)
        self.fuse_full = CascadeFusion(128, 64)
        self.classifier = conv(128, num_classes, 1)
        if aux:
            self.aux_heads = nn.ModuleList([conv(128, num_classes, 1) for _ in range(2)])
            self.aux_weights = (0.4, 0.4)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        height, width = image.shape[-2:]
        full = self.full(image)
        half = resize_to(image, ((height + 1) // 2, (width + 1) // 2), align_corners=True)
        for stage in self.encoder.stages[:_HALF_STAGES]:
            half = stage(half)
        quarter = resize_to(image, ((height + 3) // 4, (width + 3) // 4), align_corners=True)
        quarter = _summed_pyramid(self.encoder(quarter)[-1])
        joined, half_low = self.fuse_half(quarter, half)
        joined, full_low = self.fuse_full(joined, full)
        finer = resize_to(joined, ((height + 3) // 4, (width + 3) // 4), align_corners=True)
        main: Tensor = self.classifier(finer)
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (full_low, half_low)))]
        return main


class CascadeFusion(nn.Module):
    """CFF: the coarse map, enlarged and through a dilated 3x3, plus the fine one through a 1x1."""

    def __init__(self, low: int, high: int):
        super().__init__()
        self.low = ConvNormAct(low, 128, 3, dilation=2, act=None)
        self.high = ConvNormAct(high, 128, 1, act=None)

    def forward(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The fused map, and the low part of it before the sum."""
        low = self.low(resize_as(low, high, align_corners=True))
        return F.relu(low + self.high(high)), low


def _summed_pyramid(x: Tensor) -> Tensor:
    """Pyramid pooling without convolutions: the map plus its averages over grids of 1, 2, 3 and 6 cells a side."""
    result = x
    for bins in (1, 2, 3, 6):
        result = result + resize_as(pool_to(x, bins, bins), x, align_corners=True)
    return result


def _variant(depth: int, aliases: tuple[str, ...], claims: Claims | None) -> None:
    @register(
        f"icnet_resnet{depth}",
        paper="https://arxiv.org/abs/1704.08545",
        year=2018,
        stride=4,
        aliases=aliases,
        claims=claims,
    )
    def build(num_classes: int, in_channels: int, aux: bool = False) -> ICNet:
        return ICNet(num_classes, in_channels, depth, aux)


_variant(
    50,
    ("ICNet",),
    Claims(
        miou={"cityscapes test": 69.5, "camvid test": 67.1},
        fps={"Titan X Maxwell, 2048x1024": 30.3},
        note="cityscapes test: up to 70.6",
    ),
)
_variant(101, (), None)
