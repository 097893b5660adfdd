"""Fake quantisers: values pass through the 256 that 8 bits can hold; gradients pass where nothing is clamped.

torchao calls them observers: they stand in the graph where it later puts `quantize` and `dequantize`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from swath.quantise.library import torchao
from swath.quantise.ranges import LEAST, batch_range, follow, power_above, sampled

ObserverBase: Any = torchao().ObserverBase


class Levels(ObserverBase):  # type: ignore[misc]
    """What torchao tells an observer of the levels that it is to fill."""

    def __init__(
        self,
        dtype: torch.dtype,
        quant_min: int,
        quant_max: int,
        qscheme: torch.qscheme,
        power2: bool = False,
        is_dynamic: bool = False,
    ):
        super().__init__(dtype, is_dynamic)
        self.quant_min, self.quant_max, self.qscheme, self.power2 = quant_min, quant_max, qscheme, power2
        self.passing = False  # let values through as they are


class Activations(Levels):
    """A whole tensor has one range, which follows what passes while `tracking`."""

    def __init__(self, *levels: Any, **more: Any):
        super().__init__(*levels, **more)
        self.tracking = False
        self.ends: Tensor
        self.seen: Tensor
        unsigned = self.power2 and self.quant_min == 0
        self.register_buffer("ends", torch.tensor([0.0 if unsigned else -8.0, 8.0]))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        if self.tracking:
            with torch.no_grad():
                self.seen += 1
                self.ends.copy_(follow(self.ends, batch_range(sampled(x.detach())), self.seen))
        return self.rounded(x)

    def rounded(self, x: Tensor) -> Tensor:
        if self.passing:
            return x
        scale, zero = self.calculate_qparams()
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, self.quant_min, self.quant_max)

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        """Step and zero point."""
        levels = self.quant_max - self.quant_min + 1
        low, high = self.ends[0].clamp(max=0), self.ends[1].clamp(min=0)
        if self.power2:
            clip = power_above((high if self.quant_min == 0 else torch.maximum(-low, high)).clamp(min=LEAST))
            return clip / (levels if self.quant_min == 0 else levels // 2), torch.zeros_like(self.seen, dtype=torch.int)
        scale = (high - low).clamp(min=LEAST) / (levels - 1)
        zero = (self.quant_min - torch.round(low / scale)).clamp(self.quant_min, self.quant_max)
        return scale, zero.to(torch.int)


class SameRange(ObserverBase):  # type: ignore[misc]
    """Values that have been moved or picked pass as those they come from; the range has followed them there."""

    def __init__(self, source: Activations):
        super().__init__(source.dtype)
        self.quant_min, self.quant_max, self.qscheme = source.quant_min, source.quant_max, source.qscheme
        self.source = [source]  # in a list: no part of this module

    def forward(self, x: Tensor) -> Tensor:
        return self.source[0].rounded(x)

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        return self.source[0].calculate_qparams()


class Weights(Levels):
    """The range is that of the weights themselves, each time; there is nothing to follow."""

    def __init__(self, *levels: Any, **more: Any):
        super().__init__(*levels, **more)
        self.last: Tensor | None = None  # what passed, for torchao, which asks for the step without the weights

    def forward(self, w: Tensor) -> Tensor:
        self.last = w.detach()
        if self.passing:
            return w
        return self._fake(w, *self.calculate_qparams())

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        assert self.last is not None
        scale = self._scale(self.last)
        return scale, torch.zeros_like(scale, dtype=torch.int)

    def _scale(self, w: Tensor) -> Tensor:
        return self._step(w.abs().amax())

    def _step(self, largest: Tensor) -> Tensor:
        largest = largest.clamp(min=LEAST)
        return power_above(largest) / (self.quant_max + 1) if self.power2 else largest / self.quant_max

    def _fake(self, w: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(w, scale, zero, self.quant_min, self.quant_max)


class PerChannelWeights(Weights):  # torchao looks for "PerChannel" in the name
    """Each output channel has a range of its own."""

    def __init__(self, *rest: Any, ch_axis: int, **more: Any):
        super().__init__(*rest, **more)
        self.ch_axis = ch_axis

    def _scale(self, w: Tensor) -> Tensor:
        each = self._step(w.abs().transpose(0, self.ch_axis).flatten(1).amax(1))
        # By powers of two, no step is finer than a 256th of the one that the whole tensor would have.
        return torch.maximum(each, super()._scale(w) / 256) if self.power2 else each

    def _fake(self, w: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return torch.fake_quantize_per_channel_affine(w, scale, zero, self.ch_axis, self.quant_min, self.quant_max)
