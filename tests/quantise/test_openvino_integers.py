"""OpenVINO computes graphs with 8 bits as they are meant: small graphs, each with one of the things that it does not do
right by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="what is right is what ONNX Runtime computes: pip install 'swath[onnx]'")
pytest.importorskip("openvino", reason="pip install 'swath[openvino]'")

import onnxruntime as ort
import openvino
from onnx import TensorProto, helper, numpy_helper

from swath.inference.runtimes.openvino_integers import sound

CHANNELS = 8
STEP = 0.03
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 13, 18, 4), dtype=np.uint8)


class Drawn:
    """A graph as it grows, from pixels that become values about 0."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(1)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.outputs: list[str] = []  # besides the last
        self.last = "image"
        self.add("Transpose", perm=[0, 3, 1, 2]).add("Cast", to=TensorProto.FLOAT)
        self.add("Mul", self.constant("gain", np.float32(2**-6))).add("Sub", self.constant("mean", np.float32(2)))

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op: str, *more: str, first: str = "", out: str = "", **attributes: Any) -> Drawn:
        name = out or f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [first or self.last, *more], [name], name, **attributes))
        self.last = name
        return self

    def levels(self, zero: int = 0) -> Drawn:
        name = f"levels{len(self.nodes)}"
        how = (self.constant(f"{name}.step", np.float32(STEP)), self.constant(f"{name}.zero", np.uint8(zero)))
        return self.add("QuantizeLinear", *how).add("DequantizeLinear", *how)

    def convolution(self, inputs: int = CHANNELS, bias: bool = True, stride: int = 1) -> Drawn:
        name, before = f"convolution{len(self.nodes)}", self.last
        # 7 bits: processors without VNNI saturate sums of two products of 8, and that is another question
        integers = self.draw.integers(-63, 64, (CHANNELS, inputs, 3, 3)).astype(np.int8)
        weight = self.constant(f"{name}.weight", integers)
        steps = self.constant(f"{name}.steps", self.draw.uniform(0.002, 0.006, CHANNELS).astype(np.float32))
        zeros = self.constant(f"{name}.zeros", np.zeros(CHANNELS, np.int8))
        self.add("DequantizeLinear", steps, zeros, first=weight, axis=0)
        more = [self.constant(f"{name}.bias", np.linspace(-1, 1, CHANNELS).astype(np.float32))] if bias else []
        return self.add("Conv", self.last, *more, first=before, pads=[1] * 4, strides=[stride] * 2)

    def halves(self) -> str:
        """Height and width of a map at stride 2, from those of the picture."""
        one, two = (self.constant(f"{value}", np.int64([value])) for value in (1, 2))
        self.add("Shape", first="image", start=1, end=3).add("Add", one)
        return self.add("Div", two).last

    def by_channel(self, op: str, low: float, high: float, first: str) -> Drawn:
        values = np.linspace(low, high, CHANNELS).astype(np.float32).reshape(1, -1, 1, 1)
        return self.add(op, self.constant(f"{op}{len(self.nodes)}.values", values), first=first)

    def model(self, *sides: int) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", *(sides or "hw"), 4])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (self.last, *self.outputs)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def padded_average(zero: int) -> Drawn:
    drawn = Drawn().convolution(inputs=4).levels(zero)
    drawn.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1)
    return drawn.levels(90).convolution()


def average_of_what_was_padded(zero: int) -> Drawn:
    drawn = Drawn().convolution(inputs=4).levels(zero)
    drawn.add("Pad", drawn.constant("around", np.int64([0, 0, 1, 1, 0, 0, 1, 1])))
    return drawn.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2]).levels(90).convolution()


def resized_in_its_own_batch() -> Drawn:
    """As torch's exporter writes it: batch and channels are those of what is resized."""
    drawn = Drawn().levels(128).convolution(inputs=4, stride=2).add("Relu").levels().convolution(stride=2).levels(90)
    before, sides = drawn.last, drawn.halves()
    drawn.add("Shape", first=before, out="own", start=0, end=2).add("Concat", sides, out="size", axis=0)
    return drawn.add("Resize", "", "", "size", first=before, mode="nearest").levels(90).convolution()


def resized_plane_by_plane() -> Drawn:
    """A map with more planes than there are pictures, which is asked how many."""
    drawn = Drawn().levels(128).convolution(inputs=4, stride=2).add("Relu").levels().convolution(stride=2).levels(90)
    before, sides = drawn.last, drawn.halves()
    whole = drawn.constant("whole", np.int64([-1, CHANNELS]))
    drawn.add("Shape", first=before, out="quarters", start=2, end=4)
    drawn.add("Concat", "quarters", first=drawn.constant("planes", np.int64([-1, 1])), out="apart", axis=0)
    drawn.add("Concat", sides, first=whole, out="together", axis=0)
    drawn.add("Reshape", "apart", first=before, out="plane")
    drawn.add("Shape", first="plane", out="own", start=0, end=2).add("Concat", sides, out="size", axis=0)
    drawn.add("Resize", "", "", "size", first="plane", mode="nearest").add("Reshape", "together")
    return drawn.levels(90).convolution()


def shaped_to_the_batch() -> Drawn:
    """A channel shuffle: its shape holds the batch, for which OpenVINO asks a convolution."""
    drawn = Drawn().levels(128).convolution(inputs=4, stride=2).add("Relu").levels().convolution().add("Relu").levels()
    before, sides = drawn.last, drawn.halves()
    drawn.add("Shape", first="image", out="batch", start=0, end=1)
    split = drawn.constant("split", np.int64([2, CHANNELS // 2]))
    drawn.add("Concat", split, sides, out="apart", axis=0)
    drawn.add("Concat", drawn.constant("all", np.int64([CHANNELS])), sides, first="batch", out="together", axis=0)
    drawn.add("Reshape", "apart", first=before).add("Transpose", perm=[0, 2, 1, 3, 4]).add("Reshape", "together")
    return drawn.levels().convolution()


def shift_of_what_others_read() -> Drawn:
    drawn = Drawn().levels(128).convolution(inputs=4, bias=False)
    before = drawn.last
    drawn.add("GlobalAveragePool", out="whole")
    drawn.outputs.append("whole")
    return drawn.by_channel("Add", -1, 1, first=before).add("Relu").levels().convolution()


def positive_part_of_what_is_joined() -> Drawn:
    """ShuffleNet's unit that halves a map."""
    drawn = Drawn().levels(128).convolution(inputs=4).add("Relu").levels()
    before = drawn.last
    pooled = drawn.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4).levels(28).last
    drawn.add("Identity", first=before).convolution(stride=2).levels(119)
    return drawn.add("Concat", pooled, axis=1).levels(21).add("Relu").levels()


CASES = {
    "padded average of what may be negative": lambda: padded_average(100),
    "padded average of what may not": lambda: padded_average(0),
    "average of what was padded": lambda: average_of_what_was_padded(100),
    "resize": resized_in_its_own_batch,
    "planes": resized_plane_by_plane,
    "shuffle": shaped_to_the_batch,
    "shift": shift_of_what_others_read,
    "join": positive_part_of_what_is_joined,
}


def right(model: Any) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # each operator by its definition
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": IMAGE})[0]


def by_openvino(model: Any) -> Any:
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(model, "CPU", settings)([IMAGE])[0]


@pytest.mark.parametrize("free", ["all", "batch"])
@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_is_meant(case: str, free: str, tmp_path: Path) -> None:
    model = CASES[case]().model(*IMAGE.shape[1:3] if free == "batch" else ())
    wanted = right(model)
    read = sound(openvino.Core().read_model(model.SerializeToString()))
    given = by_openvino(read)
    far = np.abs(given - wanted) > 1.5 * STEP  # a value in the middle between two levels may go either way
    assert far.mean() < 0.002, (far.mean(), np.abs(given - wanted).max())
    operators = len(read.get_ops())
    openvino.save_model(read, tmp_path / "model.xml")
    again = sound(openvino.Core().read_model(tmp_path / "model.xml"))
    assert len(again.get_ops()) == operators  # there is nothing left to change
    np.testing.assert_array_equal(by_openvino(again), given)


def test_a_network_in_float_stays_as_it_is() -> None:
    drawn = Drawn()
    weight = drawn.constant("weight", np.ones((CHANNELS, 4, 3, 3), np.float32))
    drawn.add("Conv", weight, drawn.constant("bias", np.ones(CHANNELS, np.float32)), pads=[1] * 4)
    drawn.add("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    model = openvino.Core().read_model(drawn.model().SerializeToString())
    before = [node.get_type_name() for node in model.get_ordered_ops()]
    assert [node.get_type_name() for node in sound(model).get_ordered_ops()] == before
