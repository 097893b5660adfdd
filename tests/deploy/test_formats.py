"""What formats other than the first three can and refuse: one size, halves, engines that are not here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small import small

import tiny
from swath import Segmenter, SwathError
from swath.cli import export as command
from swath.deploy import FORMATS, export, tensorrt
from swath.deploy.device import DEVICES
from swath.deploy.graph import exportable, of_size
from swath.deploy.verify import HALF, moved, truth_of
from swath.networks.fusion import fuse

SIZE = (32, 48)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def need_onnx() -> None:
    pytest.importorskip("onnxscript", reason="it writes ONNX")
    pytest.importorskip("onnxruntime", reason="it runs ONNX")


def test_every_format_has_its_place_everywhere() -> None:
    assert set(command.FORMATS) == {*FORMATS, "web"} and set(DEVICES) == set(FORMATS)


@pytest.mark.parametrize("finish", ["outside", "inside"])
def test_halves_answer_nearly_the_same_from_a_smaller_file(tmp_path: Path, finish: str) -> None:
    need_onnx()
    import onnx
    import onnxruntime

    report = export(small(), tmp_path / "h.onnx", "onnx", finish=finish, size=SIZE, precision="fp16")
    assert report.passed and all(check.limits.error >= HALF.error for check in report.checks)
    weights = [each.data_type for each in onnx.load(tmp_path / "h.onnx").graph.initializer if len(each.dims) == 4]
    assert weights.count(onnx.TensorProto.FLOAT16) == 2
    session = onnxruntime.InferenceSession(str(tmp_path / "h.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)" and session.get_inputs()[0].shape[1:] == [*SIZE, 3]
    assert session.get_outputs()[0].type == ("tensor(uint8)" if finish == "inside" else "tensor(float)")


def test_what_halves_may_change_is_measured_on_the_network() -> None:
    """A network that amplifies has wider limits than one that does not; neither has none."""
    picture = torch.from_numpy(tiny.picture(1, 64, 96))[None]
    calm, wild = small(), small()
    with torch.no_grad():
        wild.last.weight.copy_(wild.last.weight - wild.last.weight.mean((2, 3), keepdim=True))
        wild.first[0].weight.mul_(0.01)  # small differences of large values are what comes out
        wild.first[0].bias.fill_(50)
        wild.last.bias.zero_()
        wild.last.padding = (0, 0)
    for model, low, high in ((calm, HALF.error, 0.01), (wild, 0.1, 1000)):
        limits = truth_of(Segmenter(model, optimise=False), "", picture, moved(model, "fp16"), "fp16").limits
        assert low <= limits.error <= high and limits.tie == limits.error


def test_a_file_for_one_size_says_so_and_takes_no_other(tmp_path: Path) -> None:
    need_onnx()
    model = small()
    extra = [("mine", torch.from_numpy(tiny.picture(3, 50, 50))[None])]
    report = export(model, tmp_path / "a.onnx", "onnx", size=SIZE, pictures=extra)
    assert {check.size for check in report.checks} == {SIZE} and "mine" in [check.name for check in report.checks]
    segmenter = Segmenter(tmp_path / "a.onnx")
    assert segmenter.description.shape == SIZE
    assert segmenter(tiny.picture(1, *SIZE)).labels.shape == SIZE
    with pytest.raises(SwathError, match="48x32"):
        segmenter(tiny.picture(1, 40, 48))


def test_sizes_that_no_file_can_have_name_the_next_that_can() -> None:
    _, description, _ = exportable(small(multiple=8), "outside")
    with pytest.raises(SwathError, match=r"size 50x3: .* 8 times a whole number, at least 8x8; the next is 56x8"):
        of_size(description, (3, 50))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_openvino_has_two_files_and_halves_its_weights(tmp_path: Path, precision: str) -> None:
    need_onnx()
    pytest.importorskip("openvino", reason="it reads and writes its own files")
    report = export(small(), tmp_path / "a.xml", "openvino", precision=precision)
    assert report.passed
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.bin", "a.xml"]
    weights = 4 * (3 * 16 * 9 + 16 + 16 * 4 * 9 + 4)
    size = (tmp_path / "a.bin").stat().st_size
    assert (size > weights) == (precision == "fp32") and size > weights / 2
    assert str(tmp_path).encode() not in (tmp_path / "a.xml").read_bytes()


@pytest.mark.parametrize("finish", ["outside", "inside"])
def test_halved_weights_of_openvino_leave_the_pixels_values_alone(tmp_path: Path, finish: str) -> None:
    """Its answer to a black picture is that of the network with halved weights, whose pixels become values in float32:
    with a halved offset all of them would be shifted alike."""
    need_onnx()
    openvino = pytest.importorskip("openvino")
    export(small(), tmp_path / "h.xml", "openvino", finish=finish, precision="fp16")
    model = openvino.Core().read_model(tmp_path / "h.xml")
    kinds = [node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"]
    assert openvino.Type.f16 in kinds
    if finish == "outside":
        black = torch.zeros(1, *SIZE, 3, dtype=torch.uint8)
        halved = Segmenter(fuse(small()).half().float(), optimise=False).runtime.run(black)
        found = Segmenter(tmp_path / "h.xml").runtime.run(black)
        assert (found - halved).abs().max() < 1e-5 * halved.abs().max()


def test_executorch_plans_for_one_size(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="--size 1024x512"):
        export(small(), tmp_path / "a.pte", "executorch")
    assert list(tmp_path.iterdir()) == []
    pytest.importorskip("executorch", reason="it makes and runs its own programs")
    assert export(small(), tmp_path / "a.pte", "executorch", size=SIZE).passed
    told = json.loads((tmp_path / "a.pte.json").read_text())
    assert told["runtime"]["shape"] == list(SIZE)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.pte", "a.pte.json"]


def test_aot_without_a_compiler_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder, exc

    def none() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(SwathError, match=r"install g\+\+ or clang\+\+"):
        export(small(), tmp_path / "a.aoti", "aot")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif("SWATH_TEST_EXPORTS" not in os.environ, reason="half a minute of a C++ compiler: make test-exports")
@pytest.mark.parametrize(("finish", "precision"), [("outside", "fp32"), ("inside", "fp32"), ("outside", "fp16")])
def test_aot_answers_as_the_network_does(tmp_path: Path, finish: str, precision: str) -> None:
    assert export(small(), tmp_path / "a.aoti", "aot", finish=finish, precision=precision).passed
    assert str(Path(__file__).parents[1]).encode() not in (tmp_path / "a.aoti").read_bytes()


# Operators that TensorRT's parser takes (its own table of them), as far as networks here could need them.
TENSORRT_TAKES = {
    *("Add", "And", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant"),
    *("ConstantOfShape", "Conv", "ConvTranspose", "DepthToSpace", "Div", "Equal", "Exp", "Expand", "Flatten", "Floor"),
    *("Gather", "GatherElements", "Gemm", "GlobalAveragePool", "Identity", "LeakyRelu", "Less", "MatMul", "Max"),
    *("MaxPool", "Min", "Mul", "Neg", "Pad", "Pow", "PRelu", "Range", "ReduceMax", "ReduceMean", "ReduceSum", "Relu"),
    *("Reshape", "Resize", "ScatterElements", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze"),
    *("Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where"),
}


@pytest.mark.parametrize("finish", ["outside", "inside"])
def test_the_onnx_for_tensorrt_has_bytes_next_to_floats_only(tmp_path: Path, finish: str) -> None:
    """TensorRT knows uint8 at a graph's ends, cast from and to floats, and nowhere else."""
    need_onnx()
    import onnx
    import onnxruntime

    model = small()
    module, description, pixels = exportable(model, finish)
    path = tmp_path / "a.onnx"
    tensorrt.write_onnx(module, description, pixels, path)
    graph = onnx.load(str(path)).graph
    assert {node.op_type for node in graph.node} <= TENSORRT_TAKES
    readers = [node for node in graph.node if "image" in node.input and node.op_type != "Shape"]
    assert [node.op_type for node in readers] == ["Cast"] and readers[0].attribute[0].i == onnx.TensorProto.FLOAT
    if finish == "inside":
        (last,) = (node for node in graph.node if "labels" in node.output)
        (before,) = (node for node in graph.node if last.input[0] in node.output)
        assert last.op_type == before.op_type == "Cast" and before.attribute[0].i == onnx.TensorProto.FLOAT
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"image": pixels.numpy()})
    with torch.no_grad():
        expected = module(pixels).numpy()
    assert answer.dtype == expected.dtype and np.allclose(answer, expected, atol=1e-4)


def test_plans_are_tuned_for_sizes_that_the_network_takes() -> None:
    _, description, _ = exportable(small(multiple=32), "outside")
    least, likely, largest = tensorrt.shapes(description)
    assert least == (1, 32, 32, 3) and likely == (1, 512, 1024, 3) and largest == (8, 1088, 2048, 3)
    assert tensorrt.shapes(of_size(description, (64, 96))) == ((1, 64, 96, 3), (1, 64, 96, 3), (8, 64, 96, 3))


def test_tensorrt_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(SwathError, match=r"pip install 'swath\[tensorrt\]', or carry --to onnx"):
        export(small(), tmp_path / "a.engine", "tensorrt")
    assert list(tmp_path.iterdir()) == []


def test_what_tensorrt_refuses_becomes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_onnx()
    reason = SimpleNamespace(desc=lambda: "no such op")
    parser = SimpleNamespace(parse=lambda source: False, num_errors=1, get_error=lambda index: reason)
    builder = SimpleNamespace(create_network=lambda flags: None)
    fake: Any = SimpleNamespace(
        Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None}),
        Builder=lambda logger: builder,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        OnnxParser=lambda network, logger: parser,
    )
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    with pytest.raises(SwathError, match=r"does not take this network \(no such op\)"):
        export(small(), tmp_path / "a.engine", "tensorrt", size=SIZE)

    def no_gpu(logger: object) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    fake.Builder = no_gpu
    with pytest.raises(SwathError, match="no NVIDIA GPU here"):
        export(small(), tmp_path / "a.engine", "tensorrt", size=SIZE)
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SwathError, match="unknown precision 'fp61'; did you mean 'fp16'"):
        export(small(), tmp_path / "a.onnx", "onnx", precision="fp61")  # type: ignore[arg-type]
    eight = small()
    eight.quantised = "int8"
    for to in ("pt2", "aot", "executorch", "torchscript"):
        with pytest.raises(SwathError, match="cannot hold; --to onnx can"):
            export(eight, tmp_path / f"a{FORMATS[to]}", to)
    with pytest.raises(SwathError, match="leave --precision fp16 out"):
        export(eight, tmp_path / "a.onnx", "onnx", precision="fp16")
    need_onnx()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SwathError, match=r"pip install 'swath\[openvino\]'"):
        export(small(), tmp_path / "a.xml", "openvino")
    assert list(tmp_path.iterdir()) == []
