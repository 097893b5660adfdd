"""LightNet's wide residual networks with squeeze-and-excitation: the 38-layer trunk of "Wider or Deeper", ASPP on top.

Wu, Shen, van den Hengel, "Wider or Deeper", arXiv 1611.10080, within LightNet (Liu, TU Braunschweig, 2018).
`se_wresnetv2` has one ASPP and one skip; `se_wresnetv1` three ASPP with a score each (deep supervision), and its answer
comes from all three.

The authors' in-place norm overwrites the third stage's map before the decoder reads it, so the skip is the normalised
map; and their ASPP has plain ReLU. `faithful=False` takes the raw map, leaky ReLU, and no zero ring in ASPP.
`blocks` of all ones is their 16-layer trunk, (1, 1, 1, 3, 1, 1) their 20-layer one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.parts import conv
from swath.networks.parts.context import ASPP, Rates, abn
from swath.networks.parts.gates import SE
from swath.networks.parts.lightnet import PROJECT, Cascade, LightNet, initialise_leaky
from swath.networks.registry import Claims, register

# Stages 2 to 7: channels of a block's convolutions, stride of the first block, dilation, dropout.
_STAGES: tuple[tuple[tuple[int, ...], int, int, float], ...] = (
    ((128, 128), 1, 1, 0.0),
    ((256, 256), 1, 1, 0.0),
    ((512, 512), 2, 1, 0.0),
    ((512, 1024), 1, 2, 0.0),
    ((512, 1024, 2048), 1, 4, 0.2),
    ((1024, 2048, 4096), 1, 8, 0.3),
)


class ResidualBlock(nn.Module):
    """Norm first: two 3x3 convolutions, or 1x1, 3x3, 1x1 with dropout and a gate of channels."""

    def __init__(self, i: int, channels: tuple[int, ...], stride: int, dilation: int, dropout: float, slope: float):
        super().__init__()
        o = channels[-1]
        self.norm = nn.Sequential(*abn(i, slope))
        self.shortcut = conv(i, o, 1, stride) if stride != 1 or i != o else None
        if len(channels) == 2:
            self.body = nn.Sequential(
                conv(i, channels[0], 3, stride, dilation),
                *abn(channels[0], slope),
                conv(channels[0], o, 3, dilation=dilation),
            )
        else:
            self.body = nn.Sequential(
                conv(i, channels[0], 1, stride),
                *abn(channels[0], slope),
                conv(channels[0], channels[1], 3, dilation=dilation),
                *abn(channels[1], slope),
                nn.Dropout2d(dropout),
                conv(channels[1], o, 1),
                SE(o, 16),
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.with_normed(x)[0]

    def with_normed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's answer, and its input after the first norm and activation."""
        normed = self.norm(x)
        shortcut = x if self.shortcut is None else self.shortcut(normed)
        return self.body(normed) + shortcut, normed


class SkippedBlock(ResidualBlock):
    """Answers its normalised input too, for the decoder."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self.with_normed(x)


class WideResNet(LightNet):
    """The trunk; children say what stands on it."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        blocks: Sequence[int],
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
    ):
        super().__init__(
            num_classes=num_classes, in_channels=in_channels, align_corners=align_corners, checkpointing=checkpointing
        )
        if len(blocks) != len(_STAGES) or min(blocks) < 1:
            raise SwathError(f"wide residual network: blocks {tuple(blocks)} must be {len(_STAGES)} numbers above 0")
        self.faithful = faithful
        self.stem = conv(in_channels, 64, 3)
        self.stages = nn.ModuleList()
        i = 64
        for number, (channels, stride, dilation, dropout) in enumerate(_STAGES):
            stage = nn.Sequential()
            for block in range(blocks[number]):
                kind = SkippedBlock if number == 2 and block == 0 else ResidualBlock
                stage.append(kind(i, channels, 1 if block else stride, dilation, dropout, abn_slope))
                i = channels[-1]
            self.stages.append(stage)
        self.norm = nn.Sequential(*abn(i, abn_slope))

    def trunk(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of 4096 channels at stride 8, 256 at stride 4, 128 at stride 2."""
        x = self.stem(image)
        fine = middle = x
        for number, stage in enumerate(self.stages):
            if number < 2:
                x = F.max_pool2d(x, 3, 2, 1)
            for block in stage:  # type: ignore[attr-defined]
                x = self.run(block, x)
                if isinstance(block, SkippedBlock):
                    x, normed = x
                    middle = normed if self.faithful else middle
            if number == 0:
                fine = x
            elif number == 1:
                middle = x
        return self.norm(x), middle, fine


class SEWideResNetV2(WideResNet):
    stride = 4

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        blocks: Sequence[int],
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
    ):
        super().__init__(num_classes, in_channels, blocks, abn_slope, align_corners, faithful, checkpointing)
        self.context = ASPP(4096, 512, rates, 2, 0.0 if faithful else abn_slope, faithful, align_corners)
        self.skip = conv(256, 64, 1)
        self.classifier = nn.Conv2d(576, num_classes, 3, padding=1)
        initialise_leaky(self, nn.init.kaiming_uniform_)

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        coarse, middle, _ = self.trunk(image)
        context = self.run(self.context, coarse)
        main: Tensor = self.classifier(torch.cat((context, self.skip(middle)), 1))
        return [main] if self.training else main


class SEWideResNetV1(WideResNet):
    stride = 1

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        blocks: Sequence[int],
        rates: Rates,
        abn_slope: float,
        align_corners: bool,
        faithful: bool,
        checkpointing: bool,
        aux: bool,
    ):
        super().__init__(num_classes, in_channels, blocks, abn_slope, align_corners, faithful, checkpointing)
        self.cascade = Cascade(
            (4096, 256, 128),
            (512, 256, 128),
            rates,
            last_up=2,
            groups=3,
            skip_norms=(nn.Identity(), nn.Identity()),
            num_classes=num_classes,
            slope=abn_slope,
            context_slope=0.0 if faithful else abn_slope,
            ring=faithful,
            align_corners=align_corners,
        )
        if aux:
            self.aux_weights = (1.0, 1.0, 1.0)
        initialise_leaky(self, nn.init.kaiming_uniform_)

    def padded_logits(self, image: Tensor) -> Tensor | list[Tensor]:
        main, *scores = self.run(self.cascade, *self.trunk(image), image)
        return [main, *scores[: len(self.aux_weights)]] if self.training else main


@register(
    "se_wresnetv2",
    paper=PROJECT,
    year=2018,
    stride=4,
    size=(448, 896),
    aliases=("SE-WResNetV2", "SE-Wide-ResNetV2", "SEWiderResNetV2"),
    claims=Claims(miou={"cityscapes val": 80.13, "cityscapes test": 77.15}),
)
def se_wresnetv2(
    num_classes: int,
    in_channels: int,
    blocks: Sequence[int] = (3, 3, 6, 3, 1, 1),
    rates: Rates = (12, 24, 36),
    abn_slope: float = 0.1,
    align_corners: bool = True,
    faithful: bool = True,
    checkpointing: bool = False,
) -> SEWideResNetV2:
    return SEWideResNetV2(num_classes, in_channels, blocks, rates, abn_slope, align_corners, faithful, checkpointing)


@register("se_wresnetv1", paper=PROJECT, year=2018, stride=1, size=(448, 896), aliases=("SEWiderResNetV1",))
def se_wresnetv1(
    num_classes: int,
    in_channels: int,
    blocks: Sequence[int] = (3, 3, 6, 3, 1, 1),
    rates: Rates = (12, 24, 36),
    abn_slope: float = 0.1,
    align_corners: bool = True,
    faithful: bool = True,
    checkpointing: bool = False,
    aux: bool = True,
) -> SEWideResNetV1:
    return SEWideResNetV1(
        num_classes, in_channels, blocks, rates, abn_slope, align_corners, faithful, checkpointing, aux
    )
