"""Post-training quantisation: ranges from a few pictures, and biases that make up for what rounding shifts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from swath.errors import SwathError
from swath.networks import Network
from swath.quantise.capture import attribute, capture
from swath.quantise.network import Quantised
from swath.quantise.norms import biases, fold
from swath.quiet import quiet

# Batches x height x width x channels; for a network with several inputs, by their names.
Pixels = Tensor | Mapping[str, Tensor]

_RATE = 0.05  # the share of the shift that one batch corrects


@torch.no_grad()
def calibrate(
    model: Network,
    pictures: Sequence[Pixels],
    scheme: str = "int8",
    *,
    bias_correction: bool = True,
    steps: int | None = None,
    reduce_range: bool = False,
) -> Quantised:
    """`model` computing with 8 bits; it stays as it is itself. `pictures`: batches of pixels as they come from files,
    no labels needed; they are gone through again until `steps` batches (none: once, with bias correction 60) are done.

    Ranges follow the batches. With `bias_correction`, the mean of each channel behind each convolution is compared with
    that of the float network, and the bias goes a twentieth of the way there with every batch. `reduce_range` rounds
    weights to 7 bits, for processors that add up products of 8 bits in 16; a saved file does not keep that.
    """
    if model.quantised:
        raise SwathError(f"{model.name} computes with 8 bits already ({model.quantised}); give the float network")
    if not pictures:
        raise SwathError("calibration needs at least one batch of pictures")
    captured = capture(model)
    with quiet():  # torch warns of its own way to copy a graph
        answer = Quantised(model, scheme, captured=copy.deepcopy(captured))
    if reduce_range:
        answer.reduce_range()
    reference = fold(captured)
    count = steps or max(len(pictures), 60 if bias_correction else 1)
    for each in answer.ranges():
        each.tracking = True
    for batch in itertools.islice(itertools.cycle(pictures), count):
        inputs = _inputs(answer, batch)
        if bias_correction:
            means = _Means(reference)
            means.run(*inputs)
            _Corrected(answer.graph, means.found).run(*inputs)
        else:
            answer.graph(*inputs)
    for each in answer.ranges():
        each.tracking = False
    return answer


def _inputs(model: Network, batch: Pixels) -> list[Tensor]:
    """Pixels as the network takes them."""
    by_name = batch if isinstance(batch, Mapping) else {"image": batch}
    device = next(model.parameters()).device
    found = []
    for name in model.inputs:
        if name not in by_name:
            raise SwathError(f"{model.name} takes {' and '.join(model.inputs)}, the pictures have no '{name}'")
        pixels = by_name[name].to(device)
        found.append(model.preprocesses[name].module().to(device)(pixels.permute(0, 3, 1, 2)))
    return found


class _Means(Interpreter):
    """Runs the float graph; keeps the mean of each channel behind each convolution that has a bias to correct."""

    def __init__(self, module: GraphModule):
        super().__init__(module)
        self.owners = biases(module)
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        answer = super().run_node(n)
        if n.name in self.owners:
            self.found[n.name] = answer.mean((0, 2, 3))
        return answer


class _Corrected(Interpreter):
    """Runs the quantised graph; behind each convolution the bias is corrected before the values go on."""

    def __init__(self, module: GraphModule, wanted: dict[str, Tensor]):
        super().__init__(module)
        self.owners, self.wanted, self.graph_module = biases(module), wanted, module

    def run_node(self, n: Node) -> Any:
        answer = super().run_node(n)
        if n.name not in self.owners:
            return answer
        shift = _RATE * (self.wanted[n.name] - answer.mean((0, 2, 3)))
        attribute(self.graph_module, self.owners[n.name]).add_(shift)
        return answer + shift.reshape(1, -1, 1, 1)
