"""Context blocks in pre-activation order, and the activated batch norm that they are made of.

Each takes a map and answers at `up` times its size; `reduced` of ASPP is wanted by deep supervision too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.parts.conv import conv
from swath.networks.parts.resize import resize_to

Rates = tuple[int, int, int]


def abn(channels: int, slope: float) -> tuple[nn.BatchNorm2d, nn.Module]:
    """Activated batch norm: norm, then leaky ReLU (slope 0: ReLU), to be unpacked into an `nn.Sequential`.

    The activation overwrites the norm's output, never its input; what In-Place ABN saves beyond that, checkpointing
    saves (parts/checkpointing.py).
    """
    act = nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
    return nn.BatchNorm2d(channels), act


def _average(x: Tensor) -> Tensor:
    return x.mean((-2, -1), keepdim=True)


def _spread(x: Tensor, like: Tensor) -> Tensor:
    """A 1x1 map at the size of `like`: what bilinear enlargement would give."""
    return x.expand(-1, -1, like.shape[-2], like.shape[-1])


class ASPP(nn.Module):
    """Image average, 1x1 and three dilated 3x3 branches (after Chen et al., arXiv 1706.05587).

    `ring` pads the last 1x1 convolution by 1 as the authors' code does: a zero border leaks into the edges and the
    content shifts by up to a cell. `separable` makes the 3x3 branches depthwise with a 1x1 after them.
    """

    def __init__(
        self,
        i: int,
        o: int,
        rates: Rates,
        up: int = 2,
        slope: float = 0.1,
        ring: bool = True,
        align_corners: bool = True,
        separable: bool = False,
    ):
        super().__init__()
        self.up, self.align_corners = up, align_corners

        def dilated(rate: int) -> nn.Module:
            if separable:
                return nn.Sequential(conv(i, i, 3, dilation=rate, groups=i), conv(i, o, 1))
            return conv(i, o, 3, dilation=rate)

        self.norm = nn.Sequential(*abn(i, slope))
        self.image = conv(i, o, 1)
        self.branches = nn.ModuleList([conv(i, o, 1), *map(dilated, rates)])
        self.project = nn.Sequential(
            *abn(5 * o, slope),
            nn.Conv2d(5 * o, o, 1, padding=1 if ring else 0, bias=False),
            nn.Dropout2d(0.2),
        )

    def reduced(self, x: Tensor) -> Tensor:
        """The block's answer at the size of `x` (two more rows and columns with the ring)."""
        x = self.norm(x)
        maps = [_spread(self.image(_average(x)), x), *(branch(x) for branch in self.branches)]
        result: Tensor = self.project(torch.cat(maps, 1))
        return result

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`reduced`, and the same enlarged."""
        small = self.reduced(x)
        size = (self.up * x.shape[-2], self.up * x.shape[-1])
        return small, resize_to(small, size, self.align_corners)

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[1]


class RFB(nn.Module):
    """Receptive field block with an image branch (after Liu, Huang, Wang, arXiv 1711.07767).

    Only the first convolution of a branch has a norm before it, as in the authors' code (which meant one before each);
    `all_norms` has them all.
    """

    def __init__(
        self,
        i: int,
        o: int,
        rates: Rates,
        up: int = 2,
        slope: float = 0.1,
        all_norms: bool = False,
        align_corners: bool = True,
    ):
        super().__init__()
        self.up, self.align_corners = up, align_corners
        middle = 3 * (o // 2)

        def branch(*convolutions: nn.Conv2d) -> nn.Sequential:
            layers: list[nn.Module] = []
            for position, convolution in enumerate(convolutions):
                if position == 0 or all_norms:
                    layers.extend(abn(convolution.in_channels, slope))
                layers.append(convolution)
            return nn.Sequential(*layers)

        self.reduce = branch(conv(i, o, 1))
        self.image_norm = nn.Sequential(*abn(o, slope))
        self.image = conv(o, o, 1)
        self.branches = nn.ModuleList([branch(conv(o, o, 1), conv(o, o, 3))])
        for k, rate in zip((3, 5, 7), rates):
            self.branches.append(branch(conv(o, middle, (1, k)), conv(middle, o, (k, 1)), conv(o, o, 3, dilation=rate)))
        self.project = conv(5 * o, o, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        maps = [_spread(self.image(_average(self.image_norm(x))), x), *(branch(x) for branch in self.branches)]
        y: Tensor = self.project(torch.cat(maps, 1)) + x
        return resize_to(y, (self.up * x.shape[-2], self.up * x.shape[-1]), self.align_corners)


class VortexPooling(nn.Module):
    """Averages over growing windows before equally dilated 3x3 convolutions (Xie, Zhou, Wu, arXiv 1804.06242).

    `ring` as in ASPP; the norm comes after it here, so that the border is the norm of zero.
    """

    def __init__(
        self, i: int, o: int, rates: Sequence[int], up: int = 2, ring: bool = True, align_corners: bool = True
    ):
        super().__init__()
        self.up, self.align_corners = up, align_corners
        self.rates = tuple(rates)
        self.image = conv(i, o, 1)
        self.image_norm = nn.BatchNorm2d(o)
        self.branches = nn.ModuleList(
            [nn.Sequential(conv(i, o, 3, dilation=k), nn.BatchNorm2d(o)) for k in (1, *self.rates)]
        )
        self.project = nn.Sequential(
            nn.Conv2d(5 * o, o, 1, padding=1 if ring else 0, bias=False), nn.BatchNorm2d(o), nn.Dropout2d(0.2)
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.image_norm(_spread(self.image(_average(x)), x)), self.branches[0](x)]
        for k, branch in zip(self.rates, self.branches[1:]):
            maps.append(branch(F.avg_pool2d(x, k, 1, k // 2)))
        y: Tensor = self.project(torch.cat(maps, 1))
        return resize_to(y, (self.up * x.shape[-2], self.up * x.shape[-1]), self.align_corners)
