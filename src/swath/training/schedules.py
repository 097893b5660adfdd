"""Learning rates as pure functions of the step: a resumed run cannot restart a schedule."""

from __future__ import annotations

import math

from swath.errors import SwathError
from swath.training.config import Stage

_START = 1 / 25  # of onecycle: the first rate, as a share of lr (Smith and Topin, arXiv 1708.07120)


def factor(stage: Stage, step: int, steps: int, an_epoch: int = 1) -> float:
    """The rate of iteration `step` (from 0) as a share of `stage.lr`: a linear rise in the warm-up, then the stage's
    stretch of its schedule; `period` is in epochs of `an_epoch` iterations, those of `steps` from the stage's start."""
    low, high = stage.span
    if stage.period is not None:
        place = step if stage.schedule == "steps" else max(0, step - stage.warmup)
        after = _PERIODIC[stage.schedule](stage, place, max(1, round(stage.period * an_epoch)))
        return after * _rise(stage, step)
    if step < stage.warmup:
        return _shape(stage, low) * _rise(stage, step)
    done = (step - stage.warmup) / max(1, steps - 1 - stage.warmup)  # 0 after the warm-up, 1 at the last step
    return _shape(stage, low + (high - low) * done)


def _rise(stage: Stage, step: int) -> float:
    """From `warmup_from` to 1 in the warm-up, then 1."""
    if step >= stage.warmup:
        return 1.0
    return stage.warmup_from + (1 - stage.warmup_from) * step / stage.warmup


def _steps(stage: Stage, step: int, period: int) -> float:
    """A fall by `drop` after every period."""
    return float(stage.drop ** (step // period))


def _sgdr(stage: Stage, step: int, period: int) -> float:
    """Half cosines that restart, each twice as long as the one before (Loshchilov and Hutter, arXiv 1608.03983)."""
    place = step + 1
    while place > period:
        place, period = place - period, 2 * period
    return _cosine(1.0, stage.floor, place / period)


def _cyclical(stage: Stage, step: int, period: int) -> float:
    """Up and down between `floor` and 1, half a cycle a period (Smith, arXiv 1506.01186)."""
    cycle = 1 + step // (2 * period)
    up = max(0.0, 1 - abs(step / period - 2 * cycle + 1))
    fall = {"triangular": 1.0, "triangular2": 2.0 ** (1 - cycle), "exp_range": stage.gamma**step}[stage.cycle]
    return stage.floor + (1 - stage.floor) * up * fall


_PERIODIC = {"steps": _steps, "sgdr": _sgdr, "cyclical": _cyclical}


def _shape(stage: Stage, done: float) -> float:
    """The rate at a place of the whole schedule: 1 or its start at 0, `floor` at 1."""
    if stage.schedule == "constant":
        return 1.0
    if stage.schedule == "poly":
        return stage.floor + (1 - stage.floor) * math.pow(1 - done, stage.power)
    if stage.schedule == "cosine":
        return _cosine(1.0, stage.floor, done)
    if done < stage.peak:
        return _cosine(_START, 1.0, done / stage.peak)
    return _cosine(1.0, stage.floor, (done - stage.peak) / max(1e-12, 1 - stage.peak))


def check_warmup(stage: Stage, steps: int, option: str = "--warmup") -> None:
    """Refuse a warm-up that never ends: the network would hardly learn, and nobody would know why. `option` sets it."""
    if stage.warmup >= steps:
        raise SwathError(
            f"stage '{stage.name}' has {steps} iterations and a warmup of {stage.warmup}; "
            f"give a shorter one, such as {option} {steps // 10}, or train longer"
        )


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
