"""What ERFNet, ESNet and LEDNet share: convolutions split into strips, and how they halve and double maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.parts.conv import conv
from swath.networks.parts.resize import crop_to


def strips(
    channels: int, kernel: int = 3, dilation: int = 1, tall_first: bool = True, eps: float = 1e-5, bias: bool = True
) -> tuple[nn.Module, ...]:
    """kernel x 1, ReLU, 1 x kernel, norm (or the wide strip first), to be unpacked into an `nn.Sequential`."""
    tall = conv(channels, channels, (kernel, 1), dilation=(dilation, 1), bias=bias)
    wide = conv(channels, channels, (1, kernel), dilation=(1, dilation), bias=bias)
    first, second = (tall, wide) if tall_first else (wide, tall)
    return first, nn.ReLU(inplace=True), second, nn.BatchNorm2d(channels, eps=eps)


class ConvPoolDown(nn.Module):
    """Half the size, ceil(n / 2): a strided 3x3 beside a 2x2 max pooling, then norm and ReLU."""

    def __init__(self, i: int, o: int, eps: float = 1e-5):
        super().__init__()
        if i >= o:
            raise SwathError(f"a first layer of {o} channels is too small for {i} input channels; {o - 1} at most")
        self.conv = conv(i, o - i, 3, 2, bias=True)
        self.norm = nn.BatchNorm2d(o, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(torch.cat((self.conv(x), F.max_pool2d(x, 2, ceil_mode=True)), 1)))


class DeconvUp(nn.Module):
    """Twice the size, cut to that of the encoder at this stride: transposed 3x3, norm, ReLU."""

    def __init__(self, i: int, o: int, eps: float = 1e-5):
        super().__init__()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(i, o, 3, 2, 1, output_padding=1), nn.BatchNorm2d(o, eps=eps), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return crop_to(self.body(x), size)
