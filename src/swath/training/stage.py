"""What a stage works with: the network made ready for it, optimiser, loss, stream of batches and moving average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from swath.data import Source
from swath.data.windows import Windows
from swath.errors import SwathError
from swath.networks import Network
from swath.networks.pruning import check_narrower
from swath.training.class_weights import class_weights
from swath.training.config import Recipe, Stage, Validation
from swath.training.ema import MovingAverage
from swath.training.optimisers import freeze, make_optimiser, parameter_groups
from swath.training.schedules import check_warmup, rate
from swath.training.stream import Stream, batches_an_epoch
from swath.training.tasks import StageLoss, bare_network, check_maps, needed_maps, stage_tasks, task_loss
from swath.weights.file import load_tensors, load_weights, read_meta


class StageRun:
    """A stage of a recipe, built on a network; `load=False` for a resumed one, whose weights come from a checkpoint."""

    def __init__(self, recipe: Recipe, number: int, model: Network, source: Source, device: torch.device, load: bool):
        self.config = stage = recipe.stages[number]
        self.number = number
        self.validation: Validation = recipe.validation
        windows = Windows(source, stage.window, seed=recipe.seed + 1000 * number, maps=needed_maps(model))
        self.stream = Stream(windows, stage.batch, windows.seed, recipe.data.workers or 0, pin=device.type == "cuda")
        self.an_epoch = self.stream.batches_an_epoch
        self.steps = stage_steps(stage, self.an_epoch)
        self.model = model
        if stage.init and load and not stage.prune:  # else it was loaded before the cut
            load_initial(model, stage.init)
        self.frozen = freeze(model, stage.freeze, stage.name)
        layout = torch.channels_last if stage.channels_last else torch.contiguous_format
        self.model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
        self.train_mode()
        self.criterion = StageLoss(stage, model, source, device)
        self.optimiser = make_optimiser(stage, model, self.criterion.parameters())
        self.ema = MovingAverage(model, stage.ema) if stage.ema is not None else None
        self.forward: Callable[..., Any] = torch.compile(model) if stage.compile else model

    @property
    def measured(self) -> Network:
        """The network that is validated and saved."""
        return self.ema.model if self.ema else self.model

    def train_mode(self) -> None:
        """Training mode, but frozen parts do not move: neither their statistics nor their dropout."""
        self.model.train()
        for part in self.frozen:
            part.eval()

    def rate(self, step: int) -> float:
        """The learning rate of an iteration."""
        return rate(self.config, step, self.steps)

    def epoch(self, step: int) -> float:
        """How many epochs `step` iterations are."""
        return step / self.an_epoch

    def validates_at(self, step: int) -> bool:
        """Whether the network is measured after `step` iterations."""
        every = self.validation.iterations or self.validation.epochs * self.an_epoch
        return step > 0 and (step % every == 0 or step == self.steps)

    def state(self) -> dict[str, Any]:
        """Everything that the next iterations depend on, besides the position and the random states."""
        learned = self.criterion.state_dict()  # weights of tasks
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict() if self.ema else {},
            "optimiser": self.optimiser.state_dict(),
            **({"criterion": learned} if learned else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The way back."""
        self.model.load_state_dict(state["model"])
        if self.ema:
            self.ema.model.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.criterion.load_state_dict(state.get("criterion", {}))


def stage_steps(stage: Stage, an_epoch: int) -> int:
    """How many iterations a stage has."""
    return stage.iterations or (stage.epochs or 0) * an_epoch


def check_stages(recipe: Recipe, source: Source, val: Source) -> None:
    """Find the mistakes of every stage before the first one begins, on a network without memory."""
    for number, stage in enumerate(recipe.stages):
        model = bare_network(recipe, source.card, number)
        for each in (source, val):
            check_maps(model, each)
        check_warmup(stage, stage_steps(stage, batches_an_epoch(source, stage.batch)))
        if stage.prune:
            check_narrower(bare_network(recipe, source.card, number - 1), model)
        freeze(model, stage.freeze, stage.name)
        parameter_groups(stage, model)
        for name, task in stage_tasks(stage, model).items():
            task_loss(name, task)
            if isinstance(task.class_weights, list) or name == "depth":
                class_weights(task, source, name)
        if stage.init:
            wanted = bare_network(recipe, source.card, number - 1) if stage.prune else model
            _check_network(stage.init, read_meta(stage.init).network, wanted.name)


def _check_network(path: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise SwathError(f"{path}: holds weights of {found}, this run trains {wanted}; give others as init")


def load_initial(model: Network, path: str) -> None:
    """Start from the weights of a file; auxiliary heads that it does not hold keep their fresh weights."""
    loaded = load_weights(path)
    _check_network(path, loaded.name, model.name)
    tensors = dict(loaded.state_dict())
    for name, tensor in model.state_dict().items():
        if name.startswith("aux_heads.") and not len(loaded.aux_heads):
            tensors[name] = tensor
    if not len(model.aux_heads):
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("aux_heads.")}
    load_tensors(model, tensors, path)
