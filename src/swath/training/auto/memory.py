"""How much memory an iteration needs, from shapes alone: what the backward pass keeps is counted on the meta device."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from swath.networks import Network

_COPIES = 5  # of all weights: themselves, gradients, two moments of Adam, the moving average
# Of logits at full size, single precision: they, their logarithmic softmax, its gradient, and the gradient's way back.
_PLANES = 4
_HALF = 0.65  # autocast keeps what convolutions take in 16 bits; norms and losses keep theirs
_SLACK = 1.25  # workspaces of convolutions, fragments


def needed_bytes(model: Network, size: tuple[int, int], batch: int, amp: bool) -> int:
    """Of one pass over `batch` windows, forward and back, with the optimiser's state. `model` has no memory."""
    trial = min(batch, 2)
    kept, outputs = kept_bytes(model, size, trial)
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    planes = _PLANES * sum(4 * output.shape[0] * output.shape[1] * size[0] * size[1] for output in outputs)
    a_picture = ((_HALF if amp else 1.0) * kept + planes) / trial
    return math.ceil(_SLACK * (a_picture * batch + _COPIES * weights))


def kept_bytes(model: Network, size: tuple[int, int], batch: int) -> tuple[int, list[Tensor]]:
    """Bytes that autograd keeps of a forward pass, weights aside, and the outputs."""
    own = {_storage(each) for each in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    inputs = [torch.empty((batch, channels, *size), device="meta") for channels in model.inputs.values()]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answer = model.train()(*inputs)
    by_task = answer.values() if isinstance(answer, dict) else [answer]
    outputs = [each for task in by_task for each in (task if isinstance(task, list) else [task])]
    return sum(storage.nbytes() for storage in kept.values()), outputs


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
