"""Weights of tasks that bring their gradients into balance (EdgeAI-Lite's `pseudo_grad_norm`, after GradNorm, Chen et
al., arXiv 1711.02257)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks import Network

_SOON, _LATE = 1e-3, 1e-6  # rates of the running means
_PACE = 1e-4  # of the weights
_POWER = 0.75  # how strongly tasks that learn slower are preferred
_EPS = 1e-6


class GradientBalance(nn.Module):
    """One weight a task. After each backward pass they move a little to where every task pulls alike at the feature
    that its branch begins with, tasks whose loss falls slower somewhat more. Buffers: checkpoints carry them."""

    weights: Tensor
    pull: Tensor
    soon: Tensor
    late: Tensor

    def __init__(self, model: Network, start: Mapping[str, float], device: torch.device):
        super().__init__()
        self.names = list(start)
        given = torch.tensor(list(start.values()), device=device)
        self.register_buffer("weights", len(given) * given / given.sum())
        for name in ("pull", "soon", "late"):  # running means, -1: nothing seen yet
            self.register_buffer(name, torch.full_like(given, -1))
        self._losses: dict[str, Tensor] = {}
        self._norms: dict[str, Tensor] = {}
        for name, branch in task_branches(model).items():
            branch.register_forward_pre_hook(_watch(weakref.ref(self), name))

    def weigh(self, name: str, loss: Tensor) -> Tensor:
        """The loss of a task by its weight."""
        self._norms.clear()  # of a backward pass that was not of this loss
        self._losses[name] = loss.detach().float()
        return self.weights[self.names.index(name)].clone() * loss  # clone: the weight moves before the next backward

    def saw(self, name: str, gradient: Tensor) -> None:
        """The gradient of the whole loss at the start of a task's branch; the last of the tasks moves the weights."""
        self._norms[name] = gradient.detach().float().norm()
        if len(self._norms) == len(self.names) == len(self._losses):
            self._move(*(torch.stack([found[name] for name in self.names]) for found in (self._norms, self._losses)))
            self._norms.clear()
            self._losses.clear()

    @torch.no_grad()
    def _move(self, norms: Tensor, losses: Tensor) -> None:
        told = losses > 0  # a batch without a true pixel of a task says nothing about it
        for mean, values, rate in ((self.pull, norms, _SOON), (self.soon, losses, _SOON), (self.late, losses, _LATE)):
            moved = torch.where(mean < 0, values, mean + rate * (values - mean))
            mean.copy_(torch.where(told, moved, mean))
        slow = self.soon.clamp(min=0) / (self.late.clamp(min=0) + _EPS)
        wanted = self.pull.clamp(min=0).mean() * (slow / (slow.sum() + _EPS)) ** _POWER
        change = wanted / (self.pull.clamp(min=0) + _EPS) - 1
        weights = self.weights * (1 + _PACE * torch.where(self.pull < 0, 0, change))
        self.weights.copy_(len(weights) * weights / weights.sum())


def task_branches(model: Network) -> nn.ModuleDict:
    """The part of a network that each of its tasks has for itself."""
    for module in model.modules():
        if isinstance(module, nn.ModuleDict) and list(module) == list(model.tasks):
            return module
    raise SwathError(f"task_weights: gradients: {model.name} has no branch for each task; use fixed or learned")


def _watch(balance: weakref.ref[GradientBalance], name: str) -> Callable[[nn.Module, tuple[Any, ...]], Any]:
    """A hook that hands a branch its own copy of the deepest shared feature and reports that copy's gradient. It does
    nothing once the stage is over, nor where nothing is learned."""

    def hook(_: nn.Module, given: tuple[Any, ...]) -> Any:
        (maps,) = given
        feature = maps if isinstance(maps, Tensor) else maps[-1]
        alive = balance()
        if alive is None or not feature.requires_grad or not torch.is_grad_enabled():
            return None
        copy = feature.view_as(feature)
        copy.register_hook(lambda gradient: alive.saw(name, gradient))
        return (copy,) if isinstance(maps, Tensor) else ([*maps[:-1], copy],)

    return hook
