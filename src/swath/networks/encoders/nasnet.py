"""NASNet-A-Mobile, 4 @ 1056 (Zoph, Vasudevan, Shlens, Le, CVPR 2018, arXiv 1707.07012), as its public weights have it.

Those come from TensorFlow: padding is "SAME" (uneven where a stride of 2 meets an even size; never counted in an
average, never a maximum), norms have eps 1e-3, and pictures are expected in -1...1 (mean and deviation 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.encoders.encoder import Encoder
from swath.networks.parts import conv, initialise

# (width, strides) of each cell in order; stem cells are the first two.
_CELLS = ((11, True), (22, True), *[(44, False)] * 4, (88, True), *[(88, False)] * 4, (176, True), *[(176, False)] * 4)


class NASNetMobile(Encoder):
    """Stages: first convolution (0), two stem cells (1, 2), four normal cells (3...6), a reduction cell (7), four
    normal (8...11), reduction (12), four normal (13...16). Maps: the outputs of `taps`, before any ReLU."""

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        output_stride: int = 32,
        taps: Sequence[int] = (0, 1, 6, 11, 16),
    ):
        if output_stride != 32:
            raise SwathError(f"encoder {name}: has output stride 32 only, not {output_stride}")
        stages: list[nn.Module] = [nn.Sequential(nn.Conv2d(in_channels, 32, 3, 2, bias=False), _norm(32))]
        channels, strides = [32], [2]
        for index, (width, halves) in enumerate(_CELLS):
            current, older = channels[-1], channels[-2] if index else None
            shrink = index > 0 and strides[-1] != strides[-2]
            make = Reduction if halves else Normal
            stages.append(make(current, older, width, shrink, stem=index < 2))
            channels.append(width * (4 if halves else 6))
            strides.append(strides[-1] * (2 if halves else 1))
        super().__init__(stages, taps, [channels[tap] for tap in taps], [strides[tap] for tap in taps])
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        older = current = x
        for index, stage in enumerate(self.stages):
            new = stage(current) if index == 0 else stage(current, current if index == 1 else older)
            older, current = current, new
            if index in self.taps:
                maps.append(new)
        return maps


class Cell(nn.Module):
    """Brings the last map and the one before to one width; sums of pairs of operations follow."""

    def __init__(self, current: int, older: int | None, width: int, shrink: bool, stem: bool):
        super().__init__()
        self.stem = stem
        self.current = _adjust(current, width)
        self.older: nn.Module | None = None  # the first cell takes its older input as it is
        if older is not None:
            self.older = FactorisedReduction(older, width) if shrink else _adjust(older, width)

    def inputs(self, current: Tensor, older: Tensor) -> tuple[Tensor, Tensor]:
        if self.stem:  # stem cells begin with the other one
            current = self.current(current)
        older = older if self.older is None else self.older(older)
        return current if self.stem else self.current(current), older


class Normal(Cell):
    """Keeps the size; six times the width comes out."""

    def __init__(self, current: int, older: int | None, width: int, shrink: bool, stem: bool):
        super().__init__(current, older, width, shrink, stem)
        self.left0, self.right0 = _separable(width, width, 5), _separable(width, width, 3)
        self.left1, self.right1 = _separable(width, width, 5), _separable(width, width, 3)
        self.left4 = _separable(width, width, 3)

    def forward(self, current: Tensor, older: Tensor) -> Tensor:
        current, older = self.inputs(current, older)
        b0 = self.left0(current) + self.right0(older)
        b1 = self.left1(older) + self.right1(older)
        b2 = _average(current) + older
        b3 = 2 * _average(older)
        b4 = self.left4(current) + current
        return torch.cat([older, b0, b1, b2, b3, b4], 1)


class Reduction(Cell):
    """Halves the size; four times the width comes out."""

    def __init__(self, current: int, older: int | None, width: int, shrink: bool, stem: bool):
        super().__init__(current, older, width, shrink, stem)
        i = width if older is not None else current
        self.left0, self.right0 = _separable(width, width, 5, 2), _separable(i, width, 7, 2)
        self.right1, self.right2 = _separable(i, width, 7, 2), _separable(i, width, 5, 2)
        self.left4 = _separable(width, width, 3)

    def forward(self, current: Tensor, older: Tensor) -> Tensor:
        current, older = self.inputs(current, older)
        largest = F.max_pool2d(_pad_same(current, 3, -torch.inf), 3, 2)
        b0 = self.left0(current) + self.right0(older)
        b1 = largest + self.right1(older)
        b2 = _halving_average(current) + self.right2(older)
        b3 = _average(b0) + b1
        b4 = self.left4(b0) + largest
        return torch.cat([b1, b2, b3, b4], 1)


class FactorisedReduction(nn.Module):
    """Halves the size by two 1x1 on alternate samples, so that none is lost."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.even, self.odd = conv(i, o // 2, 1), conv(i, o // 2, 1)
        self.norm = _norm(o)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        even = self.even(x[:, :, ::2, ::2])
        odd = self.odd(F.pad(x, (0, 1, 0, 1))[:, :, 1::2, 1::2])
        return self.norm(torch.cat([even, odd], 1))  # type: ignore[no-any-return]


class SamePad(nn.Module):
    """Zeros around a map before a convolution of stride 2."""

    def __init__(self, kernel: int):
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        return _pad_same(x, self.kernel, 0.0)


def _pad_same(x: Tensor, kernel: int, value: float) -> Tensor:
    """TensorFlow's SAME for stride 2 and an odd kernel: one more in front of an odd size.

    Neither a branch nor `%`: as written, tracers see that the padded size is 2 * ceil(n / 2) plus a constant.
    """
    front, back = (kernel - 3) // 2, (kernel - 1) // 2
    height, width = x.shape[-2:]
    top, left = (2 * ((n + 1) // 2) - n + front for n in (height, width))
    return F.pad(x, (left, back, top, back), value=value)


def _halving_average(x: Tensor) -> Tensor:
    """3x3, stride 2, over the real pixels of each window: the share of them corrects the plain average."""
    share = F.avg_pool2d(_pad_same(torch.ones_like(x[:1, :1]), 3, 0.0), 3, 2)
    return F.avg_pool2d(_pad_same(x, 3, 0.0), 3, 2) / share


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _adjust(i: int, o: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), conv(i, o, 1), _norm(o))


def _separable(i: int, o: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, depthwise, 1x1, norm, twice; the first pair strides and changes the width."""
    first = conv(i, i, kernel, groups=i)
    if stride == 2:
        first = nn.Conv2d(i, i, kernel, 2, groups=i, bias=False)
    return nn.Sequential(
        nn.ReLU(),
        SamePad(kernel) if stride == 2 else nn.Identity(),
        first,
        conv(i, o, 1),
        _norm(o),
        nn.ReLU(inplace=True),
        conv(o, o, kernel, groups=o),
        conv(o, o, 1),
        _norm(o),
    )
