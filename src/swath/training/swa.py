"""The mean of snapshots of the weights (Izmailov et al., "Averaging Weights Leads to Wider Optima", 1803.05407)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from swath.networks import Network
from swath.training.optimisers import norms


class SnapshotAverage:
    """`model` is the plain mean of the network as it was every `every` updates; before the first it follows it.

    Statistics of batch norms do not belong to averaged weights: they are counted anew, by `refresh`, before the mean is
    measured.
    """

    def __init__(self, model: Network, every: int):
        self.every = every
        self.model: Network = copy.deepcopy(model).eval().requires_grad_(False)
        self.snapshots = 0
        self._average: list[Tensor] = list(self.model.parameters())
        self._now: list[Tensor] = list(model.parameters())
        self._buffers, self._buffers_now = list(self.model.buffers()), list(model.buffers())

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Look at the network after its update number `updates` (from 0)."""
        if (updates + 1) % self.every:
            return
        self.snapshots += 1
        torch._foreach_lerp_(self._average, self._now, 1 / self.snapshots)

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "snapshots": self.snapshots}

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.snapshots = state["snapshots"]

    @torch.no_grad()
    def refresh(self, pictures: Iterable[tuple[Tensor, ...]]) -> None:
        """Make `model` ready to be measured: without a snapshot it is the network, else its norms are counted anew on
        `pictures`, each batch with the same weight."""
        if not self.snapshots:
            torch._foreach_copy_(self._average, self._now)
            torch._foreach_copy_(self._buffers, self._buffers_now)
            return
        layers: list[Any] = norms(self.model)
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean of all batches
            layer.train()
        for batch in pictures:
            self.model.logits(*batch)
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        self.model.eval()
