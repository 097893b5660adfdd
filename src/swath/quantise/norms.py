"""Batch norms behind convolutions, written so that what is quantised is the weight that will run: norm folded in.

With s = gamma / sqrt(variance + eps) of the running statistics, a convolution by w * s and a norm's shift are, in eval
mode, convolution and norm. While the statistics of batches still count, the answer is divided by s again and goes
through the norm as always (Jacob et al., arXiv 1712.05877, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

from swath.quantise.capture import ATEN, BATCH_NORM, DROPOUTS, attribute
from swath.quantise.ranges import tamed

CONVOLUTIONS = (ATEN.conv2d.default, ATEN.conv2d.padding, ATEN.conv_transpose2d.input)
INNER = "swath_inner"  # in a node's meta: its answer goes on to the norm and is not quantised
_OWNER = "swath_bias"  # in a node's meta: the tensor by which its answer is shifted


@dataclass(frozen=True)
class Pair:
    """A convolution whose answer only a norm reads."""

    convolution: Node
    norm: Node

    @property
    def shape(self) -> tuple[int, ...]:
        """Of s, against the weight."""
        return (1, -1, 1, 1) if self.convolution.target is ATEN.conv_transpose2d.input else (-1, 1, 1, 1)


def pairs(module: GraphModule) -> Iterator[Pair]:
    for norm in module.graph.nodes:
        convolution = norm.args[0] if norm.target is BATCH_NORM else None
        if not isinstance(convolution, Node) or convolution.target not in CONVOLUTIONS or len(convolution.users) > 1:
            continue
        if norm.args[1] is None or norm.args[3] is None or norm.args[4] is None:
            continue  # without weights, or without statistics of its own, there is nothing to fold
        groups = convolution.args[6] if len(convolution.args) > 6 else 1
        if convolution.target is ATEN.conv_transpose2d.input and groups != 1:
            continue  # its output channels lie on no axis of the weight
        yield Pair(convolution, norm)


def _part(module: GraphModule) -> None:
    """torchao folds every norm behind a convolution, also where others read the convolution's answer."""
    folded = {pair.norm for pair in pairs(module)}
    for node in module.graph.nodes:
        if node.target is BATCH_NORM and node not in folded and node.args[0].target in CONVOLUTIONS:
            source = node.args[0]
            with module.graph.inserting_before(node):
                apart = module.graph.call_function(ATEN.clone.default, (source,))
            apart.meta["val"] = source.meta["val"]
            node.args = (apart, *node.args[1:])


def fold(module: GraphModule) -> GraphModule:
    """Norms inside the convolutions, computed from the tensors as they are at the moment: as deployed."""
    graph = module.graph
    for pair in list(pairs(module)):
        _, _, beta, mean, *_ = pair.norm.args
        with graph.inserting_before(pair.convolution):
            beta, mean = _again(graph, beta), _again(graph, mean)
            scale = _scale_weight(graph, pair)
            bias = graph.call_function(ATEN.sub.Tensor, (beta, graph.call_function(ATEN.mul.Tensor, (mean, scale))))
            if (own := _bias(pair.convolution)) is not None:
                bias = graph.call_function(ATEN.add.Tensor, (bias, graph.call_function(ATEN.mul.Tensor, (own, scale))))
        pair.convolution.meta[_OWNER] = pair.norm.args[2].target  # type: ignore[union-attr]
        _set_bias(pair.convolution, bias)
        pair.norm.replace_all_uses_with(pair.convolution)
    for node in list(graph.nodes):
        if node.target is BATCH_NORM and node.args[3] is not None:
            _straighten(graph, node)
        if node.target in DROPOUTS:
            node.replace_all_uses_with(node.args[0])
    return _tidy(module)


def _straighten(graph: Graph, norm: Node) -> None:
    """A norm that no convolution takes in, as a product and a sum."""
    x, gamma, beta, mean, variance, _, _, eps, *_ = norm.args
    with graph.inserting_before(norm):
        scale = graph.call_function(ATEN.rsqrt.default, (graph.call_function(ATEN.add.Scalar, (variance, eps)),))
        if gamma is not None:
            scale = graph.call_function(ATEN.mul.Tensor, (scale, gamma))
        product = graph.call_function(ATEN.mul.Tensor, (mean, scale))
        shift = graph.call_function(ATEN.neg.default, (product,))
        if beta is not None:
            shift = graph.call_function(ATEN.add.Tensor, (shift, beta))
        wide = [graph.call_function(ATEN.reshape.default, (each, [1, -1, 1, 1])) for each in (scale, shift)]
        scaled = graph.call_function(ATEN.mul.Tensor, (x, wide[0]))
        answer = graph.call_function(ATEN.add.Tensor, (scaled, wide[1]))
    scaled.meta[INNER] = True
    answer.meta["val"] = norm.meta["val"]
    norm.replace_all_uses_with(answer)


def unfold(module: GraphModule) -> GraphModule:
    """Folded weights, but norms that go on learning."""
    _part(module)
    graph = module.graph
    for pair in list(pairs(module)):
        convolution, norm = pair.convolution, pair.norm
        own = _bias(convolution)
        with graph.inserting_before(convolution):
            scale = _scale_weight(graph, pair)
        _set_bias(convolution, None)
        with graph.inserting_before(norm):
            nought = graph.call_function(ATEN.eq.Scalar, (scale, 0))
            safe = graph.call_function(ATEN.masked_fill.Scalar, (scale, nought, 1.0))
            across = graph.call_function(ATEN.reshape.default, (safe, [1, -1, 1, 1]))
            answer = graph.call_function(ATEN.div.Tensor, (convolution, across))
            convolution.meta[INNER] = answer.meta[INNER] = True
            if own is not None:
                own = _again(graph, own)
                shift = graph.call_function(ATEN.reshape.default, (own, [1, -1, 1, 1]))
                answer = graph.call_function(ATEN.add.Tensor, (answer, shift))
                answer.meta[INNER] = True
        norm.args = (answer, *norm.args[1:])
    return _tidy(module)


def biases(module: GraphModule) -> dict[str, str]:
    """Of a folded graph: the convolutions whose answer a tensor shifts, and the name of that tensor."""
    found = {}
    for node in module.graph.nodes:
        if node.target in CONVOLUTIONS:
            own = _bias(node)
            owner = node.meta.get(_OWNER) or (own.target if own is not None and own.op == "get_attr" else None)
            if owner:
                found[node.name] = str(owner)
    return found


def tame(module: GraphModule) -> None:
    """Clamp, in a captured graph, the few folded weights that would make a power of two too coarse for all others."""
    folded = {pair.convolution: pair for pair in pairs(module)}
    for node in module.graph.nodes:
        weight = node.args[1] if node.target in CONVOLUTIONS else None
        if not isinstance(weight, Node) or weight.op != "get_attr":
            continue
        values = attribute(module, str(weight.target)).data
        scale = torch.ones((), device=values.device)
        if pair := folded.get(node):
            norm: Any = pair.norm.args
            gamma, variance = (attribute(module, norm[place].target).data for place in (1, 4))
            scale = (gamma * (variance + norm[7]).rsqrt()).reshape(pair.shape)
        whole = values * scale
        clamped = tamed(whole)
        values.copy_(torch.where(clamped == whole, values, clamped / scale))


def _scale_weight(graph: Graph, pair: Pair) -> Node:
    """Make the convolution use w * s; the answer is s."""
    _, gamma, _, _, variance, _, _, eps, *_ = pair.norm.args
    spread = graph.call_function(ATEN.add.Scalar, (_again(graph, variance), eps))
    inverse = graph.call_function(ATEN.rsqrt.default, (spread,))
    scale = graph.call_function(ATEN.mul.Tensor, (_again(graph, gamma), inverse))
    across = graph.call_function(ATEN.reshape.default, (scale, list(pair.shape)))
    weight = pair.convolution.args[1]
    assert isinstance(weight, Node)
    folded = graph.call_function(ATEN.mul.Tensor, (weight, across))
    pair.convolution.args = (pair.convolution.args[0], folded, *pair.convolution.args[2:])
    return scale


def _again(graph: Graph, node: object) -> Node:
    """The same tensor, fetched here: where it is fetched now may come later."""
    assert isinstance(node, Node) and node.op == "get_attr"
    return graph.create_node("get_attr", node.target)


def _bias(convolution: Node) -> Node | None:
    bias = convolution.args[2] if len(convolution.args) > 2 else None
    return bias if isinstance(bias, Node) else None


def _set_bias(convolution: Node, bias: Node | None) -> None:
    convolution.args = (*convolution.args[:2], bias, *convolution.args[3:])


def _tidy(module: GraphModule) -> GraphModule:
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def learn_statistics(module: GraphModule, norms: bool, dropout: bool) -> None:
    """Whether batch norms use and follow the statistics of batches, and whether anything is dropped."""
    changed = False
    for node in module.graph.nodes:
        place, wanted = (5, norms) if node.target is BATCH_NORM else (2, dropout)
        if node.target in (BATCH_NORM, *DROPOUTS):
            changed |= node.args[place] != wanted
            node.args = (*node.args[:place], wanted, *node.args[place + 1 :])
    if changed:
        module.recompile()
