"""`swath fit`, the whole way."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import swath.fit.again as again
import tiny
from swath.cli.main import build_parser, command_module, main
from swath.fit.measure import Bench

QUICK = ["--size", "96x64", "--engines", "torch", "--scales", "1,0.5", "--threads", "1"]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tiny.weights(tmp_path / "w.safetensors", dataset="shapes")
    tiny.dataset(tmp_path / "data")
    return tmp_path


def test_weights_are_scored_on_the_card_and_everything_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["fit", "w.safetensors", "--latency", "10s", *QUICK, "--card", "data/card.yaml"]
    assert main([*command, "--report", "f.html", "--csv", "f.csv"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for word in ("w.safetensors", "96x64", "► ", "proposed: w.safetensors by torch", "next: ", "val (3 pictures)"):
        assert word in printed
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    assert [row["proposed"] for row in rows].count("1") == 1
    assert {(row["seen"], row["precision"]) for row in rows} == {
        (seen, precision) for seen in ("96x64", "48x32") for precision in ("float32", "bfloat16")
    }
    best = next(row for row in rows if row["proposed"] == "1")
    assert best["front"] == "1" and float(best["value"]) == max(float(row["value"]) for row in rows if row["value"])
    # the score is that of `swath evaluate`
    assert main(["evaluate", "w.safetensors", "--card", "data/card.yaml", "--json", "s.json", "--size", "96x64"]) == 0
    score = json.loads(Path("s.json").read_text())["miou"]
    whole = next(row for row in rows if row["seen"] == "96x64" and row["precision"] == "float32")
    assert float(whole["value"]) == pytest.approx(100 * score, abs=0.05)  # norms are folded there
    assert best["of"] == "mIoU on shapes val, %"
    page = Path("f.html").read_text()
    assert (
        "<svg" in page
        and "budget, 10000 ms" in page
        and 'class="proposed"' in page
        and "http" not in re.sub(r"http://www.w3.org/2000/svg", "", page)
    )
    # all is known now: nothing is measured or scored again
    capsys.readouterr()
    monkeypatch.setattr(Bench, "time", None)
    monkeypatch.setattr("swath.fit.score.evaluate", None)
    assert main(command) == 0
    capsys.readouterr()


def test_the_prediction_is_measured_again_by_the_benchmark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "PROCESSES", 1)
    monkeypatch.setattr(again, "_CALLS", 3)
    command = ["fit", "--networks", "contextnet14_160", "--latency", "5s", *QUICK, "--precisions", "float32"]
    assert main([*command, "--num-classes", "5", "--verify"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"measured again: [\d.]+ ms, the median of 1 fresh processes .*: [\d.]+ times as long", printed)
    assert "swath train auto --network contextnet14_160 --card card.yaml" in printed.splitlines()[-1]
    (line,) = [line for line in printed.splitlines() if line.startswith("to time it again: ")]
    words = shlex.split(line.removeprefix("to time it again: swath benchmark "))
    parsed = build_parser("benchmark").parse_args(words)
    assert parsed.num_classes == 5 and parsed.size == (64, 96) and parsed.models == ["contextnet14_160"]


def test_nothing_fits_is_said_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", "--networks", "contextnet14_160", "--latency", "0.001ms", *QUICK, "--report", "f.html"]
    assert main(command) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("swath: nothing keeps 0.001 ms here; the fastest is contextnet14_160 at ")
    assert "\n" not in said
    assert "No proposal" in Path("f.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--latency", "33ms"], "--size"),
        (["--latency", "soon", "--size", "96x64"], "such as 33ms, 0.05s or 30fps"),
        (["--latency", "33ms", "--size", "96x64", "--scales", "2"], "--scales '2': numbers from 0.05 to 1"),
        (["--latency", "33ms", "--size", "96x64", "--report", "f.txt"], "is written as .html"),
        (["--latency", "33", "ms", "--size", "96x64"], "write the time and its unit as one word: --latency 33ms"),
        (["--latency", "33ms", "--size", "96x64", "--csv", "w.safetensors/f.csv"], "is a file, a folder of that name"),
        (["w.onnx", "--latency", "33ms", "--size", "96x64"], "give the weights that it was made from"),
        (["none.safetensors", "--latency", "33ms", "--size", "96x64"], "no such file"),
        (["contextnet1", "--latency", "33ms", "--size", "96x64"], "did you mean 'contextnet1"),
        (["--latency", "33ms", "--size", "96x64", "--engines", "opnvino"], "did you mean 'openvino'?"),
        (["w.safetensors", "--latency", "33ms", "--size", "96x64", "--card", "streets"], "has 4 classes and the card"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["fit", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_budgets_are_times_or_rates() -> None:
    read = command_module("fit")._latency
    assert [read(text) for text in ("33ms", "0.05s", "20fps", "12.5")] == [33, 50, 50, 12.5]


def test_a_score_is_of_these_pictures_and_truths(work: Path) -> None:
    def best(*more: str) -> float:
        command = ["fit", "w.safetensors", "--latency", "10s", *QUICK, "--precisions", "float32", "--csv", "f.csv"]
        assert main([*command, "--scales", "1", "--card", "data/card.yaml", *more]) == 0
        return float(next(csv.DictReader(Path("f.csv").read_text().splitlines()))["value"])

    shutil.copytree("data", "other")
    first = best("--root", "data")
    for file in Path("other/val/labels").iterdir():
        cv2.imwrite(str(file), np.full((70, 90), 3, np.uint8))
    other = best("--root", "other")
    assert other != first, "the same names in another folder"
    assert best("--root", "data") == first
    for file in Path("data/val/labels").iterdir():
        shutil.copy(Path("other/val/labels") / file.name, file)
    assert best("--root", "data") == other, "the same folder, labelled anew"
