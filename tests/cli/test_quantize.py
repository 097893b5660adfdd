"""`swath quantize`, the whole way."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import swath
import tiny
from swath.cli.main import main

pytest.importorskip("onnxruntime", reason="quantised files are ONNX: pip install 'swath[onnx]'")

from onnx import load, numpy_helper

from swath.deploy import onnx
from swath.deploy.graph import exportable
from swath.inference import Segmenter
from swath.networks import Network
from swath.quantise.engines import work
from swath.quantise.engines.sensitivity import Sensitivity

_EXPORTED: list[bytes] = []


def exported(network: Network, path: Path, to: str) -> None:
    """The export without the comparison, which has tests of its own and takes longer than all of this."""
    if network.quantised:
        onnx.write(*exportable(network, "outside"), path)
        return
    if not _EXPORTED:
        onnx.write(*exportable(network, "outside"), path)
        _EXPORTED.append(path.read_bytes())
    path.write_bytes(_EXPORTED[0])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights and a dataset of three pictures, which train and val share."""
    tiny.dataset(tmp_path)
    shutil.copytree(tmp_path / "val", tmp_path / "train")
    tiny.weights(tmp_path / "w.safetensors", dataset="card.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, "export", exported)
    return tmp_path


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers in the order of the graph, as though the first were the worst."""

    def order(graph: Any, _: Any) -> Any:
        for place, layer in enumerate(graph.layers):
            yield Sensitivity(layer, 30.0 + place, 40.0 + place, 0.99)

    monkeypatch.setattr(work, "sensitivities", order)


FAST = ["--pictures", "9", "--subset", "2", "--threads", "1"]


def test_the_whole_way(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "w.safetensors", "--budget", "20", *FAST]) == 0
    said = capfd.readouterr().out
    for words in (
        "ranges from 3 pictures of shapes train; 9 were asked for, the split has no more",
        "weights in ",
        "sets of layers were tried on 2 pictures of shapes val, from p0 to p2",
        "mIoU on shapes val, 3 pictures:",
        "with 8 bits in ONNX Runtime",
        "fastest here: ",
        "wrote w-int8.onnx",
        "next: swath evaluate w-int8.onnx --card shapes",
    ):
        assert words in said, said
    rows = list(csv.DictReader(Path("w-int8.layers.csv").read_text().splitlines()))
    told = json.loads(Path("w-int8.layers.json").read_text())
    assert len(rows) == len(told["layers"]) > 40 and told["subset"] == ["p0", "p2"]
    assert [float(row["logits_db"]) for row in rows] == sorted(float(row["logits_db"]) for row in rows)
    assert {row["runs_in"] for row in rows} <= {"int8", "float"} and all(row["why"] for row in rows)
    assert told["bytes_float"] > 2.2 * told["bytes"] == 2.2 * Path("w-int8.onnx").stat().st_size
    assert {(each["runtime"], each["precision"]) for each in told["milliseconds"]} >= {
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    }
    ours, theirs = Segmenter("w.safetensors"), Segmenter("w-int8.onnx")
    assert theirs.class_names == tiny.NAMES and theirs.description.meta.quantised == "int8"
    assert theirs.description.meta.score["miou"] == pytest.approx(told["miou_int8"])
    pictures = [tiny.picture(seed, 96, 128) for seed in range(3)]
    assert np.mean([a == b for a, b in zip(ours.label_maps(pictures), theirs.label_maps(pictures))]) > 0.9
    assert main(["evaluate", "w-int8.onnx", "--card", "card.yaml"]) == 0
    assert f"{100 * told['miou_int8']:.2f}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("engine", "package", "ending"), [("openvino", "nncf", ".xml"), ("torchao", "torchao", ".onnx")]
)
def test_other_engines(
    here: Path,
    unjudged: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    engine: str,
    package: str,
    ending: str,
) -> None:
    pytest.importorskip(package, reason=f"--engine {engine} is an optional extra")
    pytest.importorskip("openvino", reason="runs .xml: pip install 'swath[openvino]'") if ending == ".xml" else None
    words = ["--engine", engine, "--out", f"out/q{ending}", "--budget", "20", "--reduce-range", "yes", *FAST]
    monkeypatch.setattr("swath.deploy.export", exported)  # torchao's own way out
    assert main(["quantize", "w.safetensors", *words]) == 0, capfd.readouterr().err
    files = {file.name for file in Path("out").iterdir()}
    assert files == {f"q{ending}", "q.layers.csv", "q.layers.json", *(["q.bin"] if ending == ".xml" else [])}
    assert "weights in 7 bits, as asked for" in capfd.readouterr().out
    ours, theirs = Segmenter("w.safetensors"), Segmenter(f"out/q{ending}")
    assert theirs.description.meta.notes["int8"]["engine"] == engine
    if ending == ".onnx":
        weights = [numpy_helper.to_array(each) for each in load(f"out/q{ending}").graph.initializer]
        largest = [int(np.abs(each.astype(int)).max()) for each in weights if each.dtype == np.int8 and each.ndim == 4]
        assert len(largest) > 40 and max(largest) == 63
    pixels = torch.from_numpy(np.stack([tiny.picture(0, 96, 128)]))
    given, wanted = theirs.runtime.run(pixels), ours.runtime.run(pixels)
    assert float((given - wanted).square().mean().sqrt() / wanted.std()) < 0.3


def lossy(monkeypatch: pytest.MonkeyPatch, needed: int) -> None:
    """A budget that holds with so many layers in float; nothing is really scored or timed."""

    def scored(segmenter: Segmenter, source: Any, **_: Any) -> Any:
        name = Path(segmenter.name).stem
        return SimpleNamespace(miou=0.5 if name == "float" or int(name) >= needed else 0.4)

    monkeypatch.setattr(work, "evaluate", scored)


def test_the_worst_layers_stay_in_float(
    here: Path, unjudged: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lossy(monkeypatch, 3)
    assert main(["quantize", "w.safetensors", *FAST]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "3 of 64 layers stay in float, 61 compute with 8 bits" in said
    assert "0: 10.00, 1: 10.00, 2: 10.00, 3: 0.00, 4: 0.00 on a subset; 3: 0.00 on all pictures" in said
    rows = list(csv.DictReader(Path("w-int8.layers.csv").read_text().splitlines()))
    assert [row["runs_in"] for row in rows[:5]] == ["float"] * 3 + ["int8"] * 2
    assert rows[0]["why"].startswith("the worst: alone in 8 bits it leaves the answer 40.0 dB")
    notes = Segmenter("w-int8.onnx").description.meta.notes["int8"]
    assert notes["in float"] == [row["layer"] for row in rows[:3]]


def test_a_budget_that_cannot_hold(
    here: Path, unjudged: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lossy(monkeypatch, 1000)
    before = sorted(Path().iterdir())
    assert main(["quantize", "w.safetensors", *FAST]) == 1
    said = capfd.readouterr()
    assert "the budget of 0.5 points cannot hold: 10.00 are lost" in said.err and "--force" in said.err
    assert sorted(Path().iterdir()) == before
    assert main(["quantize", "w.safetensors", "--force", *FAST]) == 0
    assert "the budget does not hold; written all the same" in capfd.readouterr().out
    assert Path("w-int8.onnx").is_file()


def test_weights_that_were_trained_with_8_bits(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchao", reason="pip install 'swath[quant]'")
    from swath.quantise import calibrate

    pixels = [torch.from_numpy(np.stack([tiny.picture(0, 64, 96)]))]
    swath.save("q.safetensors", calibrate(tiny.network(), pixels, steps=2), classes=tiny.NAMES, colors=tiny.COLORS)
    assert main(["quantize", "q.safetensors", "--card", "card.yaml", "--budget", "20", *FAST]) == 0
    said = capfd.readouterr().out
    assert "contextnet14_160, trained with 8 bits (int8): exported as it is" in said and "as trained" in said
    told = json.loads(Path("q-int8.layers.json").read_text())
    assert told["trained_with_8_bits"] == "int8" and told["layers"] == []
    assert Segmenter("q-int8.onnx").description.meta.quantised == "int8"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.safetensors"], "no such file"),
        (["w.onnx"], "only .safetensors weights can be quantised"),
        (["w.safetensors", "--out", "a.xml"], "name it a.onnx"),
        (["w.safetensors", "--out", "card.yaml/a.onnx"], "card.yaml"),
        (["w.safetensors", "--out", "train.onnx"], "is a folder"),
        (["w.safetensors", "--card", "streets"], "4 classes and the card streets 11"),
        (["w.safetensors", "--train", "tarin"], "did you mean 'train'"),
        (["w.safetensors", "--budget", "-1"], "from 0 to 100"),
        (["several.safetensors"], "takes image and flow"),
    ],
)
def test_mistakes_are_one_line_before_any_work(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(work, "export", never)
    Path("train.onnx").mkdir()
    if "several" in words[0]:
        several = {"inputs": {"image": 3, "flow": 2}, "tasks": {"segmentation": 4, "depth": 1}}
        network = swath.create_model("deeplabv3plus_lite_mobilenetv2", num_classes=4, **several)
        swath.save(words[0], network, classes=tiny.NAMES, colors=tiny.COLORS, dataset="card.yaml")
    assert main(["quantize", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0], lines
