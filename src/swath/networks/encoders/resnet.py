"""ResNet (He, Zhang, Ren, Sun, CVPR 2016, arXiv 1512.03385), in the layout of the public weights: a bottleneck's
stride is in its 3x3 ("v1.5"), not in its first 1x1 as in the paper.

`stem="deep"` (64, 64, 128) and `"deep32"` (32, 32, 64) put three 3x3 in place of the 7x7. `projection_first` runs a
block's shortcut before its main path; the answers are the same.
"""

from __future__ import annotations

from torch import Tensor, nn

from swath.errors import unknown
from swath.networks.encoders.encoder import Encoder, dilate
from swath.networks.parts import ConvNormAct, conv, initialise

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_DEEP_STEMS = {"deep": (64, 64, 128), "deep32": (32, 32, 64)}  # three 3x3 in place of the 7x7


class Block(nn.Module):
    """Main path plus shortcut, then ReLU. The shortcut is a 1x1 with norm where stride or width change."""

    def __init__(self, body: nn.Sequential, i: int, o: int, stride: int, projection_first: bool = False):
        super().__init__()
        self.body = body
        self.projection = ConvNormAct(i, o, 1, stride, act=None) if stride != 1 or i != o else None
        self.projection_first = projection_first
        self.activate = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.projection is None:
            y = self.body(x) + x
        elif self.projection_first:
            shortcut = self.projection(x)
            y = shortcut + self.body(x)
        else:
            y = self.body(x)
            y = y + self.projection(x)
        return self.activate(y)  # type: ignore[no-any-return]


def basic(
    i: int, planes: int, stride: int = 1, first_dilation: int = 1, dilation: int = 1, projection_first: bool = False
) -> Block:
    """Two 3x3: the block of ResNet-18 and 34."""
    body = nn.Sequential(
        ConvNormAct(i, planes, 3, stride, first_dilation), ConvNormAct(planes, planes, 3, 1, dilation, act=None)
    )
    return Block(body, i, planes, stride, projection_first)


def bottleneck(i: int, planes: int, stride: int = 1, dilation: int = 1, projection_first: bool = False) -> Block:
    """1x1, 3x3, 1x1 to four times the width: the block of ResNet-50 and deeper."""
    body = nn.Sequential(
        ConvNormAct(i, planes, 1),
        ConvNormAct(planes, planes, 3, stride, dilation),
        ConvNormAct(planes, planes * 4, 1, act=None),
    )
    return Block(body, i, planes * 4, stride, projection_first)


class ResNet(Encoder):
    """ResNet-18 to 152. Stages: stem, max pool, and the four layers; maps: stem (c1) and layers (c2...c5)."""

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        output_stride: int = 32,
        stem: str = "plain",
        projection_first: bool = False,
    ):
        if stem not in ("plain", "bare", *_DEEP_STEMS):
            raise unknown("stem of a ResNet", stem, ("plain", "bare", *_DEEP_STEMS))
        widths = (64, 128, 256, 512)
        i = _DEEP_STEMS[stem][-1] if stem in _DEEP_STEMS else 64
        stages: list[nn.Module] = [_stem(stem, in_channels), nn.MaxPool2d(3, 2, 1)]
        channels, strides = [i], [2]
        for planes, blocks, (stride, before, dilation) in zip(
            widths, _BLOCKS[depth], dilate((1, 2, 2, 2), output_stride, start=4)
        ):
            layer = []
            for block in range(blocks):
                s, d = (stride, before) if block == 0 else (1, dilation)
                if depth < 50:
                    layer.append(basic(i, planes, s, d, dilation, projection_first))
                    i = planes
                else:
                    layer.append(bottleneck(i, planes, s, d, projection_first))
                    i = planes * 4
            stages.append(nn.Sequential(*layer))
            channels.append(i)
            strides.append(max(strides[-1], 4) * stride)
        super().__init__(stages, (0, 2, 3, 4, 5), channels, strides)
        self.depth = depth
        initialise(self)


def _stem(kind: str, in_channels: int) -> nn.Sequential:
    if kind == "plain":
        return ConvNormAct(in_channels, 64, 7, 2)
    if kind == "bare":  # the 7x7 with neither norm nor ReLU
        return nn.Sequential(conv(in_channels, 64, 7, 2))
    a, b, c = _DEEP_STEMS[kind]
    return nn.Sequential(ConvNormAct(in_channels, a, 3, 2), ConvNormAct(a, b, 3), ConvNormAct(b, c, 3))
