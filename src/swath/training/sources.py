"""The two splits of a run, held in memory where the recipe says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from swath.cards import Card, load_card
from swath.data import Source
from swath.data.mixed import Mixed, repaint
from swath.data.source import read_parts, supplied
from swath.doctor.findings import Finding
from swath.doctor.quick import glance
from swath.errors import SwathError
from swath.training.config import Data, Mix, Recipe
from swath.training.stream import alone, in_own_words

Array = npt.NDArray[Any]
_LOG = logging.getLogger("swath")


def open_sources(data: Data) -> tuple[Source, Source]:
    """(training, validation); splits without pictures, and ill ones as far as a glance tells, are refused here."""
    card = load_card(data.card)
    train = _open(card, data, data.train, data.train_options)
    val = _open(card, data, data.val, data.val_options)
    _look(data, train, val)
    return _mixed(data, train), val


def open_stages(recipe: Recipe) -> list[tuple[Source, Source]]:
    """(training, validation) of every stage; what several have in common is opened once."""
    opened: list[tuple[Data, tuple[Source, Source]]] = []
    for stage in range(len(recipe.stages)):
        data = recipe.data_of(stage)
        if not any(each == data for each, _ in opened):
            opened.append((data, _open_stage(recipe, stage)))
    return [
        next(sources for data, sources in opened if data == recipe.data_of(stage))
        for stage in range(len(recipe.stages))
    ]


def _open_stage(recipe: Recipe, stage: int) -> tuple[Source, Source]:
    own = recipe.stages[stage].data
    try:
        return open_sources(recipe.data_of(stage))
    except SwathError as error:
        if own is None:
            raise
        raise SwathError(f"stage '{recipe.stages[stage].name}': {error} (--stages.{stage}.data.root FOLDER)") from error


def _mixed(data: Data, train: Source) -> Source:
    """The training split with what others made for it."""
    if not data.mix:
        return train
    return Mixed(train, [_others(data, mix, train) for mix in data.mix], [mix.share for mix in data.mix])


def _others(data: Data, mix: Mix, train: Source) -> Source:
    if mix.pictures is not None:
        return repaint(train, mix.pictures)
    if mix.card is None and mix.root is None:
        number = data.mix.index(mix)
        raise SwathError(
            f"data.mix.{number} does not say which pictures: give their folder as --data.mix.{number}.pictures FOLDER, "
            "or a card or root with labels of its own"
        )
    card = load_card(mix.card or data.card)
    if card.class_names != train.card.class_names:
        raise SwathError(
            f"data.mix: card {card.name} has other classes than {train.card.name}; pictures can be mixed where the "
            "classes are the same, in the same order"
        )
    source = card.open(mix.split, mix.root, layout=mix.layout)
    if len(source) < 1:
        raise SwathError(f"data.mix: {card.name}: split '{mix.split}' holds no picture")
    return source


def _look(data: Data, train: Source, val: Source) -> None:
    """What would stop the training, or teach it wrong labels, stops it now; the rest is told."""
    command = f"swath check {data.card}" + (f" --root {data.root}" if data.root else "")
    findings = glance(train, val)
    errors = [finding for finding in findings if finding.level == "error"]
    for finding in errors[:1]:
        more = f" ({len(errors) - 1} more like it)" if len(errors) > 1 else ""
        raise SwathError(f"{_said(finding)}{more}; `{command}` finds everything that is wrong")
    for finding in findings:
        _LOG.warning("%s: %s; more: `%s`", finding.split, _said(finding), command)


def _said(finding: Finding) -> str:
    return f"{finding.file}: {finding.message}" if finding.file else finding.message


def _open(card: Card, data: Data, split: str, options: dict[str, object]) -> Source:
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    source = card.open(split, data.root, layout=data.layout, **given)
    if len(source) < 1:
        raise SwathError(f"{card.name}: split '{split}' holds no picture; check data.root and the split's name")
    return source


class Cached:
    """All pictures, labels and named maps of a source, read once by several processes. Workers share them with the main
    process; `holders` processes of this machine hold one each."""

    def __init__(
        self,
        source: Source,
        processes: int,
        told: Callable[[int, int], None] | None = None,
        maps: Sequence[str] = (),
        holders: int = 1,
    ):
        self.card = source.card
        self.maps: Mapping[str, int] = {name: supplied(source)[name] for name in maps}
        self._names = [source.name(i) for i in range(len(source))]
        self._check_memory(source, holders)
        self._parts: list[dict[str, Array]] = []
        few = processes if processes > 1 and len(source) >= 32 else 0
        wanted = _Parts(source, ("image", "labels", *maps))
        loader: DataLoader[Any] = DataLoader(wanted, batch_size=None, num_workers=few, worker_init_fn=alone)
        for parts in in_own_words(iter(loader)):
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

    def _check_memory(self, source: Source, holders: int) -> None:
        """Refuse a cache of more than half of the memory, before an hour of reading ends in the kernel's kill."""
        height, width = source.size(0)
        bytes_a_pixel = 4 + 4 * sum(self.maps.values())  # float32 maps, at most
        needed, free = bytes_a_pixel * height * width * len(source) * holders, available_memory()
        if free is not None and needed > free / 2:
            raise SwathError(
                f"data.cache: {len(source)} pictures like {source.name(0)}"
                f"{f', in {holders} processes,' if holders > 1 else ''} need {needed / 1e9:.1f} GB of the "
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
