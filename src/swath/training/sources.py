"""The two splits of a run, held in memory where the recipe says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from swath.cards import Card, load_card
from swath.data import Source
from swath.errors import SwathError
from swath.training.config import Data
from swath.training.stream import alone

Array = npt.NDArray[np.uint8]


def open_sources(data: Data) -> tuple[Source, Source]:
    """(training, validation); a split without pictures is refused here."""
    card = load_card(data.card)
    return _open(card, data, data.train, data.train_options), _open(card, data, data.val, data.val_options)


def _open(card: Card, data: Data, split: str, options: dict[str, object]) -> Source:
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    source = card.open(split, data.root, layout=data.layout, **given)
    if len(source) < 1:
        raise SwathError(f"{card.name}: split '{split}' holds no picture; check data.root and the split's name")
    return source


class Cached:
    """All pictures and labels of a source, read once by several processes. Workers share them with the main process."""

    def __init__(self, source: Source, processes: int, told: Callable[[int, int], None] | None = None):
        self.card = source.card
        self._names = [source.name(i) for i in range(len(source))]
        self._check_memory(source)
        self._images: list[Array] = []
        self._labels: list[Array] = []
        few = processes if processes > 1 and len(source) >= 32 else 0
        for image, labels in DataLoader(_Pairs(source), batch_size=None, num_workers=few, worker_init_fn=alone):
            self._images.append(np.asarray(image))
            self._labels.append(np.asarray(labels))
            if told:
                told(len(self._images), len(source))

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return self._names[index]

    def image(self, index: int) -> Array:
        return self._images[index]

    def labels(self, index: int) -> Array:
        return self._labels[index]

    def size(self, index: int) -> tuple[int, int]:
        height, width = self._labels[index].shape
        return height, width

    @staticmethod
    def _check_memory(source: Source) -> None:
        """Refuse a cache of more than half of the memory, before an hour of reading ends in the kernel's kill."""
        height, width = source.size(0)
        needed, free = 4 * height * width * len(source), available_memory()
        if free is not None and needed > free / 2:
            raise SwathError(
                f"data.cache: {len(source)} pictures like {source.name(0)} need {needed / 1e9:.1f} GB of the "
                f"{free / 1e9:.1f} GB of free memory; use --data.cache false"
            )


class _Pairs(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """(picture, labels) by index, as a loader wants them."""

    def __init__(self, source: Source):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.source.image(index)), torch.from_numpy(self.source.labels(index))


def available_memory() -> int | None:
    """Bytes of free memory, where the system says so."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
