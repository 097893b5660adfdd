"""A batch that fits into memory: predicted everywhere, tried where a trial can fail without harm."""

from __future__ import annotations

import math

import torch

from swath.errors import SwathError
from swath.training.auto.choices import Choices
from swath.training.auto.facts import Facts, smallest_batch
from swath.training.auto.memory import needed_bytes
from swath.training.auto.probe import Pace, measure
from swath.training.auto.rules import gigabytes

_OF_FREE = {"cpu": 0.5}  # of the free memory that a training may take: others want some, and swapping is no answer
_OF_FREE_ELSEWHERE = 0.9
_NORMED = 4  # windows below which the statistics of batch norms are poor
_SHRINK = 0.8  # of a window's sides, at a time


def fit(choices: Choices, facts: Facts) -> Pace:
    """Cut the batch into parts, then the windows smaller, until an iteration fits; returns how fast it is there."""
    machine = facts.machine
    cached = _cached_bytes(choices, facts) if machine.device == "cpu" else 0
    free = None if machine.memory is None else machine.memory - cached
    share = _OF_FREE.get(machine.device, _OF_FREE_ELSEWHERE) / (machine.neighbours if machine.device == "cpu" else 1)
    while True:
        stage = choices.stage
        part = stage.batch // (machine.world * stage.accumulate)
        needed = needed_bytes(facts.model, stage.window.size, part, bool(stage.amp))
        if free is not None and needed > share * free:
            _smaller(choices, facts, f"{part} windows need {gigabytes(needed)} of {gigabytes(free)}")
            continue
        try:
            pace = measure(choices.recipe, facts.pictures.train, facts.pictures.val, part)
        except torch.OutOfMemoryError:
            _smaller(choices, facts, f"{part} windows did not fit in a trial")
            continue
        of_free = "" if free is None else f" of {gigabytes(free)} that are free"
        tried = ", and a trial went well" if torch.device(machine.device).type == "cuda" else ""
        choices.recipe.why["memory"] = f"{part} windows at once need about {gigabytes(needed)}{of_free}{tried}"
        return pace


def _smaller(choices: Choices, facts: Facts, why: str) -> None:
    """One step down; parts first, for they change nothing but batch norms."""
    stage, world = choices.stage, facts.machine.world
    least = _NORMED if facts.norms else 1
    if not choices.has("accumulate"):
        count = _more_parts(stage.batch, stage.accumulate, world, least)
        if count:
            choices.choose("accumulate", count, f"{why}: parts of {stage.batch // (world * count)}")
            return
    smaller = _smaller_window(stage.window.size, facts)
    if smaller and not choices.has("window.size"):
        choices.choose("window.size", smaller, f"{why}: smaller windows")
        return
    least = smallest_batch(facts.model, stage.window.size)
    count = None if choices.has("accumulate") else _more_parts(stage.batch, stage.accumulate, world, least)
    if count is None:
        raise SwathError(
            f"{why}, and nothing smaller is left to choose; give --window.size or --batch, free some memory, or take a "
            "lighter network"
        )
    choices.choose("accumulate", count, f"{why}: parts of {stage.batch // (world * count)}")


def _more_parts(batch: int, now: int, world: int, least: int) -> int | None:
    """The next number of parts into which a batch can be cut, each of `least` windows or more."""
    sizes = range(now + 1, batch // (world * least) + 1)
    return next((count for count in sizes if batch % (world * count) == 0), None)


def _smaller_window(size: tuple[int, int], facts: Facts) -> tuple[int, int] | None:
    step = max(32, facts.model.deepest)
    least = [max(2 * step, math.ceil(side / step) * step) for side in facts.model.min_size]
    height, width = (max(low, math.floor(_SHRINK * side / step) * step) for side, low in zip(size, least))
    return (height, width) if height * width < size[0] * size[1] else None


def _cached_bytes(choices: Choices, facts: Facts) -> int:
    if not choices.recipe.data.cache:
        return 0
    height, width = facts.pictures.size
    return 4 * height * width * (len(facts.pictures.train) + len(facts.pictures.val))
