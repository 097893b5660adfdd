"""RegNetX (Radosavovic, Kosaraju, Girshick, He, Dollar, "Designing Network Design Spaces", CVPR 2020,
arXiv 2003.13678): bottlenecks that do not narrow, whose 3x3 works in groups of one fixed width."""

from __future__ import annotations

from torch import Tensor, nn

from swath.networks.encoders.encoder import Encoder, dilate
from swath.networks.parts import ConvNormAct, initialise

# Group width, blocks and channels of the four stages. 400MF ends at 384 as in the paper (torchvision's has 400).
_SIZES = {
    "400mf": (16, (1, 2, 7, 12), (32, 64, 160, 384)),
    "800mf": (16, (1, 3, 7, 5), (64, 128, 288, 672)),
    "1p6gf": (24, (2, 4, 10, 2), (72, 168, 408, 912)),
    "3p2gf": (48, (2, 6, 15, 2), (96, 192, 432, 1008)),
}


class Block(nn.Module):
    """1x1, grouped 3x3, 1x1, all of the same width; plus the input or its projection; ReLU."""

    def __init__(self, i: int, o: int, stride: int, dilation: int, group_width: int):
        super().__init__()
        self.body = nn.Sequential(
            ConvNormAct(i, o, 1),
            ConvNormAct(o, o, 3, stride, dilation, groups=o // group_width),
            ConvNormAct(o, o, 1, act=None),
        )
        self.projection = ConvNormAct(i, o, 1, stride, act=None) if stride != 1 or i != o else None
        self.activate = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return self.activate(y + (x if self.projection is None else self.projection(x)))  # type: ignore[no-any-return]


class RegNetX(Encoder):
    """Stages: stem and the paper's four; all are maps. `dilated=False` drops the last strides without dilating."""

    def __init__(self, size: str, in_channels: int = 3, output_stride: int = 32, dilated: bool = True):
        group_width, depths, widths = _SIZES[size]
        i = 32
        stages: list[nn.Module] = [ConvNormAct(in_channels, i, 3, 2)]
        strides = [2]
        plan = dilate((2, 2, 2, 2), output_stride)
        for o, blocks, (stride, before, dilation) in zip(widths, depths, plan):
            stage = []
            for block in range(blocks):
                s, d = (stride, before) if block == 0 else (1, dilation)
                stage.append(Block(i, o, s, d if dilated else 1, group_width))
                i = o
            stages.append(nn.Sequential(*stage))
            strides.append(strides[-1] * stride)
        super().__init__(stages, range(5), (32, *widths), strides)
        self.group_width = group_width
        initialise(self)
