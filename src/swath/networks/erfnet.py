"""ERFNet: residual blocks whose 3x3 convolutions are split into 3x1 and 1x3, in an encoder and a light decoder.

Romera, Alvarez, Bergasa, Arroyo, "ERFNet: Efficient Residual Factorized ConvNet for Real-Time Semantic Segmentation",
IEEE Transactions on Intelligent Transportation Systems 19(1), 2018.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import crop_to, initialise
from swath.networks.parts.factorised import ConvPoolDown, DeconvUp, strips
from swath.networks.registry import Claims, register

_EPS = 1e-3


class ERFNet(Network):
    """Encoder to stride 8, decoder back to the input's size."""

    stride = 1
    deepest = 8

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.stage1 = ConvPoolDown(in_channels, 16, _EPS)
        self.stage2 = nn.Sequential(ConvPoolDown(16, 64, _EPS), *[NonBottleneck(64, 1, 0.03) for _ in range(5)])
        self.stage3 = nn.Sequential(
            ConvPoolDown(64, 128, _EPS), *[NonBottleneck(128, dilation, 0.3) for dilation in (2, 4, 8, 16) * 2]
        )
        self.up4 = DeconvUp(128, 64, _EPS)
        self.stage4 = nn.Sequential(*[NonBottleneck(64, 1, 0.0) for _ in range(2)])
        self.up5 = DeconvUp(64, 16, _EPS)
        self.stage5 = nn.Sequential(*[NonBottleneck(16, 1, 0.0) for _ in range(2)])
        self.classifier = nn.ConvTranspose2d(16, num_classes, 2, 2)
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


class NonBottleneck(nn.Module):
    """Non-bottleneck-1D: two pairs of strips, the second dilated; added to the input."""

    def __init__(self, channels: int, dilation: int, dropout: float):
        super().__init__()
        self.body = nn.Sequential(
            *strips(channels, eps=_EPS),
            nn.ReLU(inplace=True),
            *strips(channels, dilation=dilation, eps=_EPS),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x)


@register(
    "erfnet",
    paper="https://doi.org/10.1109/TITS.2017.2750080",
    year=2018,
    stride=1,
    size=(512, 1024),
    claims=Claims(params_m=2.1),
)
def erfnet(num_classes: int, in_channels: int) -> ERFNet:
    return ERFNet(num_classes, in_channels)
