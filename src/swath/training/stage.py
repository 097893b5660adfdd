"""What a stage works with: the network made ready for it, optimiser, loss, stream of batches and moving average."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from swath.data import Source
from swath.data.windows import Windows
from swath.errors import SwathError
from swath.evaluation.tasks import TRUTHS
from swath.networks import Network
from swath.quantise import Quantised
from swath.training.checkpoint import random_states, restore_random_states
from swath.training.config import Recipe, Stage, Validation
from swath.training.distributed import ALONE, Processes, plain_norms, spread_alarm, without_exchange
from swath.training.ema import MovingAverage
from swath.training.graphs import Graph
from swath.training.initial import load_initial
from swath.training.jitter import COLORS, recolored
from swath.training.losses import Moment
from swath.training.optimisers import freeze, make_optimiser, norms
from swath.training.quantised import deployed, fix_statistics, quantised
from swath.training.schedules import factor
from swath.training.stream import Batch, Stream
from swath.training.swa import SnapshotAverage
from swath.training.tasks import StageLoss, needed_maps

_LOG = logging.getLogger("swath")


class StageRun:
    """A stage of a recipe, built on a network; `load=False` for a resumed one, whose weights come from a checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        number: int,
        model: Network,
        source: Source,
        device: torch.device,
        load: bool,
        processes: Processes = ALONE,
    ):
        self.config = stage = recipe.stages[number]
        self.number, self.processes = number, processes
        self.of_several = len(recipe.stages) > 1
        self.validation: Validation = recipe.validation
        if stage.init and load and not stage.prune:  # else it was loaded before the cut
            load_initial(model, stage.init)
        if stage.quantise:
            model = quantised(stage, model, device)
        windows = Windows(
            source,
            stage.window,
            seed=recipe.seed + 1000 * number,
            maps=needed_maps(model),
            paint=device.type == "cpu",  # there the loader's way is the faster one (jitter.py)
        )
        self.stream = Stream(
            windows,
            stage.batch,
            windows.seed,
            recipe.data_of(number).workers or 0,
            pin=device.type == "cuda",
            parts=parts_of(stage, processes.world),
            mine=range(processes.rank * stage.accumulate, (processes.rank + 1) * stage.accumulate),
        )
        self.an_epoch = self.stream.batches_an_epoch
        self.steps = stage_steps(stage, self.an_epoch)
        self.model, self.device = model, device
        self.normalise = {name: model.preprocesses[name].module().to(device) for name in model.inputs}
        layout = torch.channels_last if stage.channels_last else torch.contiguous_format
        self.model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
        self._norms = processes.sync_norms(model)
        self.frozen = freeze(model, stage.freeze, stage.name)
        self.train_mode()
        self.criterion = StageLoss(stage, model, source, device)
        # What a pass moves and the next one goes by: ranges of 8 bits and the norms that scale weights to them, and
        # weights of tasks. In float, a norm that learns goes by its batch alone.
        self.moved = [*(model.buffers() if isinstance(model, Quantised) else ()), *self.criterion.buffers()]
        self.optimiser = make_optimiser(stage, model, self.criterion.parameters())
        self.forward: Callable[..., Any] = torch.compile(model) if stage.compile else model
        self.whole = _Whole(self.forward, self.criterion)
        self.shared: nn.Module = processes.wrapped(self.whole)  # now all processes have the weights of the first
        self.graph = Graph(self._pass, self.whole) if stage.graphs else None
        self.average: MovingAverage | SnapshotAverage | None = None
        if stage.ema is not None:
            self.average = MovingAverage(model, stage.ema)
        if stage.swa is not None:
            self.average = SnapshotAverage(model, max(1, round(stage.swa * self.an_epoch)))

    @property
    def refreshing(self) -> int:
        """How many batches the statistics of averaged weights are counted on: an epoch, but not more than 100."""
        return min(self.an_epoch, 100)

    @property
    def learned(self) -> Network:
        """What the stage has made so far."""
        return self.average.model if self.average else self.model

    @property
    def measured(self) -> Network:
        """The network that is validated and saved."""
        return deployed(self.learned)

    def on_device(self, batch: Batch) -> Batch:
        """What the network takes and learns from, on its way to the device."""
        names = dict.fromkeys([*self.model.inputs, *(TRUTHS[task] for task in self.model.tasks)])
        names.update(dict.fromkeys(name for name in COLORS if name in batch))
        return {name: batch[name].to(self.device, non_blocking=True) for name in names}

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the network takes of a batch that is on the device and recolored: normalised."""
        pictures = (normalise(batch[name]) for name, normalise in self.normalise.items())
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        return tuple(picture.contiguous(memory_format=layout) for picture in pictures)

    def loss(self, batch: Batch, step: int) -> Tensor:
        """The loss of a batch that is on the device, in the iteration after `step` others. Its backward pass averages
        the gradients of all processes."""
        if self.config.quantise:
            fix_statistics(self.config, self.model, step / self.steps)
        batch = recolored(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bool(self.config.amp)):
            loss: Tensor = self.shared(self.inputs(batch), batch, self.moment(step))
        return loss

    def learn(self, parts: Sequence[Batch], step: int, before: Callable[[Batch], None] | None = None) -> Tensor:
        """Gradients of a batch, taken part by part: `before` is called with each. Returns the mean loss."""
        if self.graph:
            if before:
                before(parts[0])
            return self.graph(self.on_device(parts[0]))
        self.optimiser.zero_grad()
        losses: list[Tensor] = []
        if len(parts) > 1 or self.moved:  # else the wrapper does it, but only after `before`
            self.processes.equalise(self.whole.buffers())
        for part in parts:
            if before:
                before(part)
            with without_exchange(self.shared, last=part is parts[-1]):
                loss = self.loss(self.on_device(part), step)
                loss = loss / len(parts) if len(parts) > 1 else loss
                loss.backward(spread_alarm(loss, self.processes.several))  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return torch.stack(losses).sum() if len(losses) > 1 else losses[0]

    def _pass(self, batch: Batch) -> Tensor:
        """What a graph holds: the same in every iteration."""
        loss = self.loss(batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def settle_exchange(self, part: Batch, step: int) -> None:
        """Take a part without learning from it: after the first backward pass torch orders the gradients in its
        messages anew, and with them the order of sums. So all iterations are alike, also those after a resume."""
        states, statistics = random_states(), [each.clone() for each in self.whole.buffers()]
        self.learn([part], step)
        unused = any(each.grad is None for each in self.whole.parameters() if each.requires_grad)
        self.optimiser.zero_grad()
        if unused:  # it has to look for them in every iteration
            self.part_from_others()
            self.shared = self.processes.wrapped(self.whole, unused=True)
        for buffer, before in zip(self.whole.buffers(), statistics):
            buffer.copy_(before)
        restore_random_states(states)

    def gradient(self) -> Tensor:
        """The norm of the whole gradient, which is clipped where the stage says so."""
        if self.config.clip:
            return torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        return torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])

    def part_from_others(self) -> None:
        """From now on losses and gradients are those of this process."""
        self.shared = self.whole
        gc.collect()  # the wrapper has hooks on the parameters

    def close(self) -> None:
        """Leave the network as a plain one to the next stage."""
        self.graph = None
        plain_norms(self.model, self._norms)

    def train_mode(self) -> None:
        """Training mode, but frozen parts do not move: neither their statistics nor their dropout."""
        self.model.train()
        for part in self.frozen:
            part.eval()
        if self.config.frozen_norms:
            for norm in norms(self.model):
                norm.eval()

    def factor(self, step: int) -> float:
        """The learning rate of an iteration as a share of the highest."""
        return factor(self.config, step, self.steps, self.an_epoch)

    def rate(self, step: int) -> float:
        """The learning rate of an iteration, where a part has none of its own."""
        return self.config.lr * self.factor(step)

    def epoch(self, step: int) -> float:
        """How many epochs `step` iterations are."""
        return step / self.an_epoch

    def moment(self, step: int) -> Moment:
        """The iteration after `step` others, for losses that change on the way."""
        return Moment(step + 1, self.steps, self.stream.seed)

    def validates_at(self, step: int) -> bool:
        """Whether the network is measured after `step` iterations."""
        every = self.validation.iterations or self.validation.epochs * self.an_epoch
        return step > 0 and (step % every == 0 or step == self.steps)

    def state(self) -> dict[str, Any]:
        """Everything that the next iterations depend on, besides the position and the random states."""
        learned = self.criterion.state_dict()  # weights of tasks
        return {
            "model": self.model.state_dict(),
            "average": self.average.state() if self.average else {},
            "optimiser": self.optimiser.state_dict(),
            **({"criterion": learned} if learned else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The way back."""
        self.model.load_state_dict(state["model"])
        if self.average:
            self.average.restore(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.criterion.load_state_dict(state.get("criterion", {}))


class _Whole(nn.Module):
    """Network and losses as one: weights of tasks that are learned have gradients as well."""

    def __init__(self, model: Callable[..., Any], criterion: StageLoss):
        super().__init__()
        self.model, self.criterion = model, criterion

    def forward(self, inputs: tuple[Tensor, ...], batch: Batch, moment: Moment) -> Tensor:
        loss: Tensor = self.criterion(self.model(*inputs), batch, moment)
        return loss


def parts_of(stage: Stage, processes: int) -> int:
    """How many equal parts a batch has; refuses one that cannot be cut."""
    parts = processes * stage.accumulate
    if stage.batch % parts:
        near = max(1, round(stage.batch / parts)) * parts
        sizes = [n for n in range(1, stage.batch + 1) if stage.batch % (n * stage.accumulate) == 0]
        others = f", or {_either(sizes)} processes" if sizes else ""
        raise SwathError(
            f"stage '{stage.name}': a batch of {stage.batch} cannot be cut into {parts} equal parts "
            f"({processes} processes, accumulate {stage.accumulate}); take a batch of {near}{others}"
        )
    return parts


def _either(numbers: list[int]) -> str:
    words = [str(each) for each in numbers]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def stage_steps(stage: Stage, an_epoch: int) -> int:
    """How many iterations a stage has."""
    return stage.iterations or (stage.epochs or 0) * an_epoch
