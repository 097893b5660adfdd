"""Multiply-accumulates of a network."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from swath.networks import Network
from swath.networks.shapes import ShapesOnly


def macs(model: Network, size: tuple[int, int]) -> int:
    """Multiply-accumulates of convolutions and matrix products for one picture of `size` = (height, width), up to the
    logits at the native stride. Nothing is computed: shapes alone run through a copy without memory."""
    shapes = model if _is_shapes(model) else copy.deepcopy(model).to("meta").eval()
    inputs = [torch.empty((1, channels, *size), device="meta") for channels in shapes.inputs.values()]
    with FlopCounterMode(display=False) as counter, torch.no_grad(), ShapesOnly():
        shapes.logits(*inputs)
    return int(counter.get_total_flops()) // 2  # it counts the multiplication and the addition


def _is_shapes(model: Network) -> bool:
    """Whether there is nothing to copy: the network was built without memory, and is in eval mode."""
    return not model.training and all(parameter.is_meta for parameter in model.parameters())
