"""One Segmenter, many engines: every engine that is here answers as eager torch does; what is absent says so."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tiny
from swath import Segmenter, SwathError
from swath.inference import ENGINES, Description, Views
from swath.inference.fastest import Figure, Measurement, remember
from swath.inference.runtimes import converted, engines, onnx, open_runtime
from swath.inference.runtimes.graphs import Graphs
from swath.inference.runtimes.torch import from_network
from swath.weights import load_weights

SIZES = [(1, 64, 96), (2, 33, 47), (3, 97, 131), (1, 250, 40)]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache folder for all: converting takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "swath" / "engines"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Weights, and the same network as ONNX."""
    folder = tmp_path_factory.mktemp("files")
    tiny.weights(folder / "w.safetensors")
    if not engines.absence("onnxruntime", ".safetensors", "cpu"):
        made = converted.prepare(load_weights(folder / "w.safetensors"), ".onnx")
        (folder / "w.onnx").write_bytes(made.read_bytes())
    return folder


def assert_same(exact: Segmenter, other: Segmenter, sizes: list[tuple[int, int, int]]) -> None:
    """Equal labels, but where the two best classes are equal to five digits."""
    for count, height, width in sizes:
        pixels = torch.from_numpy(np.stack([tiny.picture(index, height, width) for index in range(count)]))
        padded = exact.pad(pixels)
        logits = F.interpolate(exact.runtime.run(padded), padded.shape[1:3], mode="bilinear")[:, :, :height, :width]
        best = logits.topk(2, 1).values
        tie = best[:, 0] - best[:, 1] < 1e-4 * logits.abs().max()
        given = other.labels(pixels)
        assert given.dtype == torch.uint8 and given.shape == (count, height, width)
        assert bool(((given == exact.labels(pixels)) | tie).all()), (other.runtime.engine, height, width)
        assert float(tie.float().mean()) < 0.05


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_for_converted_weights_answer_as_torch(files: Path, engine: str) -> None:
    pytest.importorskip(engine, reason="an optional extra")
    other = Segmenter(files / "w.safetensors", engine=engine)
    assert other.runtime.engine.startswith(ENGINES[engine].title)
    assert other.class_names == tiny.NAMES
    assert_same(Segmenter(files / "w.safetensors", engine="torch"), other, SIZES)
    in_memory = load_weights(files / "w.safetensors")
    assert_same(Segmenter(in_memory), Segmenter(in_memory, engine=engine), SIZES[1:2])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_for_onnx_files_answer_as_torch(files: Path, engine: str) -> None:
    pytest.importorskip(engine, reason="an optional extra")
    if not (files / "w.onnx").exists():
        pytest.skip("the extra 'onnx' is not installed")
    other = Segmenter(files / "w.onnx", engine=engine)
    assert other.runtime.engine.startswith(ENGINES[engine].title)
    assert_same(Segmenter(files / "w.safetensors", engine="torch"), other, SIZES)


def test_what_was_measured_is_used(files: Path) -> None:
    """By segmenters of files, where the size is near and what the engine runs is there; never by those of networks."""
    pytest.importorskip("openvino", reason="the extra 'openvino'")
    weights = files / "w.safetensors"
    network, picture = load_weights(weights), tiny.picture(0)
    expected = Segmenter(weights)
    assert expected.runtime.engine.startswith("torch ")
    figures = {"torch": Figure(ms=34, start=0.2), "openvino": Figure(ms=21, start=0.4, convert=9)}
    kept = [remember(subject, "cpu", Measurement((512, 1024), figures)) for subject in (network, files / "w.onnx")]
    try:
        for path in (weights, files / "w.onnx"):
            assert Segmenter(path).runtime.engine.startswith("OpenVINO")
            assert (Segmenter(path)(picture).labels != expected(picture).labels).mean() < 1e-3
            small = Views(size=(64, 96))
            assert not Segmenter(path, views=small).runtime.engine.startswith("OpenVINO")  # nothing is known of it
        for other in (
            Segmenter(weights, engine="torch"),
            Segmenter(weights, dtype="bfloat16"),
            Segmenter(network),
            Segmenter(network, optimise=False),
        ):
            assert other.runtime.engine.startswith("torch ")
    finally:
        for path in kept:
            path.unlink()


def test_openvinos_own_files(files: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="the extra 'openvino'")
    exact = Segmenter(files / "w.safetensors", engine="torch")
    model = openvino.Core().read_model(files / "w.onnx")
    model.set_rt_info(exact.description.as_json(), ["swath"])
    openvino.save_model(model, tmp_path / "free.xml", compress_to_fp16=False)
    assert_same(exact, Segmenter(tmp_path / "free.xml"), SIZES)
    (tmp_path / "free.bin").unlink()
    with pytest.raises(SwathError, match=r"free\.bin: is missing"):
        Segmenter(tmp_path / "free.xml")


def test_a_file_for_one_size_and_one_picture(files: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="the extra 'openvino'")
    exact = Segmenter(files / "w.safetensors", engine="torch")
    model = openvino.Core().read_model(files / "w.onnx")
    model.reshape([1, 64, 96, 3])
    model.set_rt_info(replace(exact.description, shape=(64, 96)).as_json(), ["swath"])
    openvino.save_model(model, tmp_path / "fixed.xml", compress_to_fp16=False)
    fixed = Segmenter(tmp_path / "fixed.xml")
    assert_same(exact, fixed, [(1, 64, 96), (3, 64, 96)])  # several pictures go one after the other
    with pytest.raises(SwathError, match=r"pictures of 96x64 .* only, this one is 90x70; use --size 96x64"):
        fixed(tiny.picture(0))
    image = tiny.picture(1, 100, 140)
    for views in (Views(size=(64, 96)), Views(window=(64, 96)), Views(size=(50, 50), window=(64, 96))):
        seen = Segmenter(tmp_path / "fixed.xml", views=views)(image).labels
        assert (seen != Segmenter(files / "w.safetensors", engine="torch", views=views)(image).labels).mean() < 1e-3


def test_bundles_are_opened_by_their_folder(files: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    with pytest.raises(SwathError, match=r"without bundle\.json"):
        Segmenter(bundle)
    (bundle / "model.safetensors").write_bytes((files / "w.safetensors").read_bytes())
    (bundle / "bundle.json").write_text(json.dumps({"model": "model.safetensors"}))
    assert_same(Segmenter(files / "w.safetensors"), Segmenter(bundle), SIZES[:1])
    for told in ("{", '["model"]', '{"model": "../w.safetensors"}', '{"model": "none.onnx"}'):
        (bundle / "bundle.json").write_text(told)
        with pytest.raises(SwathError):
            Segmenter(bundle)


def test_threads_share_an_engine(files: Path) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino'")
    segmenter = Segmenter(files / "w.onnx", engine="openvino")
    pictures = [tiny.picture(seed, 64, 96) for seed in range(4)]
    expected = [segmenter(each).labels for each in pictures]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(20):
            if not np.array_equal(segmenter(pictures[index]).labels, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("damage", ["truncated", "a bit", "gone", "no checksum"])
def test_a_damaged_conversion_is_made_anew(
    files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    good = (files / "w.onnx").read_bytes()
    made: list[Path] = []

    def make(network: object, path: Path) -> None:  # the real one takes seconds, and is tested above
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good)
        made.append(path)

    monkeypatch.setattr(converted, "_make_onnx", make)
    expected = Segmenter(files / "w.safetensors", engine="onnxruntime")(tiny.picture(0)).labels
    (path,) = made
    Segmenter(files / "w.safetensors", engine="onnxruntime")
    assert len(made) == 1
    if damage == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif damage == "a bit":
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 64
        path.write_bytes(bytes(flipped))
    elif damage == "gone":
        path.unlink()
    else:
        path.with_name(path.name + ".sha256").unlink()
    assert np.array_equal(Segmenter(files / "w.safetensors", engine="onnxruntime")(tiny.picture(0)).labels, expected)
    assert len(made) == 2 and path.read_bytes() == good


def test_conversions_belong_to_weights_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.network()
    before = converted.cached(network, ".onnx")
    assert converted.cached(tiny.network(), ".onnx") == before
    monkeypatch.setattr(converted, "__version__", "99")
    assert converted.cached(network, ".onnx") != before
    monkeypatch.undo()
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-3
    assert converted.cached(network, ".onnx").name != before.name


def test_only_so_many_conversions_are_kept(tmp_path: Path) -> None:
    for index in range(converted.KEPT + 3):
        for ending in (".onnx", ".onnx.sha256"):
            (tmp_path / f"{index}{ending}").write_text("")
        os.utime(tmp_path / f"{index}.onnx", (index, index))
    converted._tidy(tmp_path)
    left = {each.name for each in tmp_path.iterdir()}
    assert len(left) == 2 * converted.KEPT and not left & {"0.onnx", "0.onnx.sha256", "2.onnx"}


def test_what_is_absent_names_the_extra_and_what_is_here(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = engines._installed
    monkeypatch.setattr(engines, "_installed", lambda package: package != "openvino" and there(package))
    with pytest.raises(SwathError, match=r"needs OpenVINO.*pip install 'swath\[openvino\]'; here there is: torch"):
        Segmenter(files / "w.safetensors", engine="openvino")
    monkeypatch.setattr(engines, "_installed", lambda package: package not in ("onnxscript", "tensorrt"))
    with pytest.raises(SwathError, match=r"by way of ONNX.*pip install 'swath\[onnx,openvino\]'"):
        Segmenter(files / "w.safetensors", engine="openvino")
    with pytest.raises(SwathError, match="'tensorrt' does not run on device 'cpu', it runs on cuda"):
        Segmenter(files / "w.safetensors", engine="tensorrt")
    monkeypatch.setattr(engines, "_installed", lambda package: False)
    (files / "a.pte").write_bytes(b"")
    with pytest.raises(SwathError, match=r"a\.pte: needs ExecuTorch.*'swath\[executorch\]'"):
        Segmenter(files / "a.pte")


def test_engines_that_do_not_fit_are_refused(files: Path) -> None:
    with pytest.raises(SwathError, match="unknown engine 'openvin'; did you mean 'openvino'"):
        Segmenter(files / "w.safetensors", engine="openvin")
    with pytest.raises(SwathError, match=r"'torch' does not run \.onnx files"):
        Segmenter(files / "w.onnx", engine="torch")
    with pytest.raises(SwathError, match="'graphs' does not run on device 'cpu'"):
        Segmenter(files / "w.safetensors", engine="graphs")
    with pytest.raises(SwathError, match="bfloat16 is for torch"):
        Segmenter(files / "w.safetensors", engine="onnxruntime", dtype="bfloat16")
    with pytest.raises(SwathError, match="optimise=True"):
        Segmenter(tiny.network(), engine="openvino", optimise=False)
    with pytest.raises(SwathError, match="unknown provider of ONNX Runtime 'tensort'; did you mean 'tensorrt'"):
        Segmenter(files / "w.onnx", engine="onnxruntime:tensort")
    with pytest.raises(SwathError, match="keeps its precision"):
        Segmenter(files / "w.onnx", dtype="float16")


def test_providers_that_are_not_here_are_refused(files: Path) -> None:
    ort = pytest.importorskip("onnxruntime", reason="the extra 'onnx'")
    for name, full in onnx.PROVIDERS.items():
        if full not in ort.get_available_providers():
            with pytest.raises(SwathError, match=f"provider '{name}' cannot be used.*this one has cpu"):
                Segmenter(files / "w.onnx", engine=f"onnxruntime:{name}")
    assert "ONNX Runtime" in Segmenter(files / "w.onnx", engine="onnxruntime:cpu").runtime.engine


def test_parts_that_openvino_does_not_see_are_refused(files: Path) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino'")
    with pytest.raises(SwathError, match="finds no such device; OpenVINO sees CPU"):
        Segmenter(files / "w.onnx", engine="openvino:tpu")


def test_compiling_needs_a_compiler(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SwathError, match=r"needs a C\+\+ compiler.*install g\+\+ or clang, or set CXX"):
        Segmenter(files / "w.safetensors", engine="compiled")


def test_compiled_networks_answer_as_torch(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a compiler that makes no code: the real one takes a minute (benchmarks/engines.py runs it)."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: real(module, backend="eager"))
    if not engines.has_compiler():
        pytest.skip("no C++ compiler is here")
    segmenter = Segmenter(files / "w.safetensors", engine="compiled")
    assert segmenter.runtime.engine.startswith("torch.compile 2")
    assert_same(Segmenter(files / "w.safetensors", engine="torch"), segmenter, SIZES[:1])


def test_what_the_compiler_cannot_do_is_one_line(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> None:
        raise RuntimeError("no such instruction")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: real(module, backend=broken))
    monkeypatch.setattr(engines, "has_compiler", lambda: True)
    with pytest.raises(SwathError, match=r"cannot compile this network here \(.*use --engine torch"):
        Segmenter(files / "w.safetensors", engine="compiled")(tiny.picture(0))


def test_recordings_are_few_and_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeping of CUDA graphs; recording itself needs the device."""
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    eager = from_network(tiny.network())
    graphs = Graphs(eager, kept=2)
    recorded: list[tuple[int, ...]] = []

    def record(pixels: torch.Tensor) -> object:
        recorded.append(tuple(pixels.shape))
        return eager.run

    monkeypatch.setattr(graphs, "_record", record)
    a, b, c = (torch.zeros((1, side, 64, 3), dtype=torch.uint8) for side in (32, 64, 96))
    for pixels in (a, b, a, c, a, b):
        assert graphs.run(pixels).shape[-1] == 8
    assert recorded == [tuple(each.shape) for each in (a, b, c, b)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_graphs_answer_as_eager_torch(files: Path) -> None:
    graphs = Segmenter(files / "w.safetensors", "cuda", engine="graphs")
    assert_same(Segmenter(files / "w.safetensors", "cuda"), graphs, SIZES + SIZES)


def test_damaged_files_are_refused(tmp_path: Path, files: Path) -> None:
    description = Description.of(tiny.network()).as_json()
    for ending, package in ((".xml", "openvino"), (".aoti", "torch"), (".pte", "executorch")):
        if not engines._installed(package):
            continue
        path = tmp_path / f"a{ending}"
        path.write_bytes(b"this is nothing of the kind")
        (tmp_path / "a.bin").write_bytes(b"")
        if ending == ".pte":
            with pytest.raises(SwathError, match=r"a\.pte\.json: cannot be read"):
                open_runtime(path)
            (tmp_path / "a.pte.json").write_text(description)
        with pytest.raises(SwathError, match="not a readable"):
            open_runtime(path)


def test_what_openvino_reads_and_cannot_compile_is_not_called_damaged(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")  # `files` holds the file then

    def refuse(*given: object) -> None:
        raise RuntimeError("Exception from src/core.cpp:1:\nCheck 'any_of(scale.size(), OC, 1U)' failed")

    monkeypatch.setattr(openvino.Core, "compile_model", refuse)
    with pytest.raises(SwathError, match=r"cannot compile it for CPU \(Check 'any_of.*--engine onnxruntime"):
        open_runtime(files / "w.onnx", engine="openvino")
