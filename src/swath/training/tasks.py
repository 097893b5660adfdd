"""Several inputs, several tasks: what a network needs of its data, and how the tasks' losses become one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from swath.cards import Card
from swath.data import Source
from swath.data.source import supplied
from swath.data.windows import CUTS
from swath.errors import SwathError, unknown
from swath.evaluation.tasks import TRUTHS, classes_of
from swath.networks import Network, create_model
from swath.training.balance import GradientBalance
from swath.training.class_weights import class_weights
from swath.training.config import LossNames, Recipe, Stage, Task
from swath.training.distill import Teacher
from swath.training.losses import START, Criterion, Moment, make_depth_loss, make_loss


def bare_network(recipe: Recipe, card: Card, stage: int = -1, more_classes: int = 0) -> Network:
    """The network of a recipe's stage without memory: its inputs, its tasks, the names of its parts."""
    with torch.device("meta"):
        return build_network(recipe, card, stage, more_classes)


def build_network(recipe: Recipe, card: Card, stage: int, more_classes: int = 0) -> Network:
    """The network that a stage trains, with fresh weights: the recipe's, as the stages up to this one narrow it;
    stage -1: as it is before the first."""
    options = dict(recipe.network_options)
    for each in recipe.stages[: stage + 1]:
        options.update(each.prune)
    name = options.pop("network", recipe.network)
    return create_model(name, num_classes=card.num_classes + more_classes, **options)


def has_more(model: Network) -> bool:
    """Whether a network takes or answers more than pictures and label maps."""
    return list(model.inputs) != ["image"] or list(model.tasks) != ["segmentation"]


def needed_maps(model: Network) -> tuple[str, ...]:
    """The maps, beside image and labels, that a network takes or learns from."""
    wanted = [*model.inputs, *(TRUTHS.get(task, task) for task in model.tasks)]
    return tuple(dict.fromkeys(name for name in wanted if name not in ("image", "labels")))


def check_maps(model: Network, source: Source) -> None:
    """Refuse a source that lacks what a network takes or learns from."""
    card, maps = source.card, supplied(source)
    for name in needed_maps(model):
        if name not in maps or name not in CUTS:
            use = f"takes '{name}'" if name in model.inputs else f"learns the task '{name}'"
            more = f"; beside pictures and labels it has {', '.join(maps)}" if maps else ", only pictures and labels"
            raise SwathError(
                f"{model.name} {use}, which the card {card.name} does not supply{more}. Take a card that does, such as "
                "streets, or change network_options.inputs and network_options.tasks"
            )
    channels = {"image": 3, **maps}
    for name, count in model.inputs.items():
        if count != channels[name]:
            raise SwathError(
                f"{model.name} takes '{name}' with {count} channels, the card {card.name} supplies {channels[name]}; "
                f"set network_options.inputs to {{{name}: {channels[name]}, ...}}"
            )
    for task, count in model.tasks.items():
        wanted = len(classes_of(task, card)) or 1
        if count != wanted:
            raise SwathError(
                f"{model.name} answers '{task}' with {count} channels, the card {card.name} needs {wanted}; "
                f"set network_options.tasks to {{{task}: {wanted}, ...}}"
            )


def stage_tasks(stage: Stage, model: Network) -> dict[str, Task]:
    """How a stage trains each task, in the network's order; without `tasks` its own keys are the segmentation's."""
    if not stage.tasks and list(model.tasks) == ["segmentation"]:
        own = Task(
            loss=stage.loss,
            loss_options=stage.loss_options,
            class_weights=stage.class_weights,
            class_weight_share=stage.class_weight_share,
        )
        return {"segmentation": own}
    for task in stage.tasks:
        if task not in model.tasks:
            raise SwathError(f"stage '{stage.name}': tasks: {unknown(f'task of {model.name}', task, model.tasks)}")
    for task in model.tasks:
        if task not in TRUTHS:
            raise SwathError(f"{model.name} has the task '{task}', which is not trained here; {', '.join(TRUTHS)} are")
        if task not in stage.tasks:
            raise SwathError(
                f"stage '{stage.name}': {model.name} has the tasks {', '.join(model.tasks)}, tasks has no '{task}'; "
                f"say how it is trained, such as --tasks.{task}.loss {'berhu' if task == 'depth' else 'cross-entropy'}"
            )
    if "segmentation" not in model.tasks:
        raise SwathError(f"{model.name} has no task 'segmentation', by which the best weights are chosen; add it")
    return {task: stage.tasks[task] for task in model.tasks}


def task_loss(
    name: str,
    task: Task,
    weights: Tensor | None = None,
    aux_weights: tuple[float, ...] = (),
    aux_kinds: tuple[str, ...] = (),
    aux_loss: LossNames | None = None,
) -> Criterion:
    """The loss of one task, its options checked."""
    if name == "depth":
        return make_depth_loss(task.loss, task.loss_options)
    share = task.class_weight_share
    return make_loss(task.loss, task.loss_options, weights, aux_weights, aux_kinds, aux_loss, share)


class StageLoss(nn.Module):
    """All losses of a stage as one number: outputs, batch and moment in, the sum of the tasks' losses by their weights
    and of what a teacher says out.

    Learned weights are those of Kendall, Gal and Cipolla (arXiv 1705.07115): the sum of exp(-s) * loss / k + s / 2,
    where s is the logarithm of a task's variance and k is 1 for classes, 2 for values. They begin at the given weights.
    A task without a single true pixel in a batch says nothing about its variance. Others go by the tasks' gradients:
    see `balance.py`.
    """

    def __init__(self, stage: Stage, model: Network, source: Source, device: torch.device):
        super().__init__()
        self.tasks = stage_tasks(stage, model)
        self.losses: dict[str, Criterion] = {}
        self.class_weights: dict[str, str | list[float]] = {}  # as a recipe would say them
        self.log_variances = nn.ParameterDict()
        for name, task in self.tasks.items():
            weights = class_weights(task, source, name)
            heads = (model.aux_weights, model.aux_kinds) if name == "segmentation" else ((), ())
            here = None if weights is None else weights.to(device)
            self.class_weights[name] = "none" if weights is None else weights.tolist()
            self.losses[name] = task_loss(name, task, here, *heads, stage.aux_loss)
            if stage.task_weights == "learned":
                start = -math.log(task.weight * self._kind(name))
                self.log_variances[name] = nn.Parameter(torch.tensor(start, device=device))
        self.balance = None
        if stage.task_weights == "gradients":
            self.balance = GradientBalance(model, {name: task.weight for name, task in self.tasks.items()}, device)
        self.teacher = Teacher(stage.distill, device) if stage.distill else None  # no module: it is in no checkpoint

    def forward(self, outputs: Any, batch: Mapping[str, Tensor], moment: Moment = START) -> Tensor:
        by_task = outputs if isinstance(outputs, dict) else {next(iter(self.losses)): outputs}
        parts = [
            self._weighted(name, loss(by_task[name], batch[TRUTHS[name]], moment)) for name, loss in self.losses.items()
        ]
        if self.teacher:
            parts.append(self.teacher(outputs, batch))
        return sum(parts[1:], start=parts[0])

    def weights(self) -> dict[str, float]:
        """By how much each task counts now."""
        if self.balance:
            return dict(zip(self.balance.names, self.balance.weights.tolist()))
        learned = {name: math.exp(-s.item()) / self._kind(name) for name, s in self.log_variances.items()}
        return {name: learned.get(name, task.weight) for name, task in self.tasks.items()}

    def _weighted(self, name: str, loss: Tensor) -> Tensor:
        if self.balance:
            return self.balance.weigh(name, loss)
        if name not in self.log_variances:
            return self.tasks[name].weight * loss
        s: Tensor = self.log_variances[name]
        return (-s).exp() * loss / self._kind(name) + s / 2 * (loss.detach() > 0)

    @staticmethod
    def _kind(name: str) -> int:
        return 2 if name == "depth" else 1
