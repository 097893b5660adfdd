"""A network whose weights and activations pass through 8 bits, as its deployed form will compute."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from swath.networks import Network
from swath.quantise.capture import capture, example
from swath.quantise.library import torchao
from swath.quantise.norms import learn_statistics, tame
from swath.quantise.prepare import RANGE, WEIGHT, prepare
from swath.quantise.schemes import scheme_of
from swath.quiet import quiet


class Quantised(Network):
    """A network of the registry as a graph with fake quantisers. It has the tensors of the float network and the ranges
    of activations, in one of two forms with the same names: as deployed, norms inside the convolutions, or as it
    learns, norms apart.
    """

    def __init__(self, network: Network, scheme: str, learning: bool = False, captured: GraphModule | None = None):
        super().__init__(num_classes=network.num_classes, in_channels=network.inputs["image"])
        self.name, self.arguments = network.name, network.arguments
        self.meta = replace(network.meta, quantised=scheme) if network.meta else None
        self.inputs, self.tasks, self.preprocesses = network.inputs, network.tasks, network.preprocesses
        self.stride, self.min_size, self.deepest = network.stride, network.min_size, network.deepest
        self.align_corners = network.align_corners
        self.quantised = scheme
        self.learning = learning
        self.fixed_norms = self.fixed_ranges = False
        how = scheme_of(scheme)
        if captured is None:
            captured = capture(network)
        if how.power2 and not how.per_channel:
            tame(captured)
        self.graph = prepare(captured, how, learning)
        holders: dict[str, Any] = dict(self.graph.named_modules())
        for name, module in network.named_modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and f"network.{name}" in holders:
                holders[f"network.{name}"].is_norm = True  # in the graph it is a bare holder of tensors
        self._captured = [captured] if learning else []  # in lists: no parts of this module
        self._deployed: list[Quantised] = []
        self.requires_grad_(learning)
        self.train(learning)

    def forward_logits(self, *inputs: Tensor) -> Any:
        answer = self.graph(*inputs)
        if not self.training:
            return answer
        return {task: [each] for task, each in answer.items()} if isinstance(answer, dict) else [answer]

    def train(self, mode: bool = True) -> Quantised:
        """Statistics of norms and ranges follow what passes, unless they are fixed. Deployed, nothing changes."""
        self.training = mode and self.learning
        learn_statistics(self.graph, self.training and not self.fixed_norms, self.training)
        for each in self.ranges():
            each.tracking = self.training and not self.fixed_ranges
        return self

    def fix(self, norms: bool, ranges: bool) -> None:
        """From now on, keep the statistics of norms, or the ranges of activations, as they are."""
        if (norms, ranges) != (self.fixed_norms, self.fixed_ranges):
            self.fixed_norms, self.fixed_ranges = norms, ranges
            self.train(self.training)

    def ranges(self) -> list[Any]:
        """The quantisers of activations, in the order of the graph."""
        return [each for name, each in self.graph.named_children() if name.startswith(RANGE)]

    def reduce_range(self) -> None:
        """From now on, weights are rounded to 7 of their 8 bits."""
        quantisers: list[Any] = [each for name, each in self.graph.named_children() if name.startswith(WEIGHT)]
        for each in quantisers:
            each.quant_min, each.quant_max = each.quant_min // 2, each.quant_max // 2

    def deployed(self) -> Quantised:
        """The form that is measured, saved and exported, with the tensors of now."""
        if not self.learning:
            return self
        if not self._deployed:
            self._deployed.append(Quantised(self, self.quantised, captured=self._captured[0]))
        self._deployed[0].load_state_dict(self.state_dict())
        return self._deployed[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> Quantised:
        other = Quantised.__new__(Quantised)
        memo[id(self)] = other
        with quiet():  # torch warns of its own way to copy a graph
            other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    def converted(self) -> Quantised:
        """A copy whose graph has int8 weights between `quantize` and `dequantize`, for exporters."""
        other = copy.deepcopy(self.deployed())
        with quiet(), torch.no_grad():
            other.graph(*example(other))  # quantisers of weights see those of now
            other.graph = torchao().quantize_pt2e.convert_pt2e(other.graph)
        return other
