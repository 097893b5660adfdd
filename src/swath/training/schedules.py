"""Learning rates as pure functions of the step: a resumed run cannot restart a schedule."""

from __future__ import annotations

import math

from swath.errors import SwathError
from swath.training.config import Stage

_START = 1 / 25  # of onecycle: the first rate, as a share of lr (Smith and Topin, arXiv 1708.07120)


def rate(stage: Stage, step: int, steps: int) -> float:
    """The learning rate of iteration `step` (from 0) of a stage of `steps` iterations."""
    return stage.lr * factor(stage, step, steps)


def factor(stage: Stage, step: int, steps: int) -> float:
    """The rate as a share of `stage.lr`: a linear rise in the warm-up, then the stage's stretch of its schedule."""
    low, high = stage.span
    if step < stage.warmup:
        return _shape(stage, low) * (stage.warmup_from + (1 - stage.warmup_from) * step / stage.warmup)
    done = (step - stage.warmup) / max(1, steps - 1 - stage.warmup)  # 0 after the warm-up, 1 at the last step
    return _shape(stage, low + (high - low) * done)


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


def check_warmup(stage: Stage, steps: int) -> None:
    """Refuse a warm-up that never ends: the network would hardly learn, and nobody would know why."""
    if stage.warmup >= steps:
        raise SwathError(
            f"stage '{stage.name}' has {steps} iterations and a warmup of {stage.warmup}; "
            f"give a shorter one, such as --warmup {steps // 10}, or train longer"
        )


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
