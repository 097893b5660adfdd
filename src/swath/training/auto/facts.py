"""What the choices are made from: the pictures (a quick sample of them), the network and the machine."""

from __future__ import annotations

import copy
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from swath.cards import Card
from swath.data import Source
from swath.errors import SwathError
from swath.networks import Network
from swath.training.config import Recipe
from swath.training.machine import available_cores, settle
from swath.training.optimisers import norms
from swath.training.sources import available_memory, open_sources
from swath.training.tasks import bare_network, check_maps

_SIZES = 64  # pictures whose size is asked for
_LABELS = 48  # pictures whose labels are counted
_SHAPES = 0.1  # a share of pictures above which they count as a kind of their own


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a sample says, spread evenly over the training split: the same one every time."""

    train: Source
    val: Source
    size: tuple[int, int]  # the usual height and width
    smallest: tuple[int, int]
    turned: bool  # some stand, others lie
    shares: tuple[float, ...]  # of the known pixels, by class

    @property
    def card(self) -> Card:
        return self.train.card

    @property
    def rarest(self) -> int:
        """Of the classes that occur, the one with the fewest pixels."""
        return min((i for i, share in enumerate(self.shares) if share), key=lambda i: self.shares[i])

    @property
    def absent(self) -> list[str]:
        """Classes that the sample does not show."""
        return [name for name, share in zip(self.card.class_names, self.shares) if not share]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the training runs."""

    device: str
    name: str
    memory: int | None  # bytes that are free on the device, where it says so
    main_memory: int | None
    cores: int
    world: int = 1  # processes, each with a device of its own or a share of the cores,
    neighbours: int = 1  # and how many of them are on this machine


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All of it."""

    pictures: Pictures
    machine: Machine
    model: Network  # without memory
    parameters: int
    norms: bool  # whether batches are normalised, and so must not be too small
    pretrained: bool


def find_facts(recipe: Recipe, world: int = 1, neighbours: int = 1) -> Facts:
    """Look at everything that a recipe names; what cannot be trained is refused here."""
    pictures = look_at_pictures(*open_sources(recipe.data))
    if pictures.card.num_classes < 2:
        raise SwathError(
            f"{pictures.card.name}: has one class, so there is nothing to tell apart and nothing to learn; give what "
            "lies around it a class of its own, such as background"
        )
    model = bare_network(recipe, pictures.card, 0)
    for source in (pictures.train, pictures.val):
        check_maps(model, source)
    return Facts(
        pictures=pictures,
        machine=look_at_machine(recipe, world, neighbours),
        model=model,
        parameters=sum(each.numel() for each in model.parameters()),
        norms=bool(norms(model)),
        pretrained=recipe.stages[0].init is not None or "encoder_weights" in recipe.network_options,
    )


def look_at_pictures(train: Source, val: Source) -> Pictures:
    """Sizes and balance of a sample."""
    sizes = [train.size(index) for index in _spread(len(train), _SIZES)]
    heights, widths = (np.array(each) for each in zip(*sizes))
    lying = float((widths > 1.1 * heights).mean())
    standing = float((heights > 1.1 * widths).mean())
    pixels = np.zeros(256, np.int64)
    for index in _spread(len(train), _LABELS):
        pixels += np.bincount(train.labels(index).ravel(), minlength=256)
    classes = train.card.num_classes
    known = int(pixels[:classes].sum())
    if not known:
        raise SwathError(f"{train.card.name}: every pixel of a sample of labels is ignored; check the card's labels")
    return Pictures(
        train=train,
        val=val,
        size=_usual(sizes),
        smallest=(int(heights.min()), int(widths.min())),
        turned=min(lying, standing) > _SHAPES,
        shares=tuple((pixels[:classes] / known).tolist()),
    )


def look_at_machine(recipe: Recipe, world: int, neighbours: int) -> Machine:
    """The device that the recipe asks for, or the best that is there."""
    settled = copy.deepcopy(recipe)
    settle(settled)  # refuses a device that is not there
    device, here = settled.device, available_memory()
    name, memory = _processor(), here
    if torch.device(device).type == "cuda":
        name, memory = torch.cuda.get_device_name(device), torch.cuda.mem_get_info(device)[0]
    elif torch.device(device).type != "cpu":
        name, memory = device, None
    return Machine(
        device=device,
        name=name,
        memory=memory,
        main_memory=here,
        cores=available_cores(),
        world=world,
        neighbours=neighbours,
    )


def smallest_batch(model: Network, size: tuple[int, int]) -> int:
    """1, or 2 where some norm would see a single value a channel."""
    bare: nn.Module = model.train()
    inputs = [torch.empty((1, channels, *size), device="meta") for channels in model.inputs.values()]
    try:
        with torch.no_grad():
            bare(*inputs)
    except SwathError as error:
        if "one value a channel" in str(error):
            return 2
        raise
    return 1


def _usual(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The size that most have, else the medians."""
    size, count = Counter(sizes).most_common(1)[0]
    if 2 * count > len(sizes):
        return size
    height, width = np.median(np.array(sizes), axis=0)
    return round(height), round(width)


def _spread(count: int, wanted: int) -> list[int]:
    return sorted({at * count // wanted for at in range(wanted)})


def _processor() -> str:
    """What the processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
