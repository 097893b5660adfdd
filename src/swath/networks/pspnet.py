"""PSPNet: averages over four grids of the deepest map, joined to it before the classifier.

Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", CVPR 2017, arXiv 1612.01105.

After a public implementation, lighter than the paper's: the encoder's stride is 32 (`output_stride` 8 is the paper's),
a 1x1 classifies at once, and there is neither dropout nor an auxiliary output.
"""

from __future__ import annotations

from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import PyramidPooling, initialise
from swath.networks.registry import register


class PSPNet(Network):
    """Encoder, pyramid pooling, classifier."""

    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, depth: int, output_stride: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.stride = self.deepest = output_stride
        self.encoder = create_encoder(f"resnet{depth}", in_channels, output_stride)
        channels = self.encoder.channels[-1]
        self.pyramid = PyramidPooling(channels, channels // 4, (1, 2, 3, 6), align_corners=True)
        self.classifier = nn.Conv2d(2 * channels, num_classes, 1)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        main: Tensor = self.classifier(self.pyramid(self.encoder(image)[-1]))
        return [main] if self.training else main


def _variant(depth: int) -> None:
    @register(f"pspnet_resnet{depth}", paper="https://arxiv.org/abs/1612.01105", year=2017, stride=32)
    def build(num_classes: int, in_channels: int, output_stride: int = 32) -> PSPNet:
        return PSPNet(num_classes, in_channels, depth, output_stride)


_variant(18)
_variant(50)
