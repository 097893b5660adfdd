"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov, Chen, CVPR 2018, arXiv 1801.04381) without its 1280-channel head.

`expand_first` gives the first block the 1x1 that widens by 1, which public weights lack and Light-Weight RefineNet
has. `fast_down` (FD-MobileNet, arXiv 1802.03750) halves the size once more, in the first block.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from swath.networks.encoders.encoder import Encoder, dilate
from swath.networks.parts import ConvNormAct, InvertedResidual, initialise
from swath.networks.parts.conv import Activation

# Stages: expansion, channels, blocks, stride of the first.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(Encoder):
    """Stages: stem (0), then those of the paper's table (1...7). Maps: the linear outputs of stages `taps`."""

    def __init__(
        self,
        width: float = 1.0,
        in_channels: int = 3,
        output_stride: int = 32,
        expand_first: bool = False,
        fast_down: bool = False,
        dilated: bool = True,
        act: Activation = nn.ReLU6,
        taps: Sequence[int] = (1, 2, 3, 5, 7),
    ):
        i = rounded(32 * width)
        stages: list[nn.Module] = [ConvNormAct(in_channels, i, 3, 2, act=act)]
        channels, strides = [i], [2]
        plan = dilate([stride for *_, stride in _STAGES], output_stride)
        for (expand, c, blocks, _), (stride, before, dilation) in zip(_STAGES, plan):
            o = rounded(c * width)
            if fast_down and len(stages) == 1:
                stride = 2
            stage = []
            for block in range(blocks):
                s, d = (stride, before) if block == 0 else (1, dilation)
                stage.append(InvertedResidual(i, o, s, expand, d if dilated else 1, act, expand_always=expand_first))
                i = o
            stages.append(nn.Sequential(*stage))
            channels.append(o)
            strides.append(strides[-1] * stride)
        super().__init__(stages, taps, [channels[tap] for tap in taps], [strides[tap] for tap in taps])
        self.expand_first = expand_first
        initialise(self)


def rounded(channels: float) -> int:
    """The nearest multiple of 8 that is at least 8 and not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
