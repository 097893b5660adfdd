"""A short trial on the machine itself: how long an iteration takes, and on a GPU whether it fits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from swath.data.source import Source
from swath.data.windows import Windows
from swath.evaluation.tasks import TRUTHS
from swath.networks import Network
from swath.training.config import Recipe
from swath.training.optimisers import make_optimiser
from swath.training.stream import Batch
from swath.training.tasks import StageLoss, build_network, needed_maps

_STEPS = 3  # timed, after one that warms up
_READ = 4  # windows that are cut to see how long it takes


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
    stage = recipe.stages[0]
    model = build_network(recipe, train.card, 0).to(device)
    if stage.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    windows = Windows(train, stage.window, seed=recipe.seed, maps=needed_maps(model))
    began = time.perf_counter()
    cut = [windows[0, index % len(train)] for index in range(_READ)]
    window = (time.perf_counter() - began) / _READ
    batch = {
        name: torch.stack([torch.from_numpy(cut[index % _READ][name]) for index in range(shown)]).to(device)
        for name in dict.fromkeys([*model.inputs, *(TRUTHS[task] for task in model.tasks)])
    }
    step = _step(recipe, model, train, batch, device)
    took = _usual(step, device) * part / shown
    return Pace(took, window, _validation(model, val, device))


def _step(recipe: Recipe, model: Network, train: Source, batch: Batch, device: torch.device) -> Callable[[], object]:
    """One iteration without the loop around it; classes count alike, since their weights cost no time."""
    stage = recipe.stages[0]
    tasks = {name: replace(task, class_weights="none", class_weight_share=1.0) for name, task in stage.tasks.items()}
    even = replace(stage, class_weights="none", class_weight_share=1.0, tasks=tasks, distill=None)
    criterion = StageLoss(even, model, train, device)
    optimiser = make_optimiser(even, model, criterion.parameters())
    normalise = {name: model.preprocesses[name].module().to(device) for name in model.inputs}
    layout = torch.channels_last if stage.channels_last else torch.contiguous_format
    model.train()

    def step() -> Tensor:
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bool(stage.amp)):
            inputs = (each(batch[name]).contiguous(memory_format=layout) for name, each in normalise.items())
            loss: Tensor = criterion(model(*inputs), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    return step


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
