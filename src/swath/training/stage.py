"""What a stage works with: the network made ready for it, optimiser, loss, stream of batches and moving average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from swath.data import Source
from swath.data.windows import Windows
from swath.errors import SwathError
from swath.networks import Network, create_model
from swath.training.class_weights import class_weights
from swath.training.config import Recipe, Stage, Validation
from swath.training.ema import MovingAverage
from swath.training.losses import make_loss
from swath.training.optimisers import freeze, make_optimiser, parameter_groups
from swath.training.schedules import check_warmup, rate
from swath.training.stream import Stream, batches_an_epoch
from swath.weights.file import load_tensors, load_weights, read_meta


class StageRun:
    """A stage of a recipe, built on a network; `load=False` for a resumed one, whose weights come from a checkpoint."""

    def __init__(self, recipe: Recipe, number: int, model: Network, source: Source, device: torch.device, load: bool):
        self.config = stage = recipe.stages[number]
        self.number = number
        self.validation: Validation = recipe.validation
        windows = Windows(source, stage.window, seed=recipe.seed + 1000 * number)
        self.stream = Stream(windows, stage.batch, windows.seed, recipe.data.workers or 0, pin=device.type == "cuda")
        self.an_epoch = self.stream.batches_an_epoch
        self.steps = stage_steps(stage, self.an_epoch)
        self.model = model
        if stage.init and load:
            load_initial(model, stage.init)
        self.frozen = freeze(model, stage.freeze, stage.name)
        layout = torch.channels_last if stage.channels_last else torch.contiguous_format
        self.model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
        self.train_mode()
        self.optimiser = make_optimiser(stage, model)
        weights = class_weights(stage, source)
        self.criterion = make_loss(
            stage.loss, stage.loss_options, None if weights is None else weights.to(device), model.aux_weights
        )
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
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict() if self.ema else {},
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The way back."""
        self.model.load_state_dict(state["model"])
        if self.ema:
            self.ema.model.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])


def stage_steps(stage: Stage, an_epoch: int) -> int:
    """How many iterations a stage has."""
    return stage.iterations or (stage.epochs or 0) * an_epoch


def check_stages(recipe: Recipe, source: Source) -> None:
    """Find the mistakes of every stage before the first one begins, on a network without memory."""
    with torch.device("meta"):
        model = create_model(recipe.network, num_classes=source.card.num_classes, **recipe.network_options)
    for stage in recipe.stages:
        check_warmup(stage, stage_steps(stage, batches_an_epoch(source, stage.batch)))
        freeze(model, stage.freeze, stage.name)
        parameter_groups(stage, model)
        make_loss(stage.loss, stage.loss_options)
        if isinstance(stage.class_weights, list):
            class_weights(stage, source)
        if stage.init:
            read_meta(stage.init)


def load_initial(model: Network, path: str) -> None:
    """Start from the weights of a file; auxiliary heads that it does not hold keep their fresh weights."""
    loaded = load_weights(path)
    if loaded.name != model.name:
        raise SwathError(f"{path}: holds weights of {loaded.name}, this run trains {model.name}; give others as init")
    tensors = dict(loaded.state_dict())
    for name, tensor in model.state_dict().items():
        if name.startswith("aux_heads.") and not len(loaded.aux_heads):
            tensors[name] = tensor
    if not len(model.aux_heads):
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("aux_heads.")}
    load_tensors(model, tensors, path)
