"""LightNet's dual path network: residual and dense paths side by side, shuffled groups, three ASPP with a score each.

Chen et al., "Dual Path Networks", NIPS 2017, arXiv 1707.01629, with ShuffleNet's shuffles and squeeze-and-excitation,
within LightNet (Liu, TU Braunschweig, 2018).

The authors' code leaves plain ReLU after the trunk and pads the last convolution of each ASPP; `faithful=False` mends
both. `small` (a 3x3 stem, a quarter of the residual channels) fails in their code, where the decoder's widths are
constants; here they follow the trunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.parts import conv
from swath.networks.parts.context import Rates, abn
from swath.networks.parts.gates import SE
from swath.networks.parts.lightnet import PROJECT, Cascade, LightNet, initialise_leaky, shuffle
from swath.networks.registry import register

_GROUPS = 4
# Stages: blocks, residual channels, inner channels, dense channels a block, stride of the first, dilations.
_STAGES = (
    (3, 256, 96, 16, 1, (1,) * 3),
    (4, 512, 192, 32, 2, (1,) * 4),
    (20, 1024, 384, 24, 2, (1,) * 10 + (2,) * 10),
    (3, 2048, 768, 128, 1, (4,) * 3),
)


class DualPathBlock(nn.Module):
    """A pair (residual, dense) becomes the next one; `opens` a stage: both are made anew from their concatenation."""

    def __init__(self, i: int, c: int, inner: int, more: int, stride: int, dilation: int, opens: bool, slope: float):
        super().__init__()
        self.c = c
        self.project = (
            nn.Sequential(*abn(i, slope), conv(i, c + 2 * more, 1, stride, groups=_GROUPS)) if opens else None
        )
        self.narrow = nn.Sequential(*abn(i, slope), conv(i, inner, 1, groups=_GROUPS))
        self.widen = nn.Sequential(
            *abn(inner, slope),
            conv(inner, inner, 3, stride, dilation, groups=inner),
            *abn(inner, slope),
            conv(inner, c + more, 1, groups=_GROUPS),
            SE(c + more, 16),
            nn.Dropout2d(0.2),
        )

    def forward(self, *pair: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat(pair, 1) if len(pair) > 1 else pair[0]
        if self.project is not None:
            projected = shuffle(self.project(x), _GROUPS)
            residual, dense = projected[:, : self.c], projected[:, self.c :]
        else:
            residual, dense = pair
        y = shuffle(self.widen(shuffle(self.narrow(x), _GROUPS)), _GROUPS)
        return residual + y[:, : self.c], torch.cat((dense, y[:, self.c :]), 1)


class SEDPShuffleNet(LightNet):
    stride = 1
    multiple = 16

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        small: bool,
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
        aux: bool,
    ):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, align_corners=align_corners, checkpointing=checkpointing
        )
        self.stem = nn.Sequential(
            conv(in_channels, 64, 3 if small else 7, 2), *abn(64, abn_slope), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.ModuleList()
        i, widths = 64, []
        for blocks, residual, inner, more, stride, dilations in _STAGES:
            c = residual // 4 if small else residual
            stage = nn.Sequential()
            for block in range(blocks):
                opens = block == 0
                stage.append(
                    DualPathBlock(i, c, inner, more, stride if opens else 1, dilations[block], opens, abn_slope)
                )
                i = c + (3 + block) * more
            self.stages.append(stage)
            widths.append(i)
        self.norm = nn.Sequential(*abn(i, 0.0 if faithful else abn_slope))
        self.cascade = Cascade(
            (widths[3], widths[1], widths[0]),
            (512, 256, 128),
            rates,
            last_up=4,
            groups=2,
            skip_norms=(nn.Sequential(*abn(widths[1], abn_slope)), nn.Sequential(*abn(widths[0], abn_slope))),
            num_classes=num_classes,
            slope=abn_slope,
            context_slope=abn_slope,
            ring=faithful,
            align_corners=align_corners,
        )
        if aux:
            self.aux_weights = (1.0, 1.0, 1.0)
        initialise_leaky(self, nn.init.kaiming_uniform_)

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        pair: tuple[Tensor, ...] = (self.run(self.stem, image),)
        maps = []
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                pair = self.run(block, *pair)
            maps.append(torch.cat(pair, 1))
        main, *scores = self.run(self.cascade, self.norm(maps[3]), maps[1], maps[0], image)
        return [main, *scores[: len(self.aux_weights)]] if self.training else main


@register(
    "se_dpshufflenet",
    paper=PROJECT,
    year=2018,
    stride=1,
    size=(448, 896),
    aliases=("SE-DPShuffleNet", "SEDPNShuffleNet"),
)
def se_dpshufflenet(
    num_classes: int,
    in_channels: int,
    small: bool = False,
    rates: Rates = (6, 12, 18),
    abn_slope: float = 0.1,
    align_corners: bool = True,
    faithful: bool = True,
    checkpointing: bool = False,
    aux: bool = True,
) -> SEDPShuffleNet:
    return SEDPShuffleNet(
        num_classes, in_channels, small, rates, abn_slope, align_corners, faithful, checkpointing, aux
    )
