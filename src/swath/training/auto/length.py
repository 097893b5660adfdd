"""How long: by the number of pictures, or by the time there is; and what hangs on it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from swath.errors import SwathError
from swath.training.auto.choices import GIVEN, Choices
from swath.training.auto.facts import Facts
from swath.training.auto.probe import Pace
from swath.training.display import duration

_BY_ROOT = 400  # iterations of a batch of 16 are this times the root of the number of pictures
_HOURS = {"cpu": 8.0}  # what nobody should have to wait for without having asked for it; everything else:
_HOURS_ELSEWHERE = 24.0
_LEAST = 50  # iterations that teach anything
_VALIDATIONS = 20  # at most,
_VALIDATING = 0.1  # and so much of the time
_WARM_UP = 0.1, 1500  # of the iterations, at most so many
_FEW_EPOCHS = 30  # in which a network learns more from pictures that are all of about one size (m)
_NARROW = (0.75, 1.5)
_MEMORY = 0.05  # of the iterations: how far back the moving average reaches
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Cost:
    """Seconds of an iteration, of a validation, and of reading what has to be read first."""

    iteration: float
    validation: float
    start: float = 0.0


def read_time(text: str) -> float:
    """Seconds of 90m, 2h, 1.5d or 600s."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([a-z]+)", text.strip().lower())
    if not found or found[2] not in _UNITS or not float(found[1]) > 0:
        raise SwathError(f"--time '{text}' is no length of time; say 90m, 2h or 1.5d")
    return float(found[1]) * _UNITS[found[2]]


def cost_of(choices: Choices, facts: Facts, pace: Pace) -> Cost:
    """What the measured pace makes of a batch and of the validation split."""
    recipe, stage, world = choices.recipe, choices.stage, facts.machine.world
    part = stage.batch // (world * stage.accumulate)
    train, val = len(facts.pictures.train), len(facts.pictures.val)
    counts = stage.class_weights != "none" or any(each.class_weights != "none" for each in stage.tasks.values())
    first = train + val if recipe.data.cache else train if counts else 0
    return Cost(pace.iteration(recipe, part), pace.validation * val / world, pace.window * first / world)


def choose_length(choices: Choices, facts: Facts, cost: Cost, budget: float | None) -> None:
    """Iterations, validations, and what is measured in iterations."""
    batch, pictures = choices.stage.batch, len(facts.pictures.train)
    usual = max(_LEAST, round(_BY_ROOT * math.sqrt(pictures) * math.sqrt(16 / batch)))
    hours = _HOURS.get(facts.machine.device, _HOURS_ELSEWHERE)
    free = budget or 3600 * hours
    affordable = max(0, math.floor(((1 - _VALIDATING) * free - cost.start) / cost.iteration))
    an_epoch = max(1, pictures // batch)
    if choices.has("epochs") or choices.has("iterations"):
        steps = choices.stage.iterations or (choices.stage.epochs or 0) * an_epoch
        key = "iterations" if choices.stage.iterations else "epochs"
        choices.recipe.why[key] = f"{GIVEN}: {duration(steps * cost.iteration)} here"
    else:
        steps = affordable if budget else min(usual, affordable)
        if steps < _LEAST:
            raise SwathError(_too_short(cost, free, affordable))
        took = f"{duration(steps * cost.iteration)} here at {_seconds(cost.iteration)} an iteration"
        if budget:
            why = f"what {duration(budget)} allow, validations counted: {took} ({usual:,} are usual)"
        elif steps < usual:
            why = f"{took} ({usual:,} are usual for {pictures:,} pictures); longer with --time {2 * hours:.0f}h"
        else:
            why = f"{_BY_ROOT} times the root of {pictures:,} pictures, more for a batch below 16: {took}"
        choices.choose("iterations", steps, f"{steps / an_epoch:.3g} epochs; {why}")
    if steps < _FEW_EPOCHS * an_epoch and choices.stage.window.scale == (0.5, 2.0):
        choices.choose("window.scale", _NARROW, f"wider ranges pay in more than {_FEW_EPOCHS} epochs")
    _choose_validations(choices, cost, steps)
    _choose_schedule(choices, steps)


def _choose_validations(choices: Choices, cost: Cost, steps: int) -> None:
    count = max(1, min(_VALIDATIONS, math.floor(_VALIDATING * steps * cost.iteration / max(cost.validation, 1e-9))))
    if choices.has("validation"):
        return
    why = f"{count} in all, {duration(cost.validation)} each"
    choices.choose("validation.iterations", max(1, math.ceil(steps / count)), why)


def _choose_schedule(choices: Choices, steps: int) -> None:
    share, most = _WARM_UP
    if not choices.has("schedule"):
        choices.choose("schedule", "cosine", "down to nothing at the end, whatever the length")
        warmup = min(most, round(share * steps))
        choices.choose("warmup", warmup, f"{share:.0%} of the iterations, at most {most:,}")
        choices.choose("warmup_from", 0.01, "")
    if not choices.has("swa"):
        reach = max(10.0, _MEMORY * steps)
        decay = min(0.9998, round(1 - 1 / reach, 4))
        choices.choose("ema", decay, f"a mean over about {reach:,.0f} iterations is steadier than the last weights")
    if not choices.has("log_every"):
        choices.recipe.log_every = max(1, min(50, steps // 100))


def _too_short(cost: Cost, budget: float, steps: int) -> str:
    return (
        f"{duration(budget)} are {steps} iterations of {_seconds(cost.iteration)} "
        f"here, fewer than the {_LEAST} that teach anything; give more --time, smaller windows "
        "(--window.size 256x128) or a lighter network"
    )


def _seconds(time: float) -> str:
    return f"{time:.2f} s" if time >= 0.1 else f"{1000 * time:.0f} ms"
