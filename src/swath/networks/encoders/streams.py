"""One encoder for several pictures of the same size: each input has its own first stages, then they are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.encoders.encoder import Encoder
from swath.networks.parts import ConvNormAct, initialise


class Streams(nn.Module):
    """Runs every input up to the second map, joins the results to that map's width, and goes on as one encoder.

    `encoders` has one a stream; the first lends its later stages too. The finest map is that of stream `current`.
    """

    def __init__(self, encoders: Sequence[Encoder], current: int):
        super().__init__()
        whole = encoders[0]
        if not len(whole.stages):
            raise SwathError(f"an encoder of type {type(whole).__name__} cannot be cut into streams; use one input")
        self.channels, self.strides = whole.channels, whole.strides
        self.current = current
        self.depth = whole.taps[1] + 1
        for other in encoders[1:]:
            other.stages = other.stages[: self.depth]
        self.encoders = nn.ModuleList(encoders)
        width = whole.channels[1]
        joined = width * len(encoders)
        self.join = nn.Sequential(
            ConvNormAct(joined, joined, 3, groups=joined, act=None), ConvNormAct(joined, width, 1, act=None)
        )
        initialise(self.join)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        finest, ends = [], []
        for encoder, x in zip(self.encoders, inputs):
            maps = cast(Encoder, encoder).span(x, 0, self.depth)
            finest.append(maps[0])
            ends.append(maps[1])
        x = self.join(torch.cat(ends, 1))
        return [finest[self.current], x, *cast(Encoder, self.encoders[0]).span(x, self.depth)]
