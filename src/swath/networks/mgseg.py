"""MGSeg: a top-down path with gated fusion, a narrow bottom-up path, and weights of the fusion for every class.

He, Liang, Wu, Zhao, Zhang, "MGSeg: Multiple Granularity-Based Real-Time Semantic Segmentation Network", IEEE
Transactions on Image Processing 30 (2021), 7200-7214.

After the reproduction by CSFCN's authors: the first convolution has neither norm nor ReLU (`stem_norm` gives it the
ones that ImageNet weights expect). Most convolutions after the backbone are bare: no bias, norm or activation.
Auxiliary outputs (`aux`, weight 0.4 each): the fused prediction before its class weights, and a head at stride 16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, conv, initialise, resize_as
from swath.networks.registry import Claims, register


class MGSeg(Network):
    """ResNet-18, hybrid-attention feature aggregation (HAFA), fine-grained refinement (FGR)."""

    stride = 8
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, stem_norm: bool, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.encoder = create_encoder("resnet18", in_channels, stem="plain" if stem_norm else "bare")
        self.aggregate = Aggregation(num_classes)
        self.refine = Refinement(num_classes)
        if aux:
            head = nn.Sequential(ConvNormAct(256, 64, 3), nn.Conv2d(64, 256 * num_classes, 1), nn.PixelShuffle(16))
            self.aux_heads = nn.ModuleList([nn.Identity(), head])
            self.aux_weights = (0.4, 0.4)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        _, _, q3, q4, q5 = self.encoder(image)
        prediction, *sources = self.aggregate(q3, q4, q5)
        main: Tensor = self.refine(q4, q5, prediction, sources)
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (prediction, q4)))]
        return main


class Aggregation(nn.Module):
    """HAFA. Maps are numbered by the backbone's: 3 is the finest (stride 8), 5 the coarsest."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.coarse = nn.Sequential(ConvNormAct(512, 128, 3), Gate(conv(128, 128, 1)))
        self.middle = nn.Sequential(ConvNormAct(256, 128, 3), Gate(conv(128, 128, 1)))
        self.fine = nn.Sequential(
            ConvNormAct(256, 128, 1), Gate(conv(128, 64, 1), nn.ReLU(inplace=True), conv(64, 128, 1))
        )
        self.down5, self.down4, self.down3 = conv(128, 128, 3), conv(128, 128, 3), conv(128, 128, 3)
        self.narrow5, self.narrow4, self.narrow3 = conv(128, 32, 3), conv(128, 32, 3), conv(128, 32, 3)
        self.up3, self.up4, self.up5 = conv(32, 32, 3), conv(32, 32, 3), conv(32, 32, 3)
        self.score = conv(32, num_classes, 3)

    def forward(self, q3: Tensor, q4: Tensor, q5: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The prediction, and the three gated maps, coarsest first."""
        f5 = resize_as(self.coarse(q5), q4, align_corners=True)
        p5 = self.down5(f5)
        f4 = self.middle(q4)
        p4 = self.down4(resize_as(p5 + f4, q3, align_corners=True))
        f3 = self.fine(torch.cat((q3, p4), 1))
        p3 = self.down3(f3 + p4)
        p5, p4, p3 = self.narrow5(p5), self.narrow4(p4), self.narrow3(p3)
        p3 = self.up3(p3)
        p4 = self.up4(p3 + p4)
        p5 = self.up5(resize_as(p4, p5, align_corners=True) + p5)
        return self.score(resize_as(p5, p4, align_corners=True) + p4 + p3), f5, f4, f3


class Gate(nn.Module):
    """The map plus itself times a gate of channels from its average."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.layers(x.mean((-2, -1), keepdim=True)) + x  # type: ignore[no-any-return]


class Refinement(nn.Module):
    """FGR: each class is a sum of three maps without class and of its prediction, weighted from the deepest map."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.deepest = nn.Sequential(conv(512, 128, 3), conv(128, 8 * num_classes, 1))
        self.weigh = conv(8 * num_classes, 4 * num_classes, 3, groups=num_classes)
        self.flatten = nn.ModuleList([conv(128, 1, 3) for _ in range(3)])

    def forward(self, q4: Tensor, q5: Tensor, prediction: Tensor, sources: list[Tensor]) -> Tensor:
        weights = self.weigh(resize_as(self.deepest(q5), q4, align_corners=True))
        weights_NK4HW = resize_as(weights, prediction, align_corners=True).unflatten(1, (-1, 4))
        coarse, middle, fine = sources
        same_size = (
            resize_as(coarse, prediction, align_corners=True),
            resize_as(middle, prediction, align_corners=True),
            fine,
        )
        maps = torch.stack([flatten(each) for flatten, each in zip(self.flatten, same_size)], 2)
        maps_NK4HW = torch.cat((maps.expand(-1, prediction.shape[1], -1, -1, -1), prediction.unsqueeze(2)), 2)
        return (weights_NK4HW * maps_NK4HW).sum(2)  # type: ignore[no-any-return]


_PAPER = "https://doi.org/10.1109/TIP.2021.3102509"
_CLAIMS = Claims(
    miou={"cityscapes test": 77.8, "camvid test": 72.7},
    fps={"cityscapes": 50.0, "camvid": 127.0},
    note="of the paper's own code",
)


@register("mgseg", paper=_PAPER, year=2021, stride=8, claims=_CLAIMS)
def mgseg(num_classes: int, in_channels: int, stem_norm: bool = False, aux: bool = False) -> MGSeg:
    return MGSeg(num_classes, in_channels, stem_norm, aux)


@register("mgseg_stemnorm", paper=_PAPER, year=2021, stride=8)
def mgseg_stemnorm(num_classes: int, in_channels: int, aux: bool = False) -> MGSeg:
    return MGSeg(num_classes, in_channels, stem_norm=True, aux=aux)
