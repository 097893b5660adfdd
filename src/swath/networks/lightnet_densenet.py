"""LightNet's mixed-scale dense networks: 96 layers of one channel each, at cycling dilations.

Pelt, Sethian, "A mixed-scale dense convolutional neural network for image analysis", PNAS 115(2), 2018, within LightNet
(Liu, TU Braunschweig, 2018). A descendant, not a copy: the original works at full resolution without pooling.

`rf_mixscale_densenet` is named by the authors and never published: it follows from the rule that makes their other
receptive field twins. `faithful=False` mends the zero ring of ASPP and the norms that the receptive field block lost.
Training keeps a copy of all earlier channels a layer, which `checkpointing` avoids: it pays most here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from swath.networks.parts import conv
from swath.networks.parts.context import ASPP, RFB, Rates, abn
from swath.networks.parts.gates import SCSE
from swath.networks.parts.lightnet import PROJECT, LightNet, head, initialise_leaky
from swath.networks.registry import Claims, register


class DenseLayer(nn.Module):
    """`growth` channels from the concatenation of everything before."""

    def __init__(self, i: int, growth: int, dilation: int, slope: float):
        super().__init__()
        self.body = nn.Sequential(*abn(i, slope), conv(i, growth, 3, dilation=dilation))

    def forward(self, *earlier: Tensor) -> Tensor:
        result: Tensor = self.body(torch.cat(earlier, 1))
        return result


class MixedScaleDenseNet(LightNet):
    stride = 2
    multiple = 4

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        receptive_field: bool,
        layers: int,
        growth: int,
        dilations: Sequence[int],
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
    ):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, align_corners=align_corners, checkpointing=checkpointing
        )
        self.stem = nn.Sequential(conv(in_channels, 32, 7, 2), *abn(32, abn_slope), nn.MaxPool2d(3, 2, 1))
        self.layers = nn.ModuleList(
            [DenseLayer(32 + k * growth, growth, dilations[k % len(dilations)], abn_slope) for k in range(layers)]
        )
        o = 32 + layers * growth
        self.norm = nn.Sequential(*abn(o, abn_slope))
        self.gate = SCSE(o)
        self.context: nn.Module
        if receptive_field:
            self.context = RFB(o, o, rates, 2, abn_slope, not faithful, align_corners)
        else:
            self.context = ASPP(o, o, rates, 2, abn_slope, faithful, align_corners)
        self.detail_gate = SCSE(o)
        self.head = head(o, num_classes, abn_slope)
        initialise_leaky(self, nn.init.kaiming_normal_)

    def dense(self, x: Tensor) -> Tensor:
        """The stem's map and all layers' channels."""
        if self.checkpointing:  # a layer's inputs are kept: better the new channels than a growing concatenation
            maps = [x]
            for layer in self.layers:
                maps.append(self.run(layer, *maps))
            return torch.cat(maps, 1)
        for layer in self.layers:
            x = torch.cat((x, layer(x)), 1)
        return x

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        x = self.run(self.gate, self.norm(self.dense(self.run(self.stem, image))))
        main: Tensor = self.run(self.head, self.run(self.detail_gate, self.run(self.context, x)))
        return [main] if self.training else main


def _variant(name: str, aliases: tuple[str, ...], receptive_field: bool, claims: Claims | None = None) -> None:
    @register(name, paper=PROJECT, year=2018, stride=2, size=(448, 896), aliases=aliases, claims=claims)
    def build(
        num_classes: int,
        in_channels: int,
        layers: int = 96,
        growth: int = 1,
        dilations: Sequence[int] = (1, 2, 4, 8, 16),
        rates: Rates = (24, 48, 72),
        abn_slope: float = 0.1,
        align_corners: bool = True,
        faithful: bool = True,
        checkpointing: bool = False,
    ) -> MixedScaleDenseNet:
        return MixedScaleDenseNet(
            num_classes,
            in_channels,
            receptive_field,
            layers,
            growth,
            dilations,
            rates,
            abn_slope,
            align_corners,
            faithful,
            checkpointing,
        )


_variant(
    "mixscale_densenet",
    ("Mixed-scale DenseNet", "MixedScaleDenseNet"),
    receptive_field=False,
    claims=Claims(
        params_m=0.80,
        gmacs=49.9,
        note="claimed MACs come from a counter that ignores dilation, counted rightly they are 30.87 G",
    ),
)
_variant("rf_mixscale_densenet", ("RF-Mixed-scale DenseNet",), receptive_field=True)
