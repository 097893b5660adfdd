"""The pictures whose values say how wide the ranges of 8 bits must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.data import Source
from swath.errors import SwathError
from swath.inference import Segmenter
from swath.inference.views import windows


def spread(total: int, count: int, draw: np.random.Generator | None = None) -> list[int]:
    """`count` of `total` indices, one from each of as many equal stretches: its middle, or a drawn one. All where there
    are no more."""
    count = min(count, total)
    edges = [total * part // count for part in range(count + 1)]
    return [int(draw.integers(low, high)) if draw else (low + high) // 2 for low, high in pairwise(edges)]


class Part:
    """Some pictures of a source, as a source."""

    def __init__(self, source: Source, chosen: Sequence[int]):
        self.card, self.source, self.chosen = source.card, source, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, index: int) -> str:
        return self.source.name(self.chosen[index])

    def image(self, index: int) -> NDArray[np.uint8]:
        return self.source.image(self.chosen[index])

    def labels(self, index: int) -> NDArray[np.uint8]:
        return self.source.labels(self.chosen[index])

    def size(self, index: int) -> tuple[int, int]:
        return self.source.size(self.chosen[index])


class Calibration(Sequence[Tensor]):
    """Pixels 1 x H x W x C as the network will see them: whole pictures at the evaluation's size, or one window of each
    where it goes by windows. Read when they are asked for: hundreds of large ones need not fit into memory."""

    def __init__(self, source: Source, segmenter: Segmenter, count: int, seed: int):
        if not len(source):
            raise SwathError(f"{source.card.name}: there is no picture to calibrate with; check the split and the root")
        draw = np.random.default_rng(seed)
        self.source, self.segmenter = source, segmenter
        self.asked = count
        self.constant: list[str] = []  # names of pictures of one colour, which are left out
        self._chosen = [(index, float(draw.random())) for index in spread(len(source), count, draw)]

    def check(self) -> Iterator[int]:
        """Look at every picture, and drop those that show nothing; yields how many were looked at."""
        kept = []
        for done, (index, where) in enumerate(self._chosen, 1):
            pixels = self._read(index, where)
            if bool((pixels == pixels[:, :1, :1]).all()):
                self.constant.append(self.source.name(index))
            else:
                kept.append((index, where))
            yield done
        if not kept:
            raise SwathError(
                f"{self.source.name(self._chosen[0][0])}: is of one colour, as are all {len(self._chosen)} pictures "
                "chosen to calibrate with; ranges cannot be had from them. Give more with --pictures, or other data"
            )
        self._chosen = kept

    @property
    def names(self) -> list[str]:
        return [self.source.name(index) for index, _ in self._chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, place: int) -> Tensor:  # type: ignore[override]  # never a slice
        return self._read(*self._chosen[place])

    def _read(self, index: int, where: float) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(self.source.image(index)))[None]
        views = self.segmenter.views
        if views.window is None:
            return self.segmenter.prepare(pixels)
        parts = list(windows(pixels, views))
        return self.segmenter.pad(parts[int(where * len(parts))][2], views.window)
