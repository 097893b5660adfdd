"""The context path that BiSeNetV1 and STDC-Seg share: gated maps, merged from stride 32 down to stride 8."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.parts.conv import ConvNormAct


class AttentionRefinement(nn.Module):
    """A 3x3, then each channel times a gate from its average (the paper's ARM)."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.body = ConvNormAct(i, o, 3)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormAct(o, o, 1, act=nn.Sigmoid))

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        y: Tensor = x * self.gate(x)
        return y


class ContextPath(nn.Module):
    """From the maps at strides 16 and 32 to 128 channels at strides 8 and 16, given the size at stride 8."""

    def __init__(self, stride16: int, stride32: int):
        super().__init__()
        self.picture = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormAct(stride32, 128, 1))
        self.refine32 = AttentionRefinement(stride32, 128)
        self.merge32 = ConvNormAct(128, 128, 3)
        self.refine16 = AttentionRefinement(stride16, 128)
        self.merge16 = ConvNormAct(128, 128, 3)

    def forward(self, c3: Tensor, c4: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        picture = self.picture(c4)
        x = self.refine32(c4) + picture
        cp16 = self.merge32(F.interpolate(x, c3.shape[-2:]))
        x = self.refine16(c3) + cp16
        cp8 = self.merge16(F.interpolate(x, size))
        return cp8, cp16
