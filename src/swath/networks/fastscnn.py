"""Fast-SCNN: a shallow stem shared by a detail path and a deep low-resolution branch.

Poudel, Liwicki, Cipolla, "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019, arXiv 1902.04502.

Auxiliary heads (`aux`) stand on the stem and on the global features, weight 0.4 each.
"""

from __future__ import annotations

from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, InvertedResidual, PyramidPooling, initialise, resize_as
from swath.networks.registry import Claims, register

# Inverted residuals of the global features: channels, blocks, stride of the first; all widen by 6.
_GLOBAL = ((64, 3, 2), (96, 3, 2), (128, 3, 1))


class FastSCNN(Network):
    """Learning to downsample, global feature extractor, fusion at stride 8, classifier."""

    stride = 8
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.stem = nn.Sequential(ConvNormAct(in_channels, 32, 3, 2), _separable(32, 48, 2), _separable(48, 64, 2))
        self.global_features = nn.Sequential(
            *_residuals(64), PyramidPooling(128, 32, (1, 2, 3, 6), align_corners=True), ConvNormAct(256, 128, 1)
        )
        self.fuse_low = nn.Sequential(
            ConvNormAct(128, 128, 3, dilation=4, groups=128), ConvNormAct(128, 128, 1, act=None)
        )
        self.fuse_high = ConvNormAct(64, 128, 1, act=None)
        self.activate = nn.ReLU(inplace=True)
        self.classifier = _classifier(128, num_classes)
        if aux:
            self.aux_heads = nn.ModuleList([_classifier(64, num_classes), _classifier(128, num_classes)])
            self.aux_weights = (0.4, 0.4)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        high = self.stem(image)
        low = self.global_features(high)
        joined = self.activate(self.fuse_low(resize_as(low, high, align_corners=True)) + self.fuse_high(high))
        main: Tensor = self.classifier(joined)
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (high, low)))]
        return main


def _separable(i: int, o: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 without activation, then 1x1 with it."""
    return nn.Sequential(ConvNormAct(i, i, 3, stride, groups=i, act=None), ConvNormAct(i, o, 1))


def _residuals(i: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for channels, blocks, stride in _GLOBAL:
        for block in range(blocks):
            layers.append(InvertedResidual(i, channels, stride if block == 0 else 1, 6))
            i = channels
    return layers


def _classifier(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        _separable(channels, channels),
        _separable(channels, channels),
        nn.Dropout(0.1),
        nn.Conv2d(channels, num_classes, 1),
    )


@register(
    "fastscnn",
    paper="https://arxiv.org/abs/1902.04502",
    year=2019,
    stride=8,
    aliases=("FastSCNN", "Fast-SCNN"),
    claims=Claims(
        params_m=1.11,
        miou={"cityscapes test": 68.0},
        fps={"Titan Xp, 2048x1024": 123.5},
        note="parameters: convolution weights only",
    ),
)
def fastscnn(num_classes: int, in_channels: int, aux: bool = False) -> FastSCNN:
    return FastSCNN(num_classes, in_channels, aux)
