"""A network and a few windows, on the device and ready to learn: iterations without the loop around them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from swath.data.source import Source
from swath.data.windows import Windows
from swath.training.config import Recipe
from swath.training.jitter import recolored
from swath.training.optimisers import make_optimiser
from swath.training.tasks import StageLoss, build_network, needed_maps

_READ = 4  # windows that are cut; more are these again


class Trial:
    """The recipe's first stage with `shown` windows, always the same. Classes count alike: their weights cost no time,
    and all of them occur in no few windows."""

    def __init__(self, recipe: Recipe, train: Source, shown: int):
        stage = recipe.stages[0]
        self.clip = stage.clip
        self.amp = bool(stage.amp)
        self.device = torch.device(recipe.device)
        self.layout = torch.channels_last if stage.channels_last else torch.contiguous_format
        self.model = build_network(recipe, train.card, 0).to(self.device)
        self.model = self.model.to(memory_format=self.layout)  # type: ignore[call-overload]
        windows = Windows(train, stage.window, recipe.seed, needed_maps(self.model), paint=self.device.type == "cpu")
        began = time.perf_counter()
        cut = [windows[0, index % len(train)] for index in range(_READ)]
        self.seconds_a_window = (time.perf_counter() - began) / _READ
        self.batch = {
            name: torch.stack([torch.from_numpy(cut[index % _READ][name]) for index in range(shown)]).to(self.device)
            for name in cut[0]
            if name != "index"
        }
        alike: dict[str, Any] = {"class_weights": "none", "class_weight_share": 1.0}
        tasks = {name: replace(task, **alike) for name, task in stage.tasks.items()}
        even = replace(stage, **alike, tasks=tasks, distill=None)
        self.criterion = StageLoss(even, self.model, train, self.device)
        self.optimiser = make_optimiser(even, self.model, self.criterion.parameters())
        self.normalise = {name: self.model.preprocesses[name].module().to(self.device) for name in self.model.inputs}
        self.model.train()

    def step(self, factor: float = 1.0) -> Tensor:
        """One iteration at a share of the highest rate; the loss before it."""
        self.optimiser.set_rate(factor)
        self.optimiser.zero_grad()
        seen = recolored(self.batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            inputs = (each(seen[name]).contiguous(memory_format=self.layout) for name, each in self.normalise.items())
            loss: Tensor = self.criterion(self.model(*inputs), seen)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        return loss.detach()
