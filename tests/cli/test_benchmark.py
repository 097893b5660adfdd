"""`swath benchmark`, the whole way."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import pytest

import swath.bench.run
import tiny
from swath.cli.main import main

QUICK = ["--size", "96x64", "--iterations", "2", "--warmup", "0"]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(swath.bench.run, "peak_memory", lambda *_: 12 * 2**20)  # a process a network; tested by itself
    tiny.weights(tmp_path / "w.safetensors", dataset="shapes", score={"miou": 0.5})
    return tmp_path


def test_the_seeds_flags_work_and_everything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["benchmark", "contextnet14_160", "w.safetensors", *QUICK, "--device", "cpu", "--batch_size", "1"]
    more = ["--num_classes", "7", "--json", "a.json", "--csv", "a.csv", "--plot", "a.svg"]
    assert main([*command, *more]) == 0
    told = json.loads(Path("a.json").read_text())
    assert told["settings"]["size"] == "96x64" and told["settings"]["iterations"] == 2
    for key in ("device", "cpu", "threads", "versions", "protocol", "stages", "memory", "date"):
        assert told["manifest"][key]
    first, second = told["results"]
    assert (first["num_classes"], second["num_classes"]) == (7, 4)
    assert first["score"]["by"] == "authors" and second["score"] == {"miou": 50.0, "on": "shapes", "by": "swath"}
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert [(row["network"], row["stage"]) for row in rows] == [
        (name, stage) for name in ("contextnet14_160", "w.safetensors") for stage in ("network", "mask", "file")
    ]
    for row in rows:
        assert 0 < float(row["min"]) <= float(row["p50"]) <= float(row["p99"]) <= float(row["max"])
    text = " ".join(ET.parse("a.svg").getroot().itertext())
    assert "contextnet14_160" in text and "w.safetensors" in text and "authors' claims on cityscapes val" in text
    printed = capsys.readouterr().out
    for word in ("contextnet14_160", "file to file", "p99", "96x64", "(57.7)", "50.0", "12 MiB"):
        assert word in printed


@pytest.mark.parametrize("style", ["json", "csv", "markdown"])
def test_other_formats_are_printed(capsys: pytest.CaptureFixture[str], style: str) -> None:
    assert main(["benchmark", "--models", "cn14-160", *QUICK, "--stages", "network", "--format", style]) == 0
    printed = capsys.readouterr().out
    if style == "json":
        assert json.loads(printed)["results"][0]["name"] == "contextnet14_160"
    elif style == "csv":
        assert printed.splitlines()[1].startswith("contextnet14_160,network,")
    else:
        assert [line.count("|") for line in printed.splitlines()] == [19] * 3


def test_patterns_name_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "contextnet14_*", *QUICK, "--stages", "network", "--format", "csv"]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "contextnet14_500",
        "contextnet14_160",
    ]


def test_a_plot_without_a_score_is_not_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.weights(Path("u.safetensors"))
    assert main(["benchmark", "u.safetensors", *QUICK, "--stages", "network", "--plot", "a.svg"]) == 0
    assert "a.svg: not drawn" in capsys.readouterr().err and not Path("a.svg").exists()


def test_engines_are_compared_and_the_fastest_is_used_from_then_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx'")
    pytest.importorskip("onnxscript", reason="the extra 'onnx'")
    quick = [*QUICK, "--stages", "mask", "--threads", "1"]
    assert main(["benchmark", "w.safetensors", *quick, "--engines", "torch,onnxruntime", "--json", "a.json"]) == 0
    first, second = json.loads(Path("a.json").read_text())["results"]
    assert (first["engine_key"], second["engine_key"]) == ("torch", "onnxruntime")
    assert second["convert"] > 0 and first["convert"] == 0 and first["start"] > 0
    printed = capsys.readouterr().out
    assert "1.00x" in printed and "w.safetensors: fastest is" in printed and "swath uses it here from now on" in printed
    (known,) = Path("cache/swath/measured").iterdir()
    told = json.loads(known.read_text())
    told["measurements"][0]["figures"] = {
        name: {"ms": ms, "start": 0.1, "convert": 1.0} for name, ms in (("torch", 34.0), ("onnxruntime", 21.4))
    }
    known.write_text(json.dumps(told))
    cv2.imwrite("a.png", tiny.picture(0, 64, 96))
    assert main(["predict", "w.safetensors", "a.png", "--out", "out", "--threads", "1"]) == 0
    line = capsys.readouterr().err
    assert line.startswith("engine: ONNX Runtime ") and line.endswith("against 34 ms of torch at 96x64)\n")
    assert main(["predict", "w.safetensors", "a.png", "--out", "torch", "--engine", "torch", "--threads", "1"]) == 0
    assert "engine:" not in capsys.readouterr().err
    assert (cv2.imread("out/a.png") != cv2.imread("torch/a.png")).mean() < 1e-3

    # files of all kinds stand side by side, and an engine that is asked for wins over what is remembered
    (made,) = Path("cache/swath/engines").glob("*.onnx")
    Path("w.onnx").write_bytes(made.read_bytes())
    assert main(["benchmark", "w.safetensors", "w.onnx", *quick, "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["engine"].split()[0] for row in rows] == ["torch", "ONNX"]
    assert float(rows[0]["times the first"]) == 1.0
    assert float(rows[1]["times the first"]) == pytest.approx(float(rows[0]["p50"]) / float(rows[1]["p50"]))


def test_networks_see_smaller_pictures_and_have_options(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["benchmark", "contextnet14", "--stages", "mask", *QUICK, "--size", "192x128"]
    assert main([*command, "--json", "a.json"]) == 0
    assert main([*command, "--seen", "96x64", "--option", "width=0.5", "--json", "b.json"]) == 0
    assert "192x128 (width x height), shown at 96x64, width 0.5" in " ".join(capsys.readouterr().out.split())
    plain, small = (json.loads(Path(name).read_text())["results"][0] for name in ("a.json", "b.json"))
    assert small["parameters"] < plain["parameters"] / 2 and small["macs"] < plain["macs"] / 8
    assert small["score"] == {} and plain["score"]["by"] == "authors"  # which is of another width


def test_papers_are_repeated_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--protocol", "list"]) == 0
    assert "csfcn" in capsys.readouterr().out
    command = ["benchmark", "contextnet14_160", "--protocol", "csfcn", *QUICK]
    assert main([*command, "--json", "a.json"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for word in ("its figure here:", "every batch norm deleted", "batch norms put back", "ours, network + mask:", "22"):
        assert word in printed
    (told,) = json.loads(Path("a.json").read_text())
    assert (told["size"], told["passes"], told["warmup"]) == ("96x64", 2, 0)
    assert told["fps"] == pytest.approx(1000 / told["mean"]) and told["ours"] == told["steps"][-1]["ms"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "at least one network"),
        (["contextnet14", "--protocol", "csf"], "did you mean 'csfcn'?"),
        (["contextnet14", "--protocol", "csfcn", "--dtype", "float16"], "--dtype does not go with --protocol"),
        (["contextnet14", "--protocol", "csfcn", "--format", "csv"], "--format csv does not go with --protocol"),
        (["contextnet14", "--seen", "16x16"], "--seen is 16x16"),
        (["contextnet14", "--option", "width"], "write KEY=VALUE"),
        (["contextnet14", "--option", "with=1"], "did you mean 'width'?"),
        (["contextnet14", "--option", "width=wide"], "cannot be built with --option width=wide"),
        (["w.safetensors", "--option", "width=1"], "--option is for networks by name"),
        (["contextnet14_16"], "did you mean 'contextnet14_160'?"),
        (["nothing*"], "no network matches 'nothing*'"),
        (["none.onnx"], "none.onnx: no such file"),
        (["contextnet14", "--size", "512"], "such as 1024x512"),
        (["contextnet14", "--iterations", "0"], "--iterations '0'"),
        (["contextnet14", "--size", "16x16"], "needs at least 32x32"),
        (["w.safetensors", "--engines", "torch,openvin"], "did you mean 'openvino'?"),
        (["w.safetensors", "--engine", "torch", "--engines"], "give one of the two"),
        (["w.safetensors", "--engine", "graphs"], "'graphs' does not run on device 'cpu'"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["benchmark", *words, "--json", "a.json"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
    assert not Path("a.json").exists()
