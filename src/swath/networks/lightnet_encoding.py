"""LightNet's MobileNetV2 with context encoding: the gates learn from a dictionary what a picture is about.

Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, arXiv 1803.08904, within LightNet (see
lightnet_mobilenet.py) around a receptive field block.

The smoothing factors of the dictionary are redrawn in training and constant in eval, so they are no parameters here
(the authors count their 64); the dictionary's distances are written as squares so that no pixels x codewords x
channels tensor exists. `aux` adds "which classes occur" from both encodings, weight 0.2 each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.lightnet_mobilenet import MobileNetPlus, rfb
from swath.networks.parts.context import Rates, abn
from swath.networks.parts.lightnet import PROJECT
from swath.networks.registry import register


class Encoding(nn.Module):
    """N x C x H x W -> N x codewords x C: residuals to each codeword, softly assigned and summed over the picture."""

    def __init__(self, channels: int, codewords: int):
        super().__init__()
        bound = (codewords * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        words = self.codewords
        pixels = x.flatten(2).transpose(1, 2)  # N x HW x C
        distances = (pixels.square().sum(2, keepdim=True) - 2 * pixels @ words.T + words.square().sum(1)).clamp(min=0)
        if self.training:
            smoothing = -torch.rand(len(words), device=x.device, dtype=x.dtype)
        else:
            smoothing = torch.full((len(words),), -0.5, device=x.device, dtype=x.dtype)
        shares = (smoothing * distances).softmax(2).transpose(1, 2)  # N x codewords x HW
        return shares @ pixels - shares.sum(2, keepdim=True) * words


class EncodingGate(nn.Module):
    """Gates of channels, from the encoding, and of places, multiplied; answers the encoding too (N x 8C x 1 x 1)."""

    def __init__(self, channels: int, slope: float, codewords: int = 32):
        super().__init__()
        inner = channels // 4
        self.norm = nn.Sequential(*abn(channels, slope))
        self.encode = nn.Sequential(nn.Conv2d(channels, inner, 1), *abn(inner, slope), Encoding(inner, codewords))
        self.encoded = inner * codewords
        self.channel = nn.Sequential(nn.Conv2d(self.encoded, channels, 1), nn.Sigmoid())
        self.spatial = nn.Sequential(nn.Conv2d(channels, 1, 1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.norm(x)
        encoding = F.normalize(self.encode(normed).flatten(1))[..., None, None]
        return x * self.spatial(normed) * self.channel(encoding), encoding


class MobileNetContext(MobileNetPlus):
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: float,
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
        aux: bool,
    ):
        def context(i: int, o: int) -> nn.Module:
            return rfb(i, o, rates, abn_slope, align_corners, faithful)

        def gate(channels: int) -> nn.Module:
            return EncodingGate(channels, abn_slope)

        super().__init__(
            num_classes, in_channels, context, gate, width, abn_slope, align_corners, checkpointing, hidden=256
        )
        if aux:
            gates = (module for module in self.modules() if isinstance(module, EncodingGate))
            self.aux_heads = nn.ModuleList([nn.Conv2d(each.encoded, num_classes, 1) for each in gates])
            self.aux_weights = (0.2, 0.2)
            self.aux_kinds = ("presence", "presence")

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        maps = self.trunk(image)
        together, first = self.gather(maps)
        gated, encoding = self.run(self.gate, together)
        context = self.run(self.context, gated)
        joined, detail_encoding = self.run(self.detail_gate, torch.cat((context, maps[1], first), 1))
        main: Tensor = self.run(self.head, joined)
        if self.training:
            return [main, *(each(x) for each, x in zip(self.aux_heads, (encoding, detail_encoding)))]
        return main


@register("rf_mobilenetv2context", paper=PROJECT, year=2018, stride=4, size=(448, 896), aliases=("MobileNetV2Context",))
def rf_mobilenetv2context(
    num_classes: int,
    in_channels: int,
    width: float = 1.0,
    rates: Rates = (12, 24, 36),
    abn_slope: float = 0.1,
    align_corners: bool = True,
    faithful: bool = True,
    checkpointing: bool = False,
    aux: bool = True,
) -> MobileNetContext:
    return MobileNetContext(
        num_classes, in_channels, width, rates, abn_slope, align_corners, faithful, checkpointing, aux
    )
