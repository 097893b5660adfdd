"""Quantised ONNX graphs: which of their operators compute with 8 bits, and such a graph with some of them in float.

All three engines' graphs are of one kind: before an operator that computes with 8 bits stand QuantizeLinear and
DequantizeLinear, at what goes in and, as constants, at its weights. An operator is brought back to float by reading
what stands before them, and the weights of the float graph.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Model = Any  # onnx.ModelProto
Array = npt.NDArray[Any]

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_ROUNDING = (_QUANTIZE, _DEQUANTIZE)
_MEASURING = ("Shape", "Size")  # they read no values
_RESULT = "result"  # the layer that stands for rounding what the network answers


@dataclass(frozen=True)
class Layer:
    """An operator that computes with 8 bits."""

    name: str  # for people: that of its weights in the network, or of the operator
    op: str
    node: str  # its name in the graph
    weights: int  # how many numbers
    output: str  # the tensor it gives


class Quantised:
    """A graph with 8 bits beside the float graph that it comes from."""

    def __init__(self, model: Model, plain: Model):
        self.model, self._put_back = _with_activations(model, plain)
        model = self.model
        nodes = model.graph.node
        self._maker = {output: node for node in nodes for output in node.output}
        self._constants = {each.name: each for each in model.graph.initializer}
        self._plain_constants = {each.name: each for each in plain.graph.initializer}
        self._twin = _twins(model, plain)
        self.layers = self._layers()

    def with_float(self, kept: Collection[str], outputs: Collection[str] = ()) -> Model:
        """A copy in which the layers of these nodes are in float; `outputs` are further tensors that it gives."""
        import onnx

        added: dict[str, Any] = {}
        nodes = []
        counting = [node for node in self.model.graph.node if node.op_type not in (*_ROUNDING, *_MEASURING)]
        rounded = {name for node in counting if node.name not in kept for name in node.input}
        for node in self.model.graph.node:
            new = type(node)()
            new.CopyFrom(node)
            # What measures goes the way of the others that read the same: one that reads floats beside those that do
            # not would keep engines from joining operators.
            measures = node.op_type in _MEASURING and not rounded.intersection(node.input)
            if measures or (node.name in kept and node.op_type not in _ROUNDING):
                self._free(new, added)
            nodes.append(new)
        if _RESULT in kept:
            nodes = self._free_result(nodes)
        nodes = self._without_idle(nodes)
        copy = _shell(self.model)
        copy.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in outputs)
        living, wanted = _living(nodes, [each.name for each in copy.graph.output])
        copy.graph.node.extend(living)
        constants = {**self._constants, **added}
        copy.graph.initializer.extend(each for name, each in constants.items() if name in wanted)
        return copy

    def all_but(self, node: str) -> list[str]:
        """Every layer but one: kept in float, they leave a network in which that one alone has 8 bits."""
        return [layer.node for layer in self.layers if layer.node != node]

    def _layers(self) -> list[Layer]:
        found = []
        for node in self.model.graph.node:
            if node.op_type in (*_ROUNDING, *_MEASURING) or not any(map(self._dequantised, node.input)):
                continue
            constants = [name for name in node.input if self._is_weight(name)]
            size = int(np.prod(self._constants[self._maker[constants[0]].input[0]].dims)) if constants else 0
            twin = self._twin.get(node.name)
            named = twin is not None and node.op_type in WEIGHTED and twin.input[1] in self._plain_constants
            name = _readable(twin.input[1]) if twin is not None and named else node.name.removeprefix("node_")
            found.append(Layer(name, node.op_type, node.name, size, node.output[0]))
        result = self.model.graph.output[0].name
        if self._dequantised(result):
            found.append(Layer("what comes out", "rounding", _RESULT, 0, result))
        return found

    def _dequantised(self, name: str) -> bool:
        maker = self._maker.get(name)
        return maker is not None and maker.op_type == _DEQUANTIZE

    def _is_weight(self, name: str) -> bool:
        return self._dequantised(name) and self._maker[name].input[0] in self._constants

    def _free(self, node: Any, added: dict[str, Any]) -> None:
        """Let a node read floats."""
        twin = self._twin.get(node.name)
        for place, name in enumerate(node.input):
            if self._dequantised(name) and not self._is_weight(name):
                quantize = self._maker[self._maker[name].input[0]]
                node.input[place] = quantize.input[0]
            elif self._is_weight(name) or (twin is not None and node.op_type in WEIGHTED and name in self._constants):
                # a bias may have been corrected for what rounding the weights does; in float it needs its own
                theirs = self._plain_constants.get(twin.input[place]) if twin is not None else None
                node.input[place] = _own(added, theirs) if theirs is not None else name

    def _free_result(self, nodes: list[Any]) -> list[Any]:
        """Let the graph answer what stands before the last rounding."""
        import onnx

        name = self.model.graph.output[0].name
        before = self._maker[self._maker[name].input[0]].input[0]
        nodes = [node for node in nodes if name not in node.output]
        return [*nodes, onnx.helper.make_node("Identity", [before], [name])]

    def _without_idle(self, nodes: list[Any]) -> list[Any]:
        """Leave out again the activations behind which there is only rounding, which does the same by the way: engines
        have faster forms of what is left."""
        readers: dict[str, set[str]] = {}
        for node in nodes:
            for name in node.input:
                readers.setdefault(name, set()).add(node.op_type)
        idle = {
            node.output[0]: node.input[0]
            for node in nodes
            if node.name in self._put_back and readers.get(node.output[0]) == {_QUANTIZE}
        }
        for node in nodes:
            if node.op_type == _QUANTIZE and node.input[0] in idle:
                node.input[0] = idle[node.input[0]]
        return [node for node in nodes if node.output[0] not in idle]


def exact(model: Model) -> list[str]:
    """The nodes that no engine's tool may put into 8 bits: those that make values of pixels, before any layer with
    weights; those that only depend on sizes; those of no other use than to say where a map is sampled, since 256 levels
    across a map are wider than a cell of most; and those that write or read infinities, which no levels reach."""
    behind: set[str] = set()
    found = []
    for node in model.graph.node:
        if node.op_type in WEIGHTED or (node.op_type not in _MEASURING and behind & set(node.input)):
            behind |= set(node.output)
        elif node.name:
            found.append(node.name)
    return list(dict.fromkeys([*found, *_places(model), *_endless(model)]))


def _endless(model: Model) -> list[str]:
    """What an infinite constant goes into, and what reads that: a softmax behind a mask."""
    from onnx.numpy_helper import to_array

    endless = {each.name for each in model.graph.initializer if np.isinf(to_array(each)).any()}
    endless |= {name for node in model.graph.node if endless.intersection(node.input) for name in node.output}
    return [node.name for node in model.graph.node if node.name and endless.intersection(node.input)]


def _places(model: Model) -> list[str]:
    """Back from where maps are sampled to the layers with weights that learned it."""
    places: set[str] = set()  # tensors that nothing else reads
    others = {each.name for each in model.graph.output}
    found = []
    for node in reversed(model.graph.node):
        only = places.issuperset(node.output) and not others.intersection(node.output)
        if only and node.op_type not in WEIGHTED:
            found.append(node.name)
            places.update(node.input)
        elif node.op_type == "GridSample":
            others.add(node.input[0])
            places.add(node.input[1])
        else:
            others.update(node.input)
    return [name for name in found if name]


def _with_activations(model: Model, plain: Model) -> tuple[Model, set[str]]:
    """ONNX Runtime's tool drops a ReLU that rounding to unsigned numbers does by the way, and gives the name of its
    answer to what stands before it. In float it is needed: here it is back, and the names of such nodes."""
    import onnx

    makers = {output: node for node in model.graph.node for output in node.output}
    lost = {}
    for node in plain.graph.node:
        maker = makers.get(node.output[0])
        if maker is not None and maker.op_type != node.op_type and maker.op_type not in _ROUNDING:
            lost[node.output[0]] = node
    if not lost:
        return model, set()
    nodes = []
    for node in model.graph.node:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        nodes.append(new)
        if activation := lost.get(node.output[0]):
            new.output[0] = activation.input[0]
            nodes.append(activation)
    whole = _shell(model)
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(model.graph.initializer)
    known = {each.name for each in model.graph.initializer}
    read = {name for node in lost.values() for name in node.input}
    whole.graph.initializer.extend(
        each for each in plain.graph.initializer if each.name in read and each.name not in known
    )
    return whole, {node.name for node in lost.values()}


def _twins(model: Model, plain: Model) -> dict[str, Any]:
    """Nodes of the float graph by the names of those of the quantised one: where they have weights, the one with the
    nearest, for tools order and number nodes anew; elsewhere the one of that name."""
    named = {node.name: node for node in plain.graph.node if node.op_type not in WEIGHTED}
    found = {node.name: named[node.name] for node in model.graph.node if node.name in named}
    free = _weights(plain)
    for node, weights in _weights(model):
        alike = [(place, other, values) for place, (other, values) in enumerate(free) if values.shape == weights.shape]
        alike = [each for each in alike if each[1].op_type == node.op_type]
        if not alike:
            raise RuntimeError(f"{node.name}: no {node.op_type} of the float graph has weights of {weights.shape}")
        place, twin, _ = min(alike, key=lambda each: float(np.abs(each[2] - weights).mean()))
        found[node.name] = twin
        del free[place]
    return found


def _weights(model: Model) -> list[tuple[Any, Array]]:
    """The nodes with weights, and these in float."""
    from onnx.numpy_helper import to_array

    constants = {each.name: each for each in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type not in WEIGHTED:
            continue
        name = node.input[1]
        if name in constants:
            found.append((node, to_array(constants[name])))
            continue
        maker = makers.get(name)
        if maker is None or maker.op_type != _DEQUANTIZE or maker.input[0] not in constants:
            continue  # a product of two activations
        values, scale, *zero = (to_array(constants[each]) for each in maker.input)
        axis = next((each.i for each in maker.attribute if each.name == "axis"), 1)
        wide = [-1 if place == axis else 1 for place in range(values.ndim)] if scale.ndim else []
        shift = zero[0].reshape(wide).astype(np.float32) if zero else 0
        found.append((node, (values.astype(np.float32) - shift) * scale.reshape(wide)))
    return found


def _own(added: dict[str, Any], constant: Any) -> str:
    """The name under which a constant of the float graph joins a quantised one."""
    name = f"float/{constant.name}"
    if name not in added:
        copy = type(constant)()
        copy.CopyFrom(constant)
        copy.name = name
        added[name] = copy
    return name


def _shell(model: Model) -> Model:
    """All of a model but its nodes and constants."""
    import onnx

    shell = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        if field.is_repeated:
            getattr(shell, field.name).extend(value)
        elif field.message_type:
            getattr(shell, field.name).CopyFrom(value)
        else:
            setattr(shell, field.name, value)
    shell.graph.name = model.graph.name
    shell.graph.input.extend(model.graph.input)
    shell.graph.output.extend(model.graph.output)
    return shell


def _living(nodes: list[Any], outputs: list[str]) -> tuple[list[Any], set[str]]:
    """The nodes that lead to the outputs, and every name that is read."""
    wanted = set(outputs)
    living = []
    for node in reversed(nodes):  # they stand in the order of computation, so one way back is enough
        if wanted.intersection(node.output):
            living.append(node)
            wanted.update(node.input)
    return living[::-1], wanted


def _readable(weight: str) -> str:
    """Of a tensor's name, what tells a person the layer."""
    return weight.removeprefix("pixels_in.").removeprefix("network.").removesuffix(".weight")
