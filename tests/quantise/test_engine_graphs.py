"""Quantised graphs with layers brought back to float, and how each layer is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="quantised graphs are ONNX: pip install 'swath[onnx]'")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from swath.quantise.engines.graph import Quantised, exact
from swath.quantise.engines.sensitivity import CLEAN, sensitivities

PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), dtype=np.uint8))


def plain() -> Any:
    """Pixels, normalised; three convolutions (two of one shape, one ReLU between), a sum."""
    draw = np.random.default_rng(1)

    def weight(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(draw.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["values"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["values", "gain"], ["scaled"], "gain_by"),
        helper.make_node("Conv", ["scaled", "network.stem.weight", "stem.bias"], ["a"], "stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "network.one.weight"], ["c"], "one", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["b", "network.two.weight"], ["d"], "two", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "d"], ["logits"], "sum"),
    ]
    constants = [
        numpy_helper.from_array(np.float32([1 / 128]), "gain"),
        weight("network.stem.weight", 8, 3, 3, 3),
        weight("stem.bias", 8),
        weight("network.one.weight", 5, 8, 3, 3),
        weight("network.two.weight", 5, 8, 3, 3),
    ]
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5, "h", "w"])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


class Once(CalibrationDataReader):
    def __init__(self) -> None:
        self.rest = [{"image": PIXELS.numpy()}]

    def get_next(self) -> Any:
        return self.rest.pop() if self.rest else None


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Quantised]:
    folder = tmp_path_factory.mktemp("graph")
    model = plain()
    onnx.save(model, str(folder / "plain.onnx"))
    quantize_static(
        str(folder / "plain.onnx"),
        str(folder / "int8.onnx"),
        Once(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=exact(model),
    )
    return model, Quantised(onnx.load(str(folder / "int8.onnx")), model)


def answer(model: Any) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": PIXELS.numpy()})[0]


def test_the_preprocessing_is_no_layer(pair: tuple[Any, Quantised]) -> None:
    model, graph = pair
    assert exact(model) == ["planes", "cast", "gain_by"]
    assert {layer.name for layer in graph.layers} >= {"stem", "one", "two", "sum", "what comes out"}
    assert not {"planes", "cast", "gain_by"} & {layer.node for layer in graph.layers}
    assert {layer.name: layer.weights for layer in graph.layers}["stem"] == 8 * 3 * 3 * 3


def test_all_layers_in_float_are_the_float_network(pair: tuple[Any, Quantised]) -> None:
    model, graph = pair
    freed = graph.with_float([layer.node for layer in graph.layers])
    assert not [node for node in freed.graph.node if "QuantizeLinear" in node.op_type]
    assert {each.name for each in freed.graph.initializer} >= {"float/network.stem.weight", "float/stem.bias"}
    np.testing.assert_allclose(answer(freed), answer(model), atol=1e-5)
    assert np.abs(answer(graph.with_float([])) - answer(model)).max() > 1e-3  # and in 8 bits they are not


def test_one_layer_in_float_has_its_own_weights_again(pair: tuple[Any, Quantised]) -> None:
    """Two convolutions have weights of one shape: each gets its own."""
    model, graph = pair
    for name in ("one", "two"):
        freed = graph.with_float([name])
        node = next(each for each in freed.graph.node if each.name == name)
        assert node.input[1] == f"float/network.{name}.weight" and node.input[0] == "b"
        kinds = {each.op_type for each in freed.graph.node}
        assert {"QuantizeLinear", "DequantizeLinear", "Relu"} <= kinds
    assert "Relu" not in {each.op_type for each in graph.with_float([]).graph.node}  # rounding does it by the way
    everything_else = graph.with_float(graph.all_but("one"))
    assert 0 < np.abs(answer(everything_else) - answer(model)).max() < 0.1


def test_each_layer_alone(pair: tuple[Any, Quantised]) -> None:
    _, graph = pair
    found = {each.layer.name: each for each in sensitivities(graph, [PIXELS])}
    assert set(found) == {layer.name for layer in graph.layers}
    for name in ("stem", "one", "two", "sum"):
        assert 15 < found[name].own < 70 and 15 < found[name].logits < 70 and 0.8 < found[name].agree <= 1, found[name]
    assert all(each.own <= CLEAN for each in found.values())


def test_a_worse_layer_is_told_from_a_better_one(pair: tuple[Any, Quantised]) -> None:
    """One weight a thousand times the others leaves those of its channel no levels."""
    model, graph = pair
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(graph.model)
    maker = {output: node for node in spoilt.graph.node for output in node.output}
    two = next(node for node in spoilt.graph.node if node.name == "two")
    scale = maker[two.input[1]].input[1]
    for each in spoilt.graph.initializer:
        if each.name == scale:
            each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each) * np.float32(1.3), scale))
    found = {each.layer.name: each for each in sensitivities(Quantised(spoilt, model), [PIXELS])}
    assert found["two"].logits < 20 < found["one"].logits
