"""How a picture is shown to a network: at which sizes, mirrored too or not, whole or window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from swath.errors import SwathError

Size = tuple[int, int]  # height, width

_OVERLAP = 2 / 3  # of windows: the stride as a share of the window, where none is given
_MOST = 64  # pixels of an enlarged picture for one of its own
_LARGEST = 2**25  # pixels of a picture that a short side enlarged


@dataclass(frozen=True, kw_only=True)
class Views:
    """Every view of a picture is answered by itself; the answers are averaged at the picture's own size.

    `size` is what every picture is resized to first, `short_side` the same for its shorter side, the shape being kept;
    `scales` multiply that (or the picture's own size). `as_learnt`: where the weights say at which short side they
    learnt what things look like, that one. Windows that would stand out at the right and bottom are moved inside; where
    several see a pixel, each counts as much.
    """

    size: Size | None = None
    short_side: int | None = None
    as_learnt: bool = False
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: Size | None = None
    stride: Size | None = None  # from one window to the next; None: two thirds of the window
    average: Literal["probabilities", "logits"] = "probabilities"

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= math.sqrt(_MOST) for scale in self.scales):
            raise SwathError(f"scales {list(self.scales)}: give one or more numbers above 0, of at most 8")
        if self.stride is not None and self.window is None:
            raise SwathError("a stride is that of windows; give their size too")
        if self.short_side is not None and (self.size is not None or self.short_side < 1):
            raise SwathError(f"short side {self.short_side}: give 1 or more, and no size beside it")
        if self.as_learnt and (self.size is not None or self.short_side is not None):
            raise SwathError("pictures are shown as the network learnt, or at a size or a short side: give one of them")
        for name, size in (("size", self.size), ("window", self.window), ("stride", self.stride)):
            if size is not None and min(size) < 1:
                raise SwathError(f"{name} {size[1]}x{size[0]}: both sides must be 1 or more")
        if self.window and self.stride and any(step > side for step, side in zip(self.stride, self.window)):
            raise SwathError(
                f"stride {self.stride[1]}x{self.stride[0]} is larger than the window "
                f"{self.window[1]}x{self.window[0]}: pixels between windows would get no answer"
            )

    @property
    def several(self) -> bool:
        """Whether pixels may be answered more than once."""
        return self.flip or len(self.scales) > 1 or self.window is not None

    @property
    def plain(self) -> bool:
        """Whether the network sees each picture once and as it is."""
        return self == Views()

    def settled(self, learnt: int | None) -> Views:
        """The same for weights that learnt at this short side, if they say so."""
        return replace(self, as_learnt=False, short_side=learnt) if self.as_learnt else self

    def sizes(self, height: int, width: int) -> list[Size]:
        """The sizes at which a picture is shown."""
        factor = 1.0 if self.short_side is None else self.short_side / min(height, width)
        tall, wide = self.size or (height * factor, width * factor)
        sizes = [(max(1, round(tall * scale)), max(1, round(wide * scale))) for scale in self.scales]
        if factor > 1:
            self._check_growth(height, width, max(sizes))
        return sizes

    def _check_growth(self, height: int, width: int, size: Size) -> None:
        """A line of one pixel, enlarged until it is as wide as a street, fills any memory."""
        if math.prod(size) > _LARGEST:
            raise SwathError(
                f"a picture of {width}x{height} would be shown at {size[1]}x{size[0]}, its short side being "
                f"{self.short_side}: that is too much; show it at another --size or --short-side"
            )

    def starts(self, shown: Size) -> tuple[list[int], list[int]]:
        """Where windows begin, along rows and columns; one window is the whole where there are none."""
        if self.window is None:
            return [0], [0]
        step = self.stride or (round(self.window[0] * _OVERLAP) or 1, round(self.window[1] * _OVERLAP) or 1)
        return starts(shown[0], self.window[0], step[0]), starts(shown[1], self.window[1], step[1])

    def __str__(self) -> str:
        """For titles and reports; empty where nothing is special."""
        parts = []
        if self.size:
            parts.append(f"at {self.size[1]}x{self.size[0]}")
        if self.short_side:
            parts.append(f"short side {self.short_side}")
        if self.scales != (1.0,):
            parts.append("scales " + ", ".join(f"{scale:g}" for scale in self.scales))
        if self.flip:
            parts.append("mirrored too")
        if self.window:
            parts.append(f"windows of {self.window[1]}x{self.window[0]}")
        return ", ".join(parts)


def starts(length: int, window: int, step: int) -> list[int]:
    """The first pixels of windows that cover a length; the last window ends where the length does."""
    last = max(0, length - window)
    return [*range(0, last, step), last]


def shown(pixels: Tensor, size: Size) -> Tensor:
    """Pictures uint8 N x H x W x C at another size, as training resizes them."""
    if tuple(pixels.shape[1:3]) == size:
        return pixels
    from swath.data import resize_image

    resized = [resize_image(each, size).reshape(*size, -1) for each in pixels.cpu().numpy()]
    return torch.from_numpy(np.stack(resized)).to(pixels.device)


def windows(pixels: Tensor, views: Views) -> Iterator[tuple[int, int, Tensor]]:
    """The parts of pictures that go through the network one by one; first, which of `views.starts` they begin at."""
    height, width = pixels.shape[1:3]
    tall, wide = views.window or (height, width)
    rows, columns = views.starts((height, width))
    for row, top in enumerate(rows):
        for column, left in enumerate(columns):
            yield row, column, pixels[:, top : top + tall, left : left + wide]
