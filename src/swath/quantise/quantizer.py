"""Which tensors of a graph are quantised, and how: torchao asks its `Quantizer`, this is ours.

Every tensor that engines keep in memory between two operators is quantised once, where it is made: the input; the
answer of a convolution (with its norm, and with the ReLU that follows, if one does), of a sum, a product, a
concatenation, an average. What only moves or picks values (maxima, resizing, reshaping) keeps the range of its input.

Not quantised: what does not depend on the picture (sums of parameters, places counted from sizes), and where a map is
sampled: 256 levels across a map are wider than its cells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from swath.quantise.capture import ATEN, BATCH_NORM, DROPOUTS, tensor_of
from swath.quantise.library import torchao
from swath.quantise.norms import CONVOLUTIONS, INNER
from swath.quantise.observers import Activations, PerChannelWeights, Weights
from swath.quantise.schemes import Scheme

Quantizer: Any = torchao().quantizer.Quantizer

# Engines run these as a part of the operator before them.
_RELUS = (ATEN.relu.default, ATEN.relu6.default, ATEN.hardtanh.default, ATEN.clamp.default)
_POSITIVE = (ATEN.relu.default, ATEN.relu6.default, ATEN.sigmoid.default, ATEN.hardsigmoid.default)
_WEIGHTED = (*CONVOLUTIONS, ATEN.linear.default)
# They read no values.
_MEASURING = (ATEN.sym_size.int, ATEN._assert_tensor_metadata.default)
# New values of what goes in.
_MAKING = (
    *_WEIGHTED,
    *_RELUS,
    BATCH_NORM,
    ATEN.add.Tensor,
    ATEN.sub.Tensor,
    ATEN.mul.Tensor,
    ATEN.cat.default,
    ATEN.avg_pool2d.default,
    ATEN.adaptive_avg_pool2d.default,
    ATEN.mean.dim,
    ATEN.sigmoid.default,
    ATEN.hardsigmoid.default,
    ATEN.hardswish.default,
    ATEN.silu.default,
    ATEN.leaky_relu.default,
    ATEN.prelu.default,
    ATEN.elu.default,
)
# The values that go in, or between them.
_KEEPING = (
    ATEN.max_pool2d.default,
    ATEN.adaptive_max_pool2d.default,
    ATEN.upsample_bilinear2d.vec,
    ATEN.upsample_bilinear2d.default,
    ATEN.upsample_nearest2d.vec,
    ATEN.reshape.default,
    ATEN.view.default,
    ATEN.flatten.using_ints,
    ATEN.permute.default,
    ATEN.transpose.int,
    ATEN.slice.Tensor,
    ATEN.select.int,
    ATEN.pixel_shuffle.default,
    ATEN.contiguous.default,
    ATEN.clone.default,
)


class Annotator(Quantizer):  # type: ignore[misc]
    """Annotates the graphs of `norms.fold` and `norms.unfold` alike: the same tensors in the same order."""

    def __init__(self, scheme: Scheme):
        self.scheme = scheme
        self.parts = torchao().quantizer
        self.exact: set[Node] = set()

    def annotate(self, model: GraphModule) -> GraphModule:
        nodes = list(model.graph.nodes)
        self.exact = {*nodes} - _of_the_picture(nodes) | _places(nodes)
        for node in nodes:
            if spec := self._answer(node):
                self._put(node, spec)
        for node in nodes:  # an operator unknown above that a convolution reads
            source = _source(node.args[0]) if node.target in _WEIGHTED else None
            if source is not None and not self._annotated(source) and tensor_of(source) is not None:
                self._put(source, self._own(source))
        for node in nodes:
            if node.target in _WEIGHTED:
                weight = node.args[1]
                self._annotation(node).input_qspec_map[weight] = self._weight(node)
        return model

    def validate(self, model: GraphModule) -> None:
        """torchao wants this; all that is annotated here can be had."""

    def _answer(self, node: Node) -> Any:
        """How the answer of a node is quantised; None: it is not."""
        if tensor_of(node) is None or node.meta.get(INNER) or node in self.exact or _goes_into_relu(node):
            return None
        if node.op == "placeholder" or node.target in _MAKING:
            return self._own(node)
        if node.target in _KEEPING:
            source = _source(node.args[0])
            return self.parts.SharedQuantizationSpec(source) if self._annotated(source) else None
        return None

    def _own(self, node: Node) -> Any:
        # With a zero point all can be unsigned; ONNX Runtime joins only operators whose inputs and outputs are alike.
        unsigned = not self.scheme.power2 or _unsigned(node)
        low, high = (0, 255) if unsigned else (-128, 127)
        return self.parts.QuantizationSpec(
            dtype=torch.uint8 if unsigned else torch.int8,
            observer_or_fake_quant_ctr=Activations.with_args(power2=self.scheme.power2),
            quant_min=low,
            quant_max=high,
            qscheme=torch.per_tensor_symmetric if self.scheme.power2 else torch.per_tensor_affine,
        )

    def _weight(self, node: Node) -> Any:
        transposed = node.target is ATEN.conv_transpose2d.input
        grouped = transposed and len(node.args) > 6 and node.args[6] != 1
        per_channel = self.scheme.per_channel and not grouped
        make = PerChannelWeights if per_channel else Weights
        return self.parts.QuantizationSpec(
            dtype=torch.int8,
            observer_or_fake_quant_ctr=make.with_args(power2=self.scheme.power2),
            quant_min=-128 if self.scheme.power2 else -127,
            quant_max=127,
            qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
            ch_axis=int(transposed) if per_channel else None,
        )

    def _annotation(self, node: Node) -> Any:
        return node.meta.setdefault("quantization_annotation", self.parts.QuantizationAnnotation(_annotated=True))

    def _put(self, node: Node, spec: Any) -> None:
        self._annotation(node).output_qspec = spec

    def _annotated(self, node: Node | None) -> bool:
        annotation = node.meta.get("quantization_annotation") if node is not None else None
        return annotation is not None and annotation.output_qspec is not None


def _of_the_picture(nodes: list[Node]) -> set[Node]:
    """The tensors that depend on an input's values, not only on its size."""
    found: set[Node] = set()
    for node in nodes:
        carries = node.op == "placeholder" or any(each in found for each in node.all_input_nodes)
        if carries and node.target not in _MEASURING:
            found.add(node)
    return found


def _places(nodes: list[Node]) -> set[Node]:
    """What is of no other use than to say where a map is sampled, back to the convolutions that learned it."""
    found: set[Node] = set()

    def place(node: Node, user: Node) -> bool:
        sampled = user.target is ATEN.grid_sampler.default and user.args[0] is not node
        return sampled or (user in found and user.target not in _WEIGHTED)

    for node in reversed(nodes):
        readers = [user for user in node.users if user.target not in _MEASURING]
        if readers and all(place(node, reader) for reader in readers):
            found.add(node)
    return found


def _source(node: Any) -> Node | None:
    """Where a tensor was made: dropout does nothing when the network is used."""
    while isinstance(node, Node) and node.target in DROPOUTS:
        node = node.args[0]
    return node if isinstance(node, Node) else None


def _goes_into_relu(node: Node) -> bool:
    """Whether a ReLU, and nothing else, reads the answer."""
    if node.target not in (*_WEIGHTED, BATCH_NORM, ATEN.add.Tensor, ATEN.sub.Tensor):
        return False
    return len(node.users) == 1 and next(iter(node.users)).target in _RELUS


def _unsigned(node: Any) -> bool:
    """Whether no value can be below 0."""
    if not isinstance(node, Node):
        return False
    if node.target in _POSITIVE:
        return True
    if node.target in (ATEN.hardtanh.default, ATEN.clamp.default):
        least: Any = node.args[1] if len(node.args) > 1 else None
        return least is not None and bool(least >= 0)
    if node.target in (ATEN.add.Tensor, ATEN.mul.Tensor):
        return all(_unsigned(each) for each in node.args[:2])
    if node.target is ATEN.cat.default:
        return all(_unsigned(each) for each in node.args[0])  # type: ignore[union-attr]
    if node.target in (*_KEEPING, *DROPOUTS, ATEN.avg_pool2d.default, ATEN.adaptive_avg_pool2d.default, ATEN.mean.dim):
        return _unsigned(node.args[0])
    return False
