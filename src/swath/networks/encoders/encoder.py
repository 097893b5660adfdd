"""What every encoder is: a chain of stages, some of which are tapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


class Encoder(nn.Module):
    """Runs `stages` one after the other and answers the outputs of those whose index is in `taps`, finest first.

    `channels` and `strides` describe the answered maps. Families that put something between two stages, or run only
    the first ones, walk `stages` themselves or call `span`. Any input size works: each halving gives ceil(n / 2).
    """

    def __init__(
        self, stages: Iterable[nn.Module], taps: Sequence[int], channels: Sequence[int], strides: Sequence[int]
    ):
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.taps = tuple(taps)
        self.channels = tuple(channels)
        self.strides = tuple(strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.span(x, 0)

    def span(self, x: Tensor, first: int, end: int | None = None) -> list[Tensor]:
        """The maps that stages `first` to `end` (not included) add, given the output of the stage before."""
        maps = []
        for index, stage in enumerate(list(self.stages)[first:end], first):
            x = stage(x)
            if index in self.taps:
                maps.append(x)
        return maps


def dilate(strides: Sequence[int], output_stride: int, start: int = 2) -> list[tuple[int, int, int]]:
    """(stride, dilation of the first block, dilation of the others) of each stage, given the strides it would have.

    Once `output_stride` is reached, a stage dilates instead of striding. Its first block keeps the dilation of the
    stage before: it still sees samples that nobody thinned out. `start` is the stride in front of the first stage.
    """
    plan = []
    dilation = 1
    for stride in strides:
        before = dilation
        if start * stride > output_stride:
            dilation *= stride
            stride = 1
        start *= stride
        plan.append((stride, before, dilation))
    return plan
