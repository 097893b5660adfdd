"""STDC-Seg: BiSeNet without its spatial path; while training, a detail head teaches stride 8 fine structure.

Fan, Lai, Huang, Wei, Chai, Luo, Wei, "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021,
arXiv 2104.13188.

Only the training heads that the authors' recipe uses exist (`aux`, weight 1 each): classes at strides 8 and 16, and
the detail head at stride 8. Their code builds three more detail heads and keeps an ImageNet classifier.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders.stdc import STDC
from swath.networks.parts import ConvNormAct, conv, initialise
from swath.networks.parts.attention_refinement import ContextPath
from swath.networks.registry import Claims, register


class STDCSeg(Network):
    """Encoder, context path, fusion with the encoder's own map at stride 8."""

    stride = 8
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, size: int, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.encoder = STDC(size, in_channels)
        self.context = ContextPath(512, 1024)
        self.join = FeatureFusion(256 + 128, 256)
        self.head = _head(256, 256, num_classes)
        if aux:
            k = num_classes
            self.aux_heads = nn.ModuleList([_head(i, 64, o) for i, o in ((128, k), (128, k), (256, 1))])
            self.aux_weights = (1.0, 1.0, 1.0)
            self.aux_kinds = ("segmentation", "segmentation", "detail")
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        fine, c3, c4 = self.encoder(image)
        cp8, cp16 = self.context(c3, c4, fine.shape[-2:])
        main: Tensor = self.head(self.join(torch.cat([fine, cp8], 1)))
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (cp8, cp16, fine)))]
        return main


class FeatureFusion(nn.Module):
    """A 1x1, and the map added to itself times a gate from its average."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.body = ConvNormAct(i, o, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), conv(o, o // 4, 1), nn.ReLU(inplace=True), conv(o // 4, o, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        y: Tensor = x * self.gate(x) + x
        return y


def _head(i: int, width: int, o: int) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(i, width, 3), conv(width, o, 1))


def _variant(number: int, encoder_name: str, claims: Claims) -> None:
    @register(
        f"stdc{number}_seg",
        paper="https://arxiv.org/abs/2104.13188",
        year=2021,
        stride=8,
        size=(512, 1024),
        aliases=(f"stdc{number}", f"STDC{number}-Seg", encoder_name),
        claims=claims,
    )
    def build(num_classes: int, in_channels: int, aux: bool = True) -> STDCSeg:
        return STDCSeg(num_classes, in_channels, number, aux)


_variant(
    1,
    "STDCNet813",
    Claims(
        miou={
            "cityscapes val, 1024x512": 72.2,
            "cityscapes test, 1024x512": 71.9,
            "cityscapes val, 1536x768": 74.5,
            "cityscapes test, 1536x768": 75.3,
            "camvid test": 73.0,
        },
        fps={
            "GTX 1080 Ti, TensorRT, 1024x512": 250.4,
            "GTX 1080 Ti, TensorRT, 1536x768": 126.7,
            "GTX 1080 Ti, TensorRT, 960x720": 197.6,
        },
    ),
)
_variant(
    2,
    "STDCNet1446",
    Claims(
        miou={
            "cityscapes val, 1024x512": 74.2,
            "cityscapes test, 1024x512": 73.4,
            "cityscapes val, 1536x768": 77.0,
            "cityscapes test, 1536x768": 76.8,
            "camvid test": 73.9,
        },
        fps={
            "GTX 1080 Ti, TensorRT, 1024x512": 188.6,
            "GTX 1080 Ti, TensorRT, 1536x768": 97.0,
            "GTX 1080 Ti, TensorRT, 960x720": 152.2,
        },
    ),
)
