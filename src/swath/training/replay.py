"""An iteration that went wrong, kept with all that it depended on, and repeated layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from swath.cards import Card, load_card
from swath.errors import SwathError
from swath.training.checkpoint import random_states, read_sealed, restore_random_states, write_sealed
from swath.training.config import Recipe
from swath.training.fill import as_plain, fill
from swath.training.stage import StageRun
from swath.training.stream import Batch
from swath.training.tasks import build_network

_KIND = "replay"


@dataclass(frozen=True)
class Replayed:
    """An iteration by what it depends on beside the weights: its number in the run and in the stage, its batch, and the
    random states and what passes move (`StageRun.moved`) before it."""

    number: int
    step: int
    batch: Batch
    random: dict[str, Any]
    moved: list[Tensor]

    @classmethod
    def of(cls, run: StageRun, number: int, step: int, batch: Batch) -> Replayed:
        """The iteration that is about to begin."""
        return cls(number, step, batch, random_states(), [each.clone() for each in run.moved])

    def put_back(self, run: StageRun) -> None:
        """Make all as it was before the iteration."""
        for tensor, before in zip(run.moved, self.moved):
            tensor.copy_(before)
        restore_random_states(self.random)


@dataclass(frozen=True)
class Outcome:
    """What an iteration gave when it was repeated."""

    number: int
    loss: float
    gradient: float
    names: list[str]  # of its pictures
    layer: str | None  # the first whose answer is not finite
    reason: str  # what is known about its input
    parameters: list[str]  # that are not finite themselves
    largest: list[tuple[str, float]]  # layers with the largest answers

    @property
    def reproduced(self) -> bool:
        """Whether it went wrong again."""
        return not (self.loss - self.loss == 0 and self.gradient - self.gradient == 0)


def write_replay(
    path: Path, recipe: Recipe, run: StageRun, stage: int, seen: Replayed, names: Sequence[str], pictures: int
) -> None:
    """One file with everything; the data set is not needed to repeat it."""
    seen.put_back(run)
    plain = as_plain(recipe)
    mine = plain["stages"][stage]
    for task, weights in run.criterion.class_weights.items():
        (mine["tasks"][task] if mine["tasks"] else mine)["class_weights"] = weights
    state = {
        "kind": _KIND,
        "recipe": yaml.safe_dump(plain),
        "stage": stage,
        "number": seen.number,
        "step": seen.step,
        "batch": dict(seen.batch),
        "random": seen.random,
        "names": list(names),
        "pictures": pictures,
        **run.state(),
    }
    write_sealed(path, state)


def replay(path: str | Path, device: str = "cpu") -> Outcome:
    """Repeat the iteration of a file that a run left, and find where it goes wrong."""
    path = Path(path)
    state = read_sealed(path)
    if state.get("kind") != _KIND:
        raise SwathError(f"{path}: is a checkpoint, not an iteration to repeat; give a replay-*.pt of a run's folder")
    recipe = fill(Recipe, yaml.safe_load(state["recipe"]), str(path))
    recipe.device = device
    for stage in recipe.stages:
        stage.compile = stage.graphs = False  # layers are looked into
    card = load_card(recipe.data_of(state["stage"]).card)
    kept = random_states()
    try:
        return _repeat(recipe, card, state, torch.device(device))
    finally:
        restore_random_states(kept)


def _repeat(recipe: Recipe, card: Card, state: dict[str, Any], device: torch.device) -> Outcome:
    number = state["stage"]
    model = build_network(recipe, card, number)
    absent: Any = _Absent(card, state["pictures"])
    run = StageRun(recipe, number, model, absent, device, load=False)
    run.restore(state)
    bad = [name for name, p in run.model.named_parameters() if not bool(torch.isfinite(p).all())]
    batch = run.on_device(state["batch"])
    restore_random_states(state["random"])
    run.train_mode()
    with _watched(run.model) as answers:
        loss = run.loss(batch, state["step"])
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = run.gradient()
    wrong = next((each for each in answers if not each.finite), None)
    finite = sorted((each for each in answers if each.finite), key=lambda each: -each.largest)
    return Outcome(
        number=state["number"],
        loss=loss.item(),
        gradient=gradient.item(),
        names=list(state["names"]),
        layer=wrong.name if wrong else None,
        reason=wrong.reason if wrong else "",
        parameters=bad,
        largest=[(each.name, each.largest) for each in finite[:5]],
    )


class _Absent:
    """The source of a run whose pictures are not at hand: what a stage asks of it beside them."""

    def __init__(self, card: Card, pictures: int):
        self.card, self._pictures = card, pictures

    def __len__(self) -> int:
        return self._pictures


@dataclass(frozen=True)
class _Answer:
    """What one layer answered."""

    name: str
    largest: float
    finite: bool
    reason: str


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[_Answer]]:
    """Collects the answers of all layers, in the order in which they are given."""
    answers: list[_Answer] = []

    def hook(name: str) -> Any:
        def see(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            for tensor in (each for each in (output if isinstance(output, (list, tuple)) else [output])):
                if isinstance(tensor, Tensor) and tensor.is_floating_point():
                    finite = bool(torch.isfinite(tensor).all())
                    answers.append(_Answer(name, float(tensor.detach().abs().amax()), finite, _reason(inputs)))

        return see

    layers = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(hook(name)) for name, module in layers]
    try:
        yield answers
    finally:
        for handle in handles:
            handle.remove()


def _reason(inputs: tuple[Any, ...]) -> str:
    tensors = [each for each in inputs if isinstance(each, Tensor) and each.is_floating_point()]
    if not all(bool(torch.isfinite(each).all()) for each in tensors):
        return "its input was not finite either"
    largest = max((float(each.detach().abs().amax()) for each in tensors), default=0.0)
    return f"its input was finite, at most {largest:.3g}"
