"""A short trial on the machine itself: how long an iteration takes, and on a GPU whether it fits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from swath.data.source import Source
from swath.networks import Network
from swath.training.auto.trial import Trial
from swath.training.config import Recipe

_STEPS = 3  # timed, after one that warms up


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    pass_: float  # forward, back and optimiser step, of one part of a batch
    window: float  # to read and cut one window
    validation: float  # to read and predict one picture of the validation split

    def iteration(self, recipe: Recipe, part: int) -> float:
        """One iteration as the loop does it: workers cut windows meanwhile, without them the network waits."""
        stage, workers = recipe.stages[0], recipe.data.workers or 0
        learning, cutting = self.pass_ * stage.accumulate, self.window * part * stage.accumulate
        return max(learning, cutting / workers) if workers else learning + cutting


def measure(recipe: Recipe, train: Source, val: Source, part: int) -> Pace:
    """Time the recipe's first stage with parts of a batch of `part` windows. On a GPU this also shows whether they fit
    (torch.OutOfMemoryError); on a processor a few windows tell as much as many."""
    device = torch.device(recipe.device)
    shown = part if device.type == "cuda" else min(part, 4)
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads or threads)
    try:
        return _measure(recipe, train, val, device, shown, part)
    finally:
        torch.set_num_threads(threads)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _measure(recipe: Recipe, train: Source, val: Source, device: torch.device, shown: int, part: int) -> Pace:
    trial = Trial(recipe, train, shown)
    took = _usual(trial.step, device) * part / shown
    return Pace(took, trial.seconds_a_window, _validation(trial.model, val, device))


def _validation(model: Network, val: Source, device: torch.device) -> float:
    """One picture: read, and through the network up to its logits."""
    model.eval()
    began = time.perf_counter()
    height, width = val.image(0).shape[:2]
    read = time.perf_counter() - began
    inputs = [torch.zeros((1, channels, height, width), device=device) for channels in model.inputs.values()]

    def predict() -> object:
        with torch.no_grad():
            return model.logits(*inputs)

    return read + _usual(predict, device)


def _usual(work: Callable[[], object], device: torch.device) -> float:
    """The middle of a few turns."""
    times = []
    for _ in range(1 + _STEPS):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
        if times[0] > 20:  # slow enough to be told by one turn
            return times[0]
    return statistics.median(times[1:])
