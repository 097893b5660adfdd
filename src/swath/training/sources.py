"""The two splits of a run, held in memory where the recipe says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from swath.cards import Card, load_card
from swath.data import Source
from swath.data.source import read_parts, supplied
from swath.errors import SwathError
from swath.training.config import Data
from swath.training.stream import alone

Array = npt.NDArray[Any]


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
    """All pictures, labels and named maps of a source, read once by several processes. Workers share them with the main
    process."""

    def __init__(
        self,
        source: Source,
        processes: int,
        told: Callable[[int, int], None] | None = None,
        maps: Sequence[str] = (),
    ):
        self.card = source.card
        self.maps: Mapping[str, int] = {name: supplied(source)[name] for name in maps}
        self._names = [source.name(i) for i in range(len(source))]
        self._check_memory(source)
        self._parts: list[dict[str, Array]] = []
        few = processes if processes > 1 and len(source) >= 32 else 0
        wanted = _Parts(source, ("image", "labels", *maps))
        for parts in DataLoader(wanted, batch_size=None, num_workers=few, worker_init_fn=alone):
            self._parts.append({name: np.asarray(part) for name, part in parts.items()})
            if told:
                told(len(self._parts), len(source))

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return self._names[index]

    def image(self, index: int) -> Array:
        return self._parts[index]["image"]

    def labels(self, index: int) -> Array:
        return self._parts[index]["labels"]

    def map(self, index: int, name: str) -> Array:
        return self._parts[index][name]

    def size(self, index: int) -> tuple[int, int]:
        height, width = self._parts[index]["labels"].shape
        return height, width

    def _check_memory(self, source: Source) -> None:
        """Refuse a cache of more than half of the memory, before an hour of reading ends in the kernel's kill."""
        height, width = source.size(0)
        bytes_a_pixel = 4 + 4 * sum(self.maps.values())  # float32 maps, at most
        needed, free = bytes_a_pixel * height * width * len(source), available_memory()
        if free is not None and needed > free / 2:
            raise SwathError(
                f"data.cache: {len(source)} pictures like {source.name(0)} need {needed / 1e9:.1f} GB of the "
                f"{free / 1e9:.1f} GB of free memory; use --data.cache false"
            )


class _Parts(Dataset[dict[str, torch.Tensor]]):
    """Picture, labels and maps by index, as a loader wants them."""

    def __init__(self, source: Source, names: Sequence[str]):
        self.source, self.names = source, names

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(part) for name, part in read_parts(self.source, index, self.names).items()}


def available_memory() -> int | None:
    """Bytes of free memory, where the system says so."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
