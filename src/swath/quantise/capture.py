"""A network as a graph of torch's operators, with a free batch, height and width."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from swath.networks import Network
from swath.quiet import quiet

ATEN = torch.ops.aten
DROPOUTS = (ATEN.dropout.default, ATEN.feature_dropout.default)  # third argument: whether they drop anything
BATCH_NORM = ATEN.batch_norm.default  # sixth argument: whether it uses and follows the batch's statistics


class _Logits(nn.Module):
    """What a runtime wants of a network: logits at its own stride."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        return self.network.forward_logits(*inputs)


def capture(network: Network) -> GraphModule:
    """The graph of a network in eval mode without its auxiliary heads. Tensors have their names; no operator writes
    into another's answer."""
    body = copy.deepcopy(network).drop_aux().eval()
    pictures = example(body)
    free = torch.export.Dim.DYNAMIC
    with quiet(), torch.no_grad():
        program = torch.export.export(
            _Logits(body), pictures, dynamic_shapes={"inputs": tuple({0: free, 2: free, 3: free} for _ in pictures)}
        )
        module = program.module(check_guards=False)  # they forbid small pictures for no reason of the operators
    assert isinstance(module, GraphModule)
    _write_nowhere(module)
    return module


def example(network: Network) -> tuple[Tensor, ...]:
    """Inputs to trace with: a batch of 2, unequal sides, and no map with a side of 1; tracers take what is 1, or equal,
    for constants."""
    device = next(network.parameters()).device
    height, width = (max(2 * least, more * network.deepest, 64) for least, more in zip(network.min_size, (2, 3)))
    return tuple(torch.zeros(2, channels, height, width, device=device) for channels in network.inputs.values())


def tensor_of(node: Any) -> Tensor | None:
    """The (fake) float tensor that a node answers, if it is one."""
    value = node.meta.get("val") if isinstance(node, Node) else None
    return value if isinstance(value, Tensor) and value.is_floating_point() else None


def attribute(graph: GraphModule, name: str) -> Tensor:
    """A parameter or buffer by its dotted name."""
    owner, _, leaf = name.rpartition(".")
    tensor: Tensor = getattr(graph.get_submodule(owner), leaf)
    return tensor


def _write_nowhere(module: GraphModule) -> None:
    """Operators in place (`relu_`) become those that answer a new tensor: quantisers stand between operators."""
    for node in module.graph.nodes:
        plain = _out_of_place(node)
        if plain is None:
            continue
        written = node.args[0]
        node.target = plain
        for user in list(written.users):
            if user > node:  # it comes later, and meant what had been written
                user.replace_input_with(written, node)
    module.recompile()


def _out_of_place(node: Node) -> Any:
    """The operator without the underscore; None for a node that has none."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return None
    name = target._schema.name.removeprefix("aten::")
    if not name.endswith("_") or not hasattr(ATEN, name[:-1]):
        return None
    return getattr(getattr(ATEN, name[:-1]), target._overloadname)
