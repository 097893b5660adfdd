"""From bytes to what a network was trained on: a field of every model, saved with it, baked into every export."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from swath.errors import SwathError

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Preprocess:
    """`(pixel * scale - mean) / std` a channel. `order` is what the network sees; callers always hand over RGB."""

    mean: tuple[float, ...] = _IMAGENET[0]
    std: tuple[float, ...] = _IMAGENET[1]
    scale: float = 1 / 255
    order: str = "RGB"
    multiple: int = 1  # sides are padded at the right and bottom to a multiple of this, and the answer is cut back

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise SwathError(f"preprocess: {len(self.mean)} means, {len(self.std)} deviations; give one a channel")
        if min(self.std) <= 0 or self.scale <= 0 or self.multiple < 1:
            raise SwathError("preprocess: std and scale must be above 0, multiple 1 or more")
        if self.order not in ("RGB", "BGR") or (self.order == "BGR" and len(self.mean) != 3):
            raise SwathError(f"preprocess: order '{self.order}', {len(self.mean)} channels; use RGB, or BGR of 3")

    @classmethod
    def imagenet(cls, channels: int = 3) -> Preprocess:
        """ImageNet's statistics, for pictures of `channels`."""
        return cls.rgb(*_IMAGENET, channels)

    @classmethod
    def rgb(cls, mean: tuple[float, ...], std: tuple[float, ...], channels: int = 3) -> Preprocess:
        """Statistics of RGB; grey gets their average, channels beyond RGB the middle of the range."""
        if channels == 1:
            return cls((sum(mean) / 3,), (sum(std) / 3,))
        extra = max(0, channels - 3)
        return cls(mean[:channels] + (0.5,) * extra, std[:channels] + (0.25,) * extra)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocess:
        """The inverse of `as_dict` (JSON has lists where we have tuples)."""
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def module(self) -> Normalise:
        """The same as a module with its constants as buffers: moves to a device once, goes into exported graphs."""
        return Normalise(self)

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (or float 0-255) RGB pixels N x C x H x W -> what the network takes."""
        result: Tensor = self.module().to(pixels.device)(pixels)
        return result


class Normalise(nn.Module):
    """One multiply and one add a value: the scale, mean and deviation are folded into two constants a channel."""

    gain: Tensor
    offset: Tensor

    def __init__(self, preprocess: Preprocess):
        super().__init__()
        mean = torch.tensor(preprocess.mean, dtype=torch.float64)
        std = torch.tensor(preprocess.std, dtype=torch.float64)
        self.reverse = preprocess.order == "BGR"
        self.register_buffer("gain", (preprocess.scale / std).float().reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("offset", (-mean / std).float().reshape(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        values = pixels.to(self.gain.dtype)
        if self.reverse:
            values = values.flip(1)
        return values * self.gain + self.offset
