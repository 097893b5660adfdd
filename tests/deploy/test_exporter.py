"""Exported files answer as the original does, and those that do not are not kept."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import tiny
from swath import Segmenter, SwathError, load
from swath.deploy import FORMATS, Report, export
from swath.networks import Network

ANY_SIZE = ("onnx", "torchscript", "pt2", "openvino")  # and are made in seconds; the others: test_formats.py
COMBINATIONS = [(to, finish) for to in ANY_SIZE for finish in ("outside", "inside")]


class Exported(NamedTuple):
    path: Path
    finish: str
    report: Report
    segmenter: Segmenter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def network(folder: Path) -> Network:
    return load(tiny.weights(folder / "w.safetensors", dataset="shapes", score={"miou": 0.5}))


@pytest.fixture(scope="module", params=COMBINATIONS, ids=["-".join(each) for each in COMBINATIONS])
def exported(request: pytest.FixtureRequest, folder: Path, network: Network) -> Exported:
    to, finish = request.param
    if to in ("onnx", "openvino"):
        pytest.importorskip("onnxscript", reason="--to onnx needs it, and --to openvino starts there")
        pytest.importorskip("onnxruntime", reason="--to onnx needs it, and --to openvino starts there")
    if to == "openvino":
        pytest.importorskip("openvino", reason="nothing else reads its files")
    path = folder / f"{finish}{FORMATS[to]}"
    extra = [("mine", torch.from_numpy(tiny.picture(9))[None])]
    report = export(network, path, to, finish=finish, pictures=extra)
    return Exported(path, finish, report, Segmenter(path))


def test_is_certified_on_real_and_hostile_pictures(exported: Exported) -> None:
    finish, report = exported.finish, exported.report
    assert report.passed and all(check.wrong == 0 for check in report.checks)
    names = [check.name for check in report.checks]
    for name in ("street 0", "mine", "black", "white", "noise", "1-pixel chessboard", "odd size", "smallest size"):
        assert name in names
    assert all((check.error is None) == (finish == "inside") for check in report.checks)
    assert len({check.size for check in report.checks}) >= 5


def test_answers_as_the_weights_do_at_any_size(exported: Exported, network: Network) -> None:
    original, other = Segmenter(network), exported.segmenter
    pictures = [tiny.picture(i, *size) for i, size in enumerate([(1, 1), (32, 32), (33, 150), (128, 192), (77, 201)])]
    pictures += [tiny.picture(7, 77, 201)]  # a second one of a size: a batch of two
    for a, b in zip(original.batch(pictures), other.batch(pictures)):
        assert (a.labels != b.labels).mean() < 1e-3
        assert a.class_names == b.class_names and a.colors == b.colors


def test_the_file_says_what_it_is(exported: Exported) -> None:
    description = exported.segmenter.description
    assert description.finish == exported.finish and description.named
    assert description.meta.classes == tiny.NAMES and description.meta.network == "contextnet14_160"
    assert description.meta.dataset == "shapes" and description.meta.score == {"miou": 0.5}
    assert (description.stride, description.align_corners, description.min_size) == (8, True, (32, 32))


def test_files_hold_no_path_of_this_machine(exported: Exported) -> None:
    path = exported.path
    if path.suffix == ".pt":
        pytest.skip("TorchScript keeps the lines it was traced from")
    assert str(Path(__file__).parents[1]).encode() not in path.read_bytes()


def test_onnx_runs_without_swath(exported: Exported) -> None:
    path, finish = exported.path, exported.finish
    if path.suffix != ".onnx":
        pytest.skip("another format")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = tiny.picture(3, 45, 61)
    (answer,) = session.run(None, {"image": image[None]})
    told = json.loads(session.get_modelmeta().custom_metadata_map["swath"])
    assert told["classes"] == tiny.NAMES and told["runtime"]["finish"] == finish
    if finish == "inside":
        assert answer.dtype == np.uint8 and answer.shape == (1, 45, 61)
    else:
        assert answer.dtype == np.float32 and answer.shape == (1, 4, 6, 8)


def test_a_multiple_is_kept_inside_the_graph(tmp_path: Path) -> None:
    model = tiny.network()
    model.preprocess = replace(model.preprocess, multiple=32)
    export(model, tmp_path / "a.pt", "torchscript", finish="inside")
    image = tiny.picture(4, 70, 90)
    alone = torch.jit.load(tmp_path / "a.pt")(torch.from_numpy(image)[None])[0].numpy()
    assert alone.shape == (70, 90)
    assert (alone != Segmenter(model)(image).labels).mean() < 1e-3


@pytest.mark.parametrize("finish", ["outside", "inside"])
def test_a_file_that_answers_differently_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: str
) -> None:
    """A fault on purpose: the exported copy loses its last bias."""
    from swath.deploy import exporter

    right = exporter.exportable

    def wrong(network: Network, finish: str):  # type: ignore[no-untyped-def]
        module, description, example = right(network, finish)
        with torch.no_grad():
            [each for each in module.modules() if isinstance(each, torch.nn.Conv2d)][-1].bias[1] += 3
        return module, description, example

    monkeypatch.setattr(exporter, "exportable", wrong)
    with pytest.raises(SwathError, match=r"was not written: on '.*' .* pixels differ from the original"):
        export(tiny.network(), tmp_path / "a.pt", "torchscript", finish=finish)
    assert list(tmp_path.iterdir()) == []


def test_sizes_frozen_by_a_trace_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault on purpose: a resize to a size that was a Python number while tracing."""
    model = tiny.network()

    class Frozen(type(model)):  # type: ignore[misc]
        def forward_logits(self, *inputs: torch.Tensor) -> torch.Tensor:
            size = tuple(int(side) // 8 for side in inputs[0].shape[-2:])
            logits = super().forward_logits(*inputs)
            return torch.nn.functional.interpolate(logits, size=(max(1, size[0]), max(1, size[1])))

    model.__class__ = Frozen
    with pytest.raises(SwathError):
        export(model, tmp_path / "a.pt", "torchscript")
    assert list(tmp_path.iterdir()) == []


def test_the_network_handed_over_is_not_changed(tmp_path: Path) -> None:
    model = tiny.network(aux=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export(model, tmp_path / "a.pt", "torchscript")
    assert model.training and len(model.aux_heads) == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.network()
    with pytest.raises(SwathError, match="unknown export format 'onx'; did you mean 'onnx'"):
        export(model, tmp_path / "a.onnx", "onx")
    with pytest.raises(SwathError, match=r"name it a\.pt2"):
        export(model, tmp_path / "a.onnx", "pt2")
    with pytest.raises(SwathError, match="unknown finish 'insid'"):
        export(model, tmp_path / "a.pt2", "pt2", finish="insid")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SwathError, match=r"pip install 'swath\[onnx\]'"):
        export(model, tmp_path / "a.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []
