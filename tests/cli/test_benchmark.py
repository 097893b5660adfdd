"""`swath benchmark`, the whole way."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import swath.bench.run
import tiny
from swath.cli.main import main

QUICK = ["--size", "96x64", "--iterations", "2", "--warmup", "0"]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
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
        assert [line.count("|") for line in printed.splitlines()] == [16] * 3


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "at least one network"),
        (["contextnet14_16"], "did you mean 'contextnet14_160'?"),
        (["nothing*"], "no network matches 'nothing*'"),
        (["none.onnx"], "none.onnx: no such file"),
        (["contextnet14", "--size", "512"], "such as 1024x512"),
        (["contextnet14", "--iterations", "0"], "--iterations '0'"),
        (["contextnet14", "--size", "16x16"], "needs at least 32x32"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["benchmark", *words, "--json", "a.json"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
    assert not Path("a.json").exists()
