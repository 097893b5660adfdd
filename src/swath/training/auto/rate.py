"""A rate at which the network learns, tried: the rule knows how large it is, and not what steps its layers bear. Layers
in a row without norms between them, as in Light-Weight RefineNet's decoders, multiply each other's steps."""

from __future__ import annotations

import math

import torch

from swath.data.source import Source
from swath.training.auto.choices import Choices
from swath.training.auto.facts import Facts
from swath.training.auto.trial import Trial
from swath.training.config import Recipe

_STEPS = 20  # on the same few windows, where each must help
_RISING = 10  # of them on the way to the highest rate
_LAST = 4  # whose mean loss must be less than
_LEARNED = 0.6  # of the first: on four windows a good rate comes to 0.1 to 0.5
_LOST = 4.0  # times the first loss: no way back
_LOWER = 3.0  # at a time
_TRIES = 5
_SHOWN = 4


def choose_rate(choices: Choices, facts: Facts) -> None:
    """Lower the rate of the rule until a few iterations make the loss smaller."""
    if choices.has("lr"):
        return
    recipe, stage = choices.recipe, choices.stage
    why = recipe.why["lr"]
    shown = min(_SHOWN, stage.batch // (facts.machine.world * stage.accumulate))
    for tried in range(_TRIES):
        if learns(recipe, facts.pictures.train, shown):
            break
        part = f"{_LOWER ** -(tried + 1):.1g} of it"
        lower = f"{why}; {part}, for in a trial of {_STEPS} steps more did not make the loss small"
        choices.choose("lr", float(f"{stage.lr / _LOWER:.2g}"), lower)


def learns(recipe: Recipe, train: Source, shown: int) -> bool:
    """Whether the network learns a few windows, if it sees nothing else."""
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads or threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            return _falls(Trial(recipe, train, shown))
    finally:
        torch.set_num_threads(threads)


def _falls(trial: Trial) -> bool:
    losses = []
    for step in range(_STEPS):
        losses.append(float(trial.step(min(1.0, (step + 1) / _RISING))))
        if not math.isfinite(losses[-1]) or losses[-1] > _LOST * losses[0]:
            return False
    return sum(losses[-_LAST:]) / _LAST < _LEARNED * losses[0]
