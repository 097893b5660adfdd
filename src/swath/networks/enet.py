"""ENet: narrow bottlenecks, early downsampling, and a small decoder that puts maxima back where they were.

Paszke, Chaurasia, Kim, Culurciello, "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation",
2016, arXiv 1606.02147.

Otherwise than in the paper, after a public implementation: the initial norm acts on the convolution alone, the 1x1 of
a downsampling block does not stride and its 3x3 does, a PReLU has one slope a layer and stands in the decoder too, and
a 1x1 at half size takes the place of the last transposed convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.base import Network
from swath.networks.parts import ConvNormAct, crop_to, initialise
from swath.networks.registry import Claims, register

# Dilations of stages 2 and 3; 0 is the block with 1x5 and 5x1.
_MIDDLE = (1, 2, 0, 4, 1, 8, 0, 16)


class ENet(Network):
    """Encoder to stride 8 in three stages, decoder to stride 2 in two."""

    stride = 2
    deepest = 8
    align_corners = True

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        if in_channels > 15:
            raise SwathError(f"enet: its first layer has 16 channels, too few for {in_channels} inputs; 15 at most")
        self.initial = Initial(in_channels, 16)
        self.down1 = Down(16, 64, 0.01)
        self.stage1 = nn.Sequential(*[Regular(64, 1, 0.01) for _ in range(4)])
        self.down2 = Down(64, 128, 0.1)
        self.stage2 = nn.Sequential(*[Regular(128, dilation, 0.1) for dilation in _MIDDLE])
        self.stage3 = nn.Sequential(*[Regular(128, dilation, 0.1) for dilation in _MIDDLE])
        self.up4 = Up(128, 64)
        self.stage4 = nn.Sequential(*[Regular(64, 1, 0.1) for _ in range(2)])
        self.up5 = Up(64, 16)
        self.stage5 = Regular(16, 1, 0.1)
        self.classifier = nn.Conv2d(16, num_classes, 1)
        initialise(self)

    def forward_logits(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        (image,) = inputs
        half = self.initial(image)
        quarter, corner1 = self.down1(half)
        quarter = self.stage1(quarter)
        x, corner2 = self.down2(quarter)
        x = self.stage3(self.stage2(x))
        x = self.stage4(self.up4(x, corner2, quarter))
        x = self.stage5(self.up5(x, corner1, half))
        main: Tensor = self.classifier(x)
        return [main] if self.training else main


class Initial(nn.Module):
    """A strided 3x3 beside a 2x2 max pooling of the image."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.conv = ConvNormAct(i, o - i, 3, 2, act=None)
        self.activate = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat((self.conv(x), F.max_pool2d(x, 2, ceil_mode=True)), 1)
        return self.activate(y)  # type: ignore[no-any-return]


class Regular(nn.Module):
    """Narrow to a quarter, a 3x3 (dilation 0: a 1x5 and a 5x1), widen; added to the input."""

    def __init__(self, channels: int, dilation: int, dropout: float):
        super().__init__()
        w = channels // 4
        if dilation:
            middle = [ConvNormAct(w, w, 3, dilation=dilation, act=nn.PReLU)]
        else:
            middle = [ConvNormAct(w, w, (1, 5), act=None), ConvNormAct(w, w, (5, 1), act=nn.PReLU)]
        self.body = nn.Sequential(
            ConvNormAct(channels, w, 1, act=nn.PReLU),
            *middle,
            ConvNormAct(w, channels, 1, act=None),
            nn.Dropout2d(dropout),
        )
        self.activate = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activate(self.body(x) + x)  # type: ignore[no-any-return]


class Down(nn.Module):
    """Half the size; added to the maxima of the input, with zeros for the channels that it lacks."""

    def __init__(self, i: int, o: int, dropout: float):
        super().__init__()
        w = i // 4
        self.body = nn.Sequential(
            ConvNormAct(i, w, 1, act=nn.PReLU),
            ConvNormAct(w, w, 3, 2, act=nn.PReLU),
            ConvNormAct(w, o, 1, act=None),
            nn.Dropout2d(dropout),
        )
        self.more = o - i
        self.activate = nn.PReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The smaller map, and which corner of its 2x2 each maximum came from."""
        y = self.body(x)
        maxima, corner = max_pool_with_corner(x)
        return self.activate(y + F.pad(maxima, (0, 0, 0, 0, 0, self.more))), corner


class Up(nn.Module):
    """Twice the size, in the shape of the encoder's map; added to a projection whose values go back to the corners."""

    def __init__(self, i: int, o: int):
        super().__init__()
        w = i // 4
        self.deconv = nn.Sequential(
            ConvNormAct(i, w, 1, act=nn.PReLU),
            nn.ConvTranspose2d(w, w, 3, 2, 1, output_padding=1, bias=False),
            nn.BatchNorm2d(w),
            nn.PReLU(),
        )
        self.widen = nn.Sequential(ConvNormAct(w, o, 1, act=nn.PReLU), nn.Dropout2d(0.1))
        self.project = ConvNormAct(i, o, 1, act=None)
        self.activate = nn.PReLU()

    def forward(self, x: Tensor, corner: Tensor, like: Tensor) -> Tensor:
        size = (like.shape[-2], like.shape[-1])
        y = self.widen(crop_to(self.deconv(x), size))
        return self.activate(y + crop_to(unpool(self.project(x), corner), size))  # type: ignore[no-any-return]


def max_pool_with_corner(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 maxima, and N x C x 4 x H/2 x W/2 with True where the maximum was: upper left, right, lower left, right."""
    width = x.shape[-1]
    maxima, index = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    rows = torch.arange(maxima.shape[-2], device=x.device).unsqueeze(1)
    columns = torch.arange(maxima.shape[-1], device=x.device)
    step = index - (rows * (2 * width) + columns * 2)
    return maxima, torch.stack((step == 0, step == 1, step == width, step == width + 1), 2)


def unpool(x: Tensor, corner: Tensor) -> Tensor:
    """Each value in its corner of a 2x2, zeros beside it: max unpooling that is deterministic and that ONNX has."""
    return F.pixel_shuffle((x.unsqueeze(2) * corner).flatten(1, 2), 2)


@register(
    "enet",
    paper="https://arxiv.org/abs/1606.02147",
    year=2016,
    stride=2,
    size=(512, 1024),
    claims=Claims(params_m=0.37),
)
def enet(num_classes: int, in_channels: int) -> ENet:
    return ENet(num_classes, in_channels)
