"""Graphs with 8 bits for OpenVINO, which computes some of them wrongly (seen in 2026.4, on processors). What is written
here differently means the same; it goes around three mistakes.

**Padded averages.** An average pool that counts its padding takes it for the integer 0, not for the value 0: wrong
along the border where 0 is stored as another number. It is right where the padding is an operator of its own, with
levels behind it.

**Shifts by channel.** Where sides are free, a sum of a map and one number a channel that levels (`FakeQuantize`) read
becomes a part of these, and then the first channel's number is used for all. A convolution takes its bias in before
that happens, unless somebody else reads the convolution; and whoever asks a map for its batch, as torch's exporter does
of each that it resizes, is made to ask the first convolution that has one. So the numbers of such a sum go through a
minimum that changes nothing and depends on the batch: what is known only at run time becomes part of nothing. And the
batch is asked of the picture alone.

**Levels behind levels of joined maps**, with at most a ReLU between, crash the compilation where 0 is stored as another
number. The same minimum stands between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Model = Any  # openvino.Model
Node = Any  # openvino.Node

_CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")
_BY_CHANNEL = ("Add", "Subtract", "Multiply", "Divide")
_LARGE = np.float32(3e38)


def sound(model: Model) -> Model:
    """The model itself, changed where it has 8 bits."""
    if not any(node.get_type_name() == "FakeQuantize" for node in model.get_ops()):
        return model
    picture = model.input(0)
    batch = _mark_batch(model)
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "AvgPool":
            _pad_before(node)
        elif kind == "ShapeOf":
            _know_sides(node)
        elif kind == "Slice":
            _ask(picture, batch, node)
        elif kind == "FakeQuantize":
            _keep_apart(picture, node)
            _keep_from_joined(picture, node)
    model.validate_nodes_and_infer_types()
    return model


def _pad_before(pool: Node) -> None:
    from openvino import opset14 as op

    how = pool.get_attributes()
    before, after = ([int(each) for each in how[name]] for name in ("pads_begin", "pads_end"))
    source = pool.input_value(0)
    if source.get_node().get_type_name() == "Pad" and not any(before + after):
        if (ends := _ends(source.get_node().input_value(0).get_node())) is not None and ends[0] != 0:
            pool.input(0).replace_source_output(_leveled(source, ends).output(0))
        return
    ends = _ends(source.get_node())
    if how["exclude-pad"] or not any(before + after) or ends is None or ends[0] == 0:
        return
    nought = op.constant(np.float32(0))
    around = (np.array([0, 0, *each], np.int64) for each in (before, after))
    padded = _leveled(op.pad(source, *around, "constant", nought), ends)
    none = [0] * len(before)
    again = op.avg_pool(padded, how["strides"], none, none, how["kernel"], False, how["rounding_type"], "explicit")
    again.set_friendly_name(pool.get_friendly_name())
    _replace(pool, again)


def _leveled(values: Any, ends: tuple[float, float]) -> Node:
    from openvino import opset14 as op

    low, high = (op.constant(np.float32(end)) for end in ends)
    return op.fake_quantize(values, low, high, low, high, 256)


def _ends(node: Node) -> tuple[float, float] | None:
    """The values of the first and the last of 256 levels, where a node brings levels back to values: (x - zero) * step,
    all for a whole tensor."""
    step, zero = 1.0, 0.0
    if node.get_type_name() == "Multiply" and (found := _number(node)) is not None:
        step, node = found, node.input_value(0).get_node()
    if node.get_type_name() == "Subtract" and (found := _number(node)) is not None:
        zero, node = found, node.input_value(0).get_node()
    if node.get_type_name() != "Convert":
        return None
    first = 0 if node.input_value(0).get_element_type().get_type_name() == "u8" else -128
    return (first - zero) * step, (first + 255 - zero) * step


def _number(node: Node) -> float | None:
    value = _constant(node.input_value(1).get_node())
    return float(value.reshape(())) if value is not None and value.size == 1 else None


def _constant(node: Node) -> Any:
    """The value of a constant, also of one that is converted; None for what is none."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.get_data() if node.get_type_name() == "Constant" else None


def _know_sides(shape: Node) -> None:
    """The reader of ONNX asks each convolution with a bias for its shape, to see how many sides there are."""
    from openvino import opset14 as op

    asked = shape.input_value(0).get_node()
    rank = asked.input_value(0).get_partial_shape().rank if asked.get_type_name() == "ShapeOf" else None
    if rank is not None and rank.is_static:
        _replace(shape, op.constant([rank.get_length()], shape.output(0).get_element_type()))


def _mark_batch(model: Model) -> Any:
    """A mark on the first side of the picture, which is found again on all sides that are known to be as long."""
    from openvino import Symbol

    mark = Symbol()
    picture = model.get_parameters()[0]
    sides = picture.get_partial_shape()
    first = sides[0]
    first.set_symbol(mark)
    sides[0] = first
    picture.set_partial_shape(sides)
    model.validate_nodes_and_infer_types()
    return mark


def _ask(picture: Any, mark: Any, part: Node) -> None:
    """The first one or two sides of a map: the batch is that of the picture, the channels are known."""
    from openvino import opset14 as op

    shape = part.input_value(0).get_node()
    if shape.get_type_name() != "ShapeOf" or shape.input_value(0).get_node().get_type_name() == "Parameter":
        return
    start, stop = (_number_of(part, place) for place in (1, 2))
    sides = shape.input_value(0).get_partial_shape()
    if start != 0 or stop not in (1, 2) or sides.rank.is_dynamic or (stop == 2 and sides[1].is_dynamic):
        return
    if not sides[0].has_symbol() or sides[0].get_symbol() != mark:
        return
    kind = part.output(0).get_element_type()
    batch = op.gather(op.shape_of(picture, kind), np.array([0], np.int64), np.int64(0))
    channels = [op.constant([sides[1].get_length()], kind)] if stop == 2 else []
    _replace(part, op.concat([batch, *channels], 0))


def _number_of(node: Node, place: int) -> int | None:
    value = _constant(node.input_value(place).get_node())
    return int(value.reshape(())) if value is not None and value.size == 1 else None


def _keep_apart(picture: Any, levels: Node) -> None:
    source = levels.input_value(0).get_node()
    if source.get_type_name() == "Relu":
        source = source.input_value(0).get_node()
    if source.get_type_name() not in _BY_CHANNEL:
        return
    values = [_constant(each.get_node()) for each in source.input_values()]
    if all(value is None or value.size == 1 for value in values):
        return
    read = [each for each, value in zip(source.input_values(), values) if value is None]
    if read and read[0].get_node().get_type_name() in _CONVOLUTIONS and len(read[0].get_target_inputs()) == 1:
        return  # which takes it in
    for place, value in enumerate(values):
        if value is not None:
            source.input(place).replace_source_output(_unchanged(picture, source.input_value(place)))


def _keep_from_joined(picture: Any, levels: Node) -> None:
    source = levels.input_value(0).get_node()
    if source.get_type_name() == "Relu":
        source = source.input_value(0).get_node()
    ends = _ends(source)
    if ends is None or ends[0] == 0:
        return
    while source.get_type_name() in ("Multiply", "Subtract", "Convert"):
        source = source.input_value(0).get_node()
    if source.get_type_name() == "FakeQuantize" and source.input_value(0).get_node().get_type_name() == "Concat":
        levels.input(0).replace_source_output(_unchanged(picture, levels.input_value(0)))


def _unchanged(picture: Any, values: Any) -> Any:
    """The same values, which now depend on the batch."""
    from openvino import opset14 as op

    batch = op.gather(op.shape_of(picture), np.int64(0), np.int64(0))
    return op.minimum(values, op.add(op.convert(batch, "f32"), op.constant(_LARGE))).output(0)


def _replace(old: Node, new: Node) -> None:
    for reader in old.output(0).get_target_inputs():
        reader.replace_source_output(new.output(0))
