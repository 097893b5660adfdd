"""SFANet: a ResNet-18 encoder-decoder whose stages differ by depth and align the deeper map by a learned flow.

Weng, Yan, Chen, Xue, Wang, "Stage-Aware Feature Alignment Network for Real-Time Semantic Segmentation of Street
Scenes", IEEE Transactions on Circuits and Systems for Video Technology 32(7), 4444-4459, arXiv 2203.04031.

After the reproduction by CSFCN's authors: the first convolution has neither norm nor ReLU (`stem_norm` gives it the
ones that ImageNet weights expect), and the channel gate has kernel 3 at every width. Auxiliary heads (`aux`) stand on
the four decoder stages, weight 0.4 each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.base import Network
from swath.networks.encoders import create_encoder
from swath.networks.parts import ConvNormAct, conv, initialise, resize_as, warp
from swath.networks.registry import Claims, register


class SFANet(Network):
    """Backbone with attention between its blocks; four alignment stages from the image's average up to stride 4."""

    stride = 4
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int, stem_norm: bool, aux: bool):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.encoder = create_encoder("resnet18", in_channels, stem="plain" if stem_norm else "bare")
        self.attention = nn.ModuleList([Attention(channels) for channels in (128, 256, 512)])
        self.lateral = nn.ModuleList([ConvNormAct(channels, 128, 3) for channels in (128, 256, 512)])
        self.align4 = Align(512, 128, DilatedEnhancement(128, 2, 5))
        self.align3 = Align(128, 128, DilatedEnhancement(128, 1, 1))
        self.align2 = Align(128, 128, PlainEnhancement(128))
        self.align1 = Align(128, 64, nn.Identity())
        self.head = nn.Sequential(ConvNormAct(128, 64, 1), conv(64, num_classes, 3))
        if aux:
            self.aux_heads = nn.ModuleList(
                [
                    nn.Sequential(ConvNormAct(channels, 64, 1), conv(64, num_classes, 3))
                    for channels in (64, 128, 128, 128)
                ]
            )
            self.aux_weights = (0.4, 0.4, 0.4, 0.4)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        c2, c3, c4, c5 = self._encode(image)
        e2, e3, e4 = (lateral(each) for lateral, each in zip(self.lateral, (c3, c4, c5)))
        s4 = self.align4(e4, c5.mean((-2, -1), keepdim=True))
        s3 = self.align3(e3, s4)
        s2 = self.align2(e2, s3)
        s1 = self.align1(c2, s2)
        main: Tensor = self.head(torch.cat((c2, s1), 1))
        if self.training:
            return [main, *(head(x) for head, x in zip(self.aux_heads, (s1, s2, s3, s4)))]
        return main

    def _encode(self, image: Tensor) -> list[Tensor]:
        """Strides 4 to 32, with attention between the two blocks of all but the first."""
        stem, pool, layer1, *layers = self.encoder.stages
        maps = [layer1(pool(stem(image)))]
        for layer, attention in zip(layers, self.attention):
            first, second = layer.children()
            maps.append(second(attention(first(maps[-1]))))
        return maps


class Attention(nn.Module):
    """SCA: a gate of channels, from neighbouring channels' averages, and a gate of places; both products added."""

    def __init__(self, channels: int):
        super().__init__()
        self.channel = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.place = conv(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        average_N1C = x.mean((-2, -1)).unsqueeze(1)
        channel = self.channel(average_N1C).sigmoid().transpose(1, 2).unsqueeze(-1)
        place = self.place(x).sigmoid()
        return x * place + x * channel  # type: ignore[no-any-return]


class DilatedEnhancement(nn.Module):
    """FEB of the deep stages: two dilated depthwise 3x3 after each other, joined by a 1x1; added to the input."""

    def __init__(self, channels: int, first_rate: int, second_rate: int):
        super().__init__()
        self.first = conv(channels, channels, 3, dilation=first_rate, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.second = conv(channels, channels, 3, dilation=second_rate, groups=channels)
        self.join = ConvNormAct(2 * channels, channels, 1, act=None)
        self.attention = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(self.norm(first))
        return self.attention(F.relu(x + self.join(torch.cat((first, second), 1))))  # type: ignore[no-any-return]


class PlainEnhancement(nn.Module):
    """FEB of stage 2: two 3x3 without a ReLU between; added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            ConvNormAct(channels, channels, 3, act=None), ConvNormAct(channels, channels, 3, act=None)
        )
        self.attention = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(F.relu(x + self.body(x)))  # type: ignore[no-any-return]


class Align(nn.Module):
    """SFA: the deeper map, enlarged and moved by a learned flow, added to the enhanced map of the encoder."""

    def __init__(self, deeper: int, channels: int, enhance: nn.Module):
        super().__init__()
        self.reduce = ConvNormAct(deeper, channels, 1)
        self.enhance = enhance
        self.flow = conv(2 * channels, 2, 3)
        self.attention = Attention(channels)

    def forward(self, encoded: Tensor, deeper: Tensor) -> Tensor:
        deeper = resize_as(self.reduce(deeper), encoded, align_corners=True)
        encoded = self.enhance(encoded)
        moved = warp(deeper, self.flow(torch.cat((encoded, deeper), 1)))
        return self.attention(encoded + moved)  # type: ignore[no-any-return]


_PAPER = "https://arxiv.org/abs/2203.04031"
_CLAIMS = Claims(
    miou={"cityscapes test": 78.1, "camvid test": 74.7},
    fps={"GTX 1080 Ti, cityscapes": 37.0, "GTX 1080 Ti, camvid": 96.0},
    note="of the paper's own code",
)


@register("sfanet", paper=_PAPER, year=2022, stride=4, claims=_CLAIMS)
def sfanet(num_classes: int, in_channels: int, stem_norm: bool = False, aux: bool = False) -> SFANet:
    return SFANet(num_classes, in_channels, stem_norm, aux)


@register("sfanet_stemnorm", paper=_PAPER, year=2022, stride=4)
def sfanet_stemnorm(num_classes: int, in_channels: int, aux: bool = False) -> SFANet:
    return SFANet(num_classes, in_channels, stem_norm=True, aux=aux)
