"""STDC (Fan et al., "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021, arXiv 2104.13188): blocks
whose convolutions halve in width and are all kept side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swath.networks.encoders.encoder import Encoder
from swath.networks.parts import ConvNormAct, initialise

# Blocks of the stages at strides 8, 16 and 32.
_BLOCKS = {1: (2, 2, 2), 2: (4, 5, 3)}


class ShortTermDenseConcat(nn.Module):
    """A 1x1 to half the width, 3x3 to a quarter, an eighth and an eighth, all concatenated."""

    def __init__(self, i: int, o: int, stride: int):
        super().__init__()
        self.first = ConvNormAct(i, o // 2, 1)
        self.down = ConvNormAct(o // 2, o // 2, 3, 2, groups=o // 2, act=None) if stride == 2 else None
        self.skip = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()
        self.others = nn.ModuleList(
            [ConvNormAct(o // 2, o // 4, 3), ConvNormAct(o // 4, o // 8, 3), ConvNormAct(o // 8, o // 8, 3)]
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        x = first if self.down is None else self.down(first)
        maps = []
        for each in self.others:
            x = each(x)
            maps.append(x)
        return torch.cat([self.skip(first), *maps], 1)


class STDC(Encoder):
    """Stages: two convolutions (strides 2 and 4), then those of 256, 512 and 1024 channels, which are the maps."""

    def __init__(self, size: int, in_channels: int = 3):
        stages: list[nn.Module] = [ConvNormAct(in_channels, 32, 3, 2), ConvNormAct(32, 64, 3, 2)]
        i = 64
        for o, blocks in zip((256, 512, 1024), _BLOCKS[size]):
            stage = []
            for block in range(blocks):
                stage.append(ShortTermDenseConcat(i, o, stride=2 if block == 0 else 1))
                i = o
            stages.append(nn.Sequential(*stage))
        super().__init__(stages, (2, 3, 4), (256, 512, 1024), (8, 16, 32))
        initialise(self)
