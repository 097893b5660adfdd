"""LightNet's ShuffleNet networks: ShuffleNet v1, dilated to stride 8, its stages gathered, and a context block.

Zhang, Zhou, Lin, Sun, "ShuffleNet", CVPR 2018, arXiv 1707.01083, within LightNet (Liu, TU Braunschweig, 2018). Its
authors call them ShuffleNetV2Plus, but the units are those of the first version.

For one group the last stage has 576 channels as in the paper (567 in the authors' code, a slip that no quarter fits).
`faithful=False` mends the zero ring of ASPP and the norms that the receptive field block lost.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.parts import conv, initialise, resize_as
from swath.networks.parts.context import ASPP, RFB, Rates
from swath.networks.parts.gates import SCSE
from swath.networks.parts.lightnet import PROJECT, LightNet, head, initialise_gates, shuffle
from swath.networks.registry import Claims, register

# Channels of the three stages by number of groups.
_WIDTHS = {
    1: (144, 288, 576),
    2: (200, 400, 800),
    3: (240, 480, 960),
    4: (272, 544, 1088),
    8: (384, 768, 1536),
}


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; all its convolutions have a bias.

    It adds its input, or, where the width changes, stands beside the pooled input: at half the size (`stride` 2), or
    enlarged again to the same size.
    """

    def __init__(self, i: int, o: int, groups: int, stride: int, dilation: int, first_groups: int, align_corners: bool):
        super().__init__()
        self.groups, self.stride, self.align_corners = groups, stride, align_corners
        self.adds = i == o
        inner = o // 4
        self.narrow = nn.Sequential(
            conv(i, inner, 1, groups=first_groups, bias=True), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)
        )
        self.widen = nn.Sequential(
            conv(inner, inner, 3, stride, dilation, groups=inner, bias=True),
            nn.BatchNorm2d(inner),
            conv(inner, o if self.adds else o - i, 1, groups=groups, bias=True),
            nn.BatchNorm2d(o if self.adds else o - i),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.widen(shuffle(self.narrow(x), self.groups))
        if self.adds:
            return F.relu(x + y)
        shortcut = F.avg_pool2d(x, 3, 2, 1)
        if self.stride == 1:
            shortcut = resize_as(shortcut, x, self.align_corners)
        return F.relu(torch.cat((shortcut, y), 1))


class ShuffleNetPlus(LightNet):
    stride = 4
    multiple = 16  # the second and third stage halve their input for the shortcut

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        receptive_field: bool,
        groups: int,
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
    ):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, align_corners=align_corners, checkpointing=checkpointing
        )
        if groups not in _WIDTHS:
            raise SwathError(f"shufflenetplus: groups {groups} is none of {', '.join(map(str, _WIDTHS))}")
        self.stem = conv(in_channels, 24, 3, 2, bias=True)
        self.stages = nn.ModuleList()
        i = 24
        for o, blocks, stride, dilations in zip(_WIDTHS[groups], (4, 8, 4), (2, 1, 1), ((1, 2), (4, 4), (8, 8))):
            first = ShuffleUnit(i, o, groups, stride, dilations[0], 1 if i == 24 else groups, align_corners)
            rest = [ShuffleUnit(o, o, groups, 1, dilations[1], groups, align_corners) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            i = o
        together = sum(_WIDTHS[groups]) + 2 * 24
        self.gate = SCSE(together)
        self.context: nn.Module
        if receptive_field:
            self.context = RFB(together, 256, rates, 2, abn_slope, not faithful, align_corners)
        else:
            self.context = ASPP(together, 256, rates, 2, abn_slope, faithful, align_corners)
        self.detail_gate = SCSE(256 + 2 * 24)
        self.head = head(256 + 2 * 24, num_classes, abn_slope)
        initialise(self)
        initialise_gates(self, 0.001)

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        stem = self.stem(image)
        x = pooled = F.max_pool2d(stem, 3, 2, 1)
        maps = []
        for stage in self.stages:
            for unit in stage:  # type: ignore[attr-defined]
                x = self.run(unit, x)
            maps.append(x)
        averaged = F.avg_pool2d(stem, 3, 2, 1)
        together = torch.cat((*maps, F.avg_pool2d(averaged, 3, 2, 1), F.max_pool2d(pooled, 3, 2, 1)), 1)
        context = self.run(self.context, self.run(self.gate, together))
        joined = self.run(self.detail_gate, torch.cat((context, pooled, averaged), 1))
        main: Tensor = self.run(self.head, joined)
        return [main] if self.training else main


def _variant(name: str, aliases: tuple[str, ...], receptive_field: bool, claims: Claims | None = None) -> None:
    @register(name, paper=PROJECT, year=2018, stride=4, size=(448, 896), aliases=aliases, claims=claims)
    def build(
        num_classes: int,
        in_channels: int,
        groups: int = 3,
        rates: Rates = (12, 24, 36),
        abn_slope: float = 0.1,
        align_corners: bool = True,
        faithful: bool = True,
        checkpointing: bool = False,
    ) -> ShuffleNetPlus:
        return ShuffleNetPlus(
            num_classes, in_channels, receptive_field, groups, rates, abn_slope, align_corners, faithful, checkpointing
        )


_variant(
    "shufflenetplus",
    ("ShuffleNetV2Plus",),
    receptive_field=False,
    claims=Claims(
        params_m=15.3,
        gmacs=229.3,
        note="claimed MACs come from a counter that ignores dilation, counted rightly they are 106.49 G",
    ),
)
_variant("rf_shufflenetplus", ("RFShuffleNetPlus", "RFShuffleNetV2Plus"), receptive_field=True)
