"""ESNet: a symmetric encoder and decoder of factorised units, with parallel dilated ones at the coarsest size.

Wang, Zhou, Xiong, Wu, Jin, "ESNet: An Efficient Symmetric Network for Real-time Semantic Segmentation", PRCV 2019,
arXiv 1906.09826.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import crop_to, initialise
from swath.networks.parts.factorised import ConvPoolDown, DeconvUp, strips
from swath.networks.registry import Claims, register


class ESNet(Network):
    """Encoder to stride 8, its mirror image back to the input's size."""

    stride = 1
    deepest = 8

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.stage1 = nn.Sequential(ConvPoolDown(in_channels, 16), *[Factorised(16, 3, 0.03) for _ in range(3)])
        self.stage2 = nn.Sequential(ConvPoolDown(16, 64), *[Factorised(64, 5, 0.03) for _ in range(2)])
        self.stage3 = nn.Sequential(ConvPoolDown(64, 128), *[ParallelFactorised(128, 0.3) for _ in range(3)])
        self.up4 = DeconvUp(128, 64)
        self.stage4 = nn.Sequential(*[Factorised(64, 5, 0.0) for _ in range(2)])
        self.up5 = DeconvUp(64, 16)
        self.stage5 = nn.Sequential(*[Factorised(16, 3, 0.0) for _ in range(3)])
        self.classifier = nn.ConvTranspose2d(16, num_classes, 3, 2, 1, output_padding=1)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        half = self.stage1(image)
        quarter = self.stage2(half)
        x = self.stage3(quarter)
        x = self.stage4(self.up4(x, quarter.shape[-2:]))
        x = self.stage5(self.up5(x, half.shape[-2:]))
        main = crop_to(self.classifier(x), (image.shape[-2], image.shape[-1]))
        return [main] if self.training else main


class Factorised(nn.Module):
    """FCU: two pairs of strips of one length; added to the input."""

    def __init__(self, channels: int, kernel: int, dropout: float):
        super().__init__()
        self.body = nn.Sequential(
            *strips(channels, kernel, tall_first=False),
            nn.ReLU(inplace=True),
            *strips(channels, kernel, tall_first=False),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x)


class ParallelFactorised(nn.Module):
    """PFCU: a pair of strips, then the sum of three dilated pairs; added to the input."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.first = nn.Sequential(*strips(channels), nn.ReLU(inplace=True))
        self.branches = nn.ModuleList([nn.Sequential(*strips(channels, dilation=rate)) for rate in (2, 5, 9)])
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        near, middle, far = (branch(y) for branch in self.branches)
        return F.relu(self.dropout(near + middle + far) + x)


@register(
    "esnet",
    paper="https://arxiv.org/abs/1906.09826",
    year=2019,
    stride=1,
    size=(512, 1024),
    claims=Claims(params_m=1.66),
)
def esnet(num_classes: int, in_channels: int) -> ESNet:
    return ESNet(num_classes, in_channels)
