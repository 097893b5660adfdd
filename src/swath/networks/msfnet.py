"""MSFNet, reimplemented from the paper's outline: spatial-aware pooling gives each stage's map at several strides.

Si, Zhang, Lv, Yu, Lu, "Real-Time Semantic Segmentation via Multiply Spatial Fusion Network", BMVC 2021,
arXiv 1911.07217.

No code of the authors is public. Ours follow the paper: ResNet-18, pools whose stride is the intended reduction, fusion
of maps of equal stride, and a second decoder for class boundaries that only training needs. The widths, the kernels of
the pools and the decoder's blocks are our choice. The second decoder (`aux`, weight 0.5) answers with the classes and
learns near class boundaries only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, initialise, resize_as
from swath.networks.registry import Claims, register

# For the maps at strides 4, 8, 16 and 32: the powers of two by which they are reduced, to strides 8 to 64.
_REDUCTIONS = ((1, 2, 3, 4), (0, 1, 2, 3), (0, 1, 2), (0, 1))
_POOLED = 32  # channels of each pooled map
_FUSED = 128


class MSFNet(Network):
    """Encoder, pooling, fusion at strides 8 to 64, decoder."""

    stride = 8
    deepest = 64
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.encoder = create_encoder("resnet18", in_channels)
        channels = self.encoder.channels[1:]
        self.pools = nn.ModuleList([_pool(i, power) for i, powers in zip(channels, _REDUCTIONS) for power in powers])
        self.fusions = nn.ModuleList([ConvNormAct(maps * _POOLED, _FUSED, 3) for maps in (2, 3, 4, 4)])
        self.decoder = Decoder(num_classes)
        if aux:
            self.aux_heads = nn.ModuleList([Decoder(num_classes)])
            self.aux_weights = (0.5,)
            self.aux_kinds = ("band",)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        of_stride: list[list[Tensor]] = [[], [], [], []]  # 8, 16, 32, 64
        pools = iter(self.pools)
        for level, (x, powers) in enumerate(zip(self.encoder(image)[1:], _REDUCTIONS)):
            for power in powers:
                of_stride[level + power - 1].append(next(pools)(x))
        fused = [fusion(torch.cat(maps, 1)) for fusion, maps in zip(self.fusions, of_stride)]
        main: Tensor = self.decoder(fused)
        if self.training:
            return [main, *(head(fused) for head in self.aux_heads)]
        return main


class Decoder(nn.Module):
    """From the coarsest map to the finest by addition, then scores."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.merges = nn.ModuleList([ConvNormAct(_FUSED, _FUSED, 3) for _ in range(3)])
        self.classifier = nn.Sequential(ConvNormAct(_FUSED, 64, 3), nn.Conv2d(64, num_classes, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        *finer, y = maps
        for merge, x in zip(self.merges, reversed(finer)):
            y = merge(resize_as(y, x, align_corners=True) + x)
        scores: Tensor = self.classifier(y)
        return scores


def _pool(channels: int, power: int) -> nn.Sequential:
    """Averages at 1 / 2^power of the size over windows that overlap by one pixel; then a 1x1."""
    step = 2**power
    pool = nn.AvgPool2d(step + 1, step, step // 2) if power else nn.Identity()
    return nn.Sequential(pool, ConvNormAct(channels, _POOLED, 1))


@register(
    "msfnet",
    paper="https://arxiv.org/abs/1911.07217",
    year=2019,
    stride=8,
    aliases=("MSFNet",),
    claims=Claims(
        miou={"cityscapes test": 77.1, "cityscapes test, 1024x512": 71.3, "camvid test": 75.4},
        fps={"GTX 1080 Ti, 2048x1024": 41, "GTX 1080 Ti, 1024x512": 117, "GTX 1080 Ti, 1024x768": 91},
        note="of the authors' own network, whose widths are unknown to us",
    ),
)
def msfnet(num_classes: int, in_channels: int, aux: bool = True) -> MSFNet:
    return MSFNet(num_classes, in_channels, aux)
