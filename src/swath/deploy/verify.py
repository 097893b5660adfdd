"""Is an exported file the same network? Compared with the original on real and hostile pictures of many sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swath.errors import SwathError
from swath.inference import Segmenter
from swath.inference.description import Description


@dataclass(frozen=True)
class Limits:
    """How far an export may be from the original."""

    tie: float  # where the original's two best classes lie closer, relative to its largest logit, either is right
    wrong: float  # share of a picture's pixels that may differ without being ties
    error: float  # of logits, relative to the largest


EXACT = Limits(tie=1e-4, wrong=1e-4, error=1e-3)  # engines add in different orders: the last bits of float32 differ
# With 8 bits, that moves a value to the next of 256 levels now and then, and layers behind it move others. The levels
# of logits can be coarse, so here it is the labels that tell.
QUANTISED = Limits(tie=0.02, wrong=0.01, error=0.25)


@dataclass(frozen=True)
class Check:
    """The outcome on one picture (or batch of equal ones)."""

    name: str
    size: tuple[int, int]  # height, width
    pixels: int
    wrong: int  # differ, and the original was sure
    ties: int  # differ where the original's best two were equal but for rounding
    error: float | None  # largest difference of logits relative to the largest logit; None where only labels come out
    limits: Limits = EXACT

    @property
    def passed(self) -> bool:
        return self.wrong <= self.limits.wrong * self.pixels and (self.error is None or self.error <= self.limits.error)


@dataclass(frozen=True)
class Report:
    """All checks of one file."""

    path: str
    checks: list[Check]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def worst(self) -> Check:
        return max(self.checks, key=lambda check: (not check.passed, check.wrong / check.pixels, check.error or 0))


def compare(original: Segmenter, exported: Segmenter, pictures: Iterable[tuple[str, Tensor]]) -> list[Check]:
    """`pictures`: names with uint8 pixels N x H x W x C."""
    return [_compare_one(original, exported, name, pixels) for name, pixels in pictures]


def _compare_one(original: Segmenter, exported: Segmenter, name: str, pixels: Tensor) -> Check:
    height, width = pixels.shape[1:3]
    limits = QUANTISED if original.description.meta.quantised else EXACT
    padded = original.pad(pixels)
    logits = original.runtime.run(padded).float()
    full = F.interpolate(
        logits, size=padded.shape[1:3], mode="bilinear", align_corners=original.description.align_corners
    )[:, :, :height, :width]
    expected = full.argmax(1)
    given = exported.labels(pixels).long()
    if given.shape != expected.shape:
        raise SwathError(
            f"the export gives labels of {tuple(given.shape)} for {name}, the original {tuple(expected.shape)}"
        )
    differ = given != expected
    scale = max(float(logits.abs().max()), torch.finfo(torch.float32).tiny)
    # How far behind the best class the export's choice is, in the original's own scores.
    behind = full.gather(1, expected[:, None]) - full.gather(1, given.clamp(max=full.shape[1] - 1)[:, None])
    sure = (behind[:, 0] > limits.tie * scale) | (given >= full.shape[1])
    error = None
    if exported.description.finish == "outside":
        theirs = exported.runtime.run(exported.pad(pixels)).float()
        error = float((theirs - logits).abs().max()) / scale if theirs.shape == logits.shape else float("inf")
        error = error if error == error else float("inf")  # a NaN is as wrong as can be
    wrong = int((differ & sure).sum())
    return Check(name, (height, width), differ.numel(), wrong, int(differ.sum()) - wrong, error, limits)


def hostile(description: Description) -> Iterator[tuple[str, Tensor]]:
    """Pictures that find what photographs do not: extremes, one-pixel detail, the smallest size, odd ones, batches."""
    noise = np.random.default_rng(2)
    channels = description.channels
    low_h, low_w = description.min_size
    base = (max(96, low_h), max(160, low_w))

    def random(count: int, height: int, width: int) -> Tensor:
        return torch.from_numpy(noise.integers(0, 256, (count, height, width, channels), dtype=np.uint8))

    def pattern(cell: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        return torch.from_numpy(np.repeat((255 * cell.astype(np.uint8))[None, :, :, None], channels, axis=3))

    rows, columns = np.indices(base)
    yield "black", torch.zeros((1, *base, channels), dtype=torch.uint8)
    yield "white", torch.full((1, *base, channels), 255, dtype=torch.uint8)
    yield "noise", random(1, *base)
    yield "1-pixel chessboard", pattern((rows + columns) % 2)
    yield "1-pixel lines", pattern(columns % 2)
    yield "single white pixels", pattern((rows % 17 == 8) & (columns % 13 == 6))
    yield "smallest size", random(1, low_h, low_w)
    yield "odd size", random(1, max(97, low_h + 1) | 1, max(131, low_w + 1) | 1)
    yield "tall", random(1, max(250, low_h), max(67, low_w))
    yield "batch of 3", random(3, *base)


def real(description: Description) -> Iterator[tuple[str, Tensor]]:
    """Synthetic streets: as near to photographs as can be had without a download."""
    if description.channels != 3:
        return
    from swath.cards import load_card

    streets = load_card("streets").open("val")
    for index in range(2):
        yield f"street {index}", torch.from_numpy(np.ascontiguousarray(streets.image(index)))[None]
