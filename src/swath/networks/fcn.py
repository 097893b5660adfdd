"""FCN on ResNet: a 1x1 classifier on each of the deepest maps, summed from coarse to fine.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, arXiv 1411.4038.

After a public implementation: a ResNet in place of VGG-16, bilinear resizing in place of learned.
"""

from __future__ import annotations

from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import initialise, resize_as
from swath.networks.registry import register


class FCN(Network):
    """Scores of the maps from stride 32 down to `stride`."""

    def __init__(self, num_classes: int, in_channels: int, depth: int, stride: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.stride = stride
        self.align_corners = stride > 8
        self.encoder = create_encoder(f"resnet{depth}", in_channels)
        used = [channels for channels, at in zip(self.encoder.channels, self.encoder.strides) if at >= stride]
        self.classifiers = nn.ModuleList([nn.Conv2d(channels, num_classes, 1) for channels in used])
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        maps = self.encoder(image)[-len(self.classifiers) :]
        *finer, main = (classifier(each) for classifier, each in zip(self.classifiers, maps))
        for scores in reversed(finer):
            main = scores + resize_as(main, scores, self.align_corners)
        return [main] if self.training else main


def _variant(stride: int, depth: int) -> None:
    @register(f"fcn{stride}_resnet{depth}", paper="https://arxiv.org/abs/1411.4038", year=2015, stride=stride)
    def build(num_classes: int, in_channels: int) -> FCN:
        return FCN(num_classes, in_channels, depth, stride)


_variant(32, 18)
_variant(32, 34)
_variant(16, 18)
_variant(8, 18)
