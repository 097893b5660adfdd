"""Squeeze-and-excitation gates. Their fully connected layers are 1x1 convolutions on a 1x1 map."""

from __future__ import annotations

from torch import Tensor, nn


def _channel_gate(channels: int, reduction: int, act: nn.Module) -> nn.Sequential:
    hidden = max(1, channels // reduction)
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), act, nn.Conv2d(hidden, channels, 1), nn.Sigmoid())


class SE(nn.Module):
    """Each channel times a gate from its average (Hu, Shen, Sun, arXiv 1709.01507), with a leaky ReLU inside."""

    def __init__(self, channels: int, reduction: int = 16, slope: float = 0.1):
        super().__init__()
        self.channel = _channel_gate(channels, reduction, nn.LeakyReLU(slope))

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.channel(x.mean((-2, -1), keepdim=True))
        return x * gate


class SCSE(nn.Module):
    """Gates of channels and of places (Roy, Navab, Wachinger, arXiv 1803.02579), added; `product` multiplies them."""

    def __init__(self, channels: int, reduction: int = 16, product: bool = False):
        super().__init__()
        self.channel = _channel_gate(channels, reduction, nn.ReLU())
        self.spatial = nn.Sequential(nn.Conv2d(channels, 1, 1, bias=False), nn.Sigmoid())
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        channel: Tensor = self.channel(x.mean((-2, -1), keepdim=True))
        spatial: Tensor = self.spatial(x)
        return x * channel * spatial if self.product else x * channel + x * spatial
