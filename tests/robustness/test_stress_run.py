"""`swath stress`: one reading of each picture, scores as an evaluation gives them, a page that holds all it shows."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from swath import Segmenter, SwathError, load_card
from swath.cli.main import main
from swath.evaluation import ConfusionMatrix, evaluate, metrics
from swath.robustness import FAULTS, corrupt, page, stress, tables


class Counting:
    """A source that counts what is asked for, and may know depth."""

    def __init__(self, inner: Any, depth: bool = False):
        self.inner, self.card, self.asked = inner, inner.card, Counter[str]()
        if depth:
            self.maps = {"depth": 1}

    def __len__(self) -> int:
        return len(self.inner)

    def name(self, index: int) -> str:
        return self.inner.name(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.inner.size(index)

    def image(self, index: int) -> np.ndarray:
        self.asked["image"] += 1
        return self.inner.image(index)

    def labels(self, index: int) -> np.ndarray:
        self.asked["labels"] += 1
        return self.inner.labels(index)

    def map(self, index: int, name: str) -> np.ndarray:
        self.asked[name] += 1
        return np.full(self.size(index), 30.0, np.float32)


class LabelsOnly:
    """An engine that answers labels, as files of `--finish inside` do."""

    def __init__(self, inner: Any):
        self.inner, self.engine, self.device = inner, "labels", "cpu"
        self.description = replace(inner.description, finish="inside")

    def run(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = torch.nn.functional.interpolate(self.inner.run(pixels), pixels.shape[1:3], mode="bilinear")
        return logits.argmax(1).to(torch.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Any:
    return load_card(tiny.dataset(tmp_path, 2)).open("val")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(tiny.network(), optimise=False)


def test_scores_are_those_of_an_evaluation(source: Any, segmenter: Segmenter) -> None:
    found = stress(segmenter, source, only=["fog", "jpeg"], severities=[2, 5], seed=4)
    assert (found.clean.scores.counts == evaluate(segmenter, source).counts).all()
    assert sorted(found.cells) == [("fog", 2), ("fog", 5), ("jpeg", 2), ("jpeg", 5)]
    for (fault, severity), cell in found.cells.items():
        matrix, sure, known = ConfusionMatrix(4), 0.0, 0
        for index in range(2):
            spoiled = corrupt(source.image(index), fault, severity, seed=4, name=source.name(index))
            result, truth = segmenter(spoiled, confidence=True), source.labels(index)
            matrix.update(truth, result.labels)
            assert result.confidence is not None
            sure, known = sure + result.confidence[truth != 255].sum(dtype=float), known + (truth != 255).sum()
        expected = metrics(matrix.counts, source.card)
        # Several pictures at a time may round otherwise than one by one.
        assert cell.scores.miou == pytest.approx(expected.miou, abs=2e-3)
        assert cell.confidence == pytest.approx(sure / known, abs=1e-4)
    mious = [found.cells["fog", 2].scores.miou, found.cells["fog", 5].scores.miou]
    assert found.miou("fog") == pytest.approx(np.mean(mious))
    assert found.mean_kept() == pytest.approx(
        np.mean([found.miou("fog"), found.miou("jpeg")]) / found.clean.scores.miou
    )


def test_every_picture_is_read_once(source: Any, segmenter: Segmenter) -> None:
    counting = Counting(source, depth=True)
    seen: list[tuple[int, int, str]] = []
    found = stress(segmenter, counting, only=["fog", "rain", "night"], watch=lambda *told: seen.append(told))
    assert counting.asked == {"image": 2, "labels": 3, "depth": 2}, "and one truth more, for the page"
    assert [done for done, _, _ in seen] == list(range(1, 9)) and seen[0][1] == 8
    assert found.measured_depth and len(found.examples) == 16
    guessed = stress(segmenter, source, only=["fog"], severities=[5])
    assert not guessed.measured_depth
    assert (guessed.cells["fog", 5].scores.counts != found.cells["fog", 5].scores.counts).any()


def test_files_that_answer_labels_are_stressed_too(source: Any, tmp_path: Path) -> None:
    segmenter = Segmenter(tiny.network(), optimise=False)
    segmenter.runtime = LabelsOnly(segmenter.runtime)
    found = stress(segmenter, source, only=["fog"], severities=[3])
    assert found.clean.confidence is None and found.clean.scores.miou is not None
    assert "Does it notice" not in page.text(found, {})
    tables.show(found, "labels")


def test_wishes_that_make_no_sense_are_refused(source: Any, segmenter: Segmenter) -> None:
    for wish, said in (
        ({"only": ["fogg"]}, "did you mean 'fog'"),
        ({"severities": []}, "at least one"),
        ({"severities": [0, 1]}, "from 1 to 5"),
        ({"limit": 0}, "no picture to spoil"),
    ):
        with pytest.raises(SwathError, match=said):
            stress(segmenter, source, **wish)


def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.dataset(tmp_path, 2)
    tiny.weights(tmp_path / "w.safetensors", dataset="card.yaml")
    monkeypatch.chdir(tmp_path)
    command = ["stress", "w.safetensors", "--only", "fog,shot-noise", "--severity", "1,4-5", "--limit", "1"]
    assert main([*command, "--report", "s.html", "--json", "s.json", "--csv", "s.csv"]) == 0
    printed = capsys.readouterr().out
    told = json.loads(Path("s.json").read_text())
    for word in ("fog", "shot-noise", "ground", "hurt most by", "clean mIoU", f"kept {100 * told['kept']:.2f} %"):
        assert word in printed
    assert told["pictures"] == 1 and list(told["faults"]) == ["fog", "shot-noise"]
    assert list(told["faults"]["fog"]["severities"]) == ["1", "4", "5"]
    assert told["faults"]["fog"]["severities"]["4"]["level"] == "sight 100 m"
    assert set(told["clean"]["class_iou"]) == set(tiny.NAMES)
    rows = list(csv.DictReader(Path("s.csv").read_text().splitlines()))
    assert [(row["fault"], row["severity"]) for row in rows] == [
        ("clean", "0"), ("fog", "1"), ("fog", "4"), ("fog", "5"), ("shot-noise", "1"), ("shot-noise", "4"),
        ("shot-noise", "5"),
    ]  # fmt: skip
    assert float(rows[1]["miou"]) == pytest.approx(told["faults"]["fog"]["severities"]["1"]["miou"], abs=1e-5)
    text = Path("s.html").read_text()
    assert all(each.startswith("data:image/") for each in re.findall(r'src="([^"]+)"', text))
    assert "<script" not in text and "url(" not in text and text.count("<img") == 3 + 2 * 6
    for title in ("How much is left", "Weather", "mIoU by severity", "By class", "What it saw", "What the severities"):
        assert title in text
    again = ["stress", "w.safetensors", "--only", "shot-noise", "--severity", "5", "--limit", "1", "--json", "t.json"]
    assert main(again) == 0
    same = json.loads(Path("t.json").read_text())["faults"]["shot-noise"]["severities"]["5"]
    assert same == told["faults"]["shot-noise"]["severities"]["5"], "it depends on nothing that was run beside it"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--severity", "6"], "--severity '6'"),
        (["--severity", "5-1"], "--severity '5-1'"),
        (["--only", ","], "--only: name at least one"),
        (["--only", "jpg"], "unknown fault 'jpg'"),
        (["--report", "s.pdf"], "--report s.pdf: is written as .html"),
        (["--card", "streets"], "4 classes and the card streets 11"),
        (["--seed", "-1"], "--seed '-1'"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.dataset(tmp_path, 1)
    tiny.weights(tmp_path / "w.safetensors", dataset="card.yaml")
    monkeypatch.chdir(tmp_path)
    assert main(["stress", "w.safetensors", *words, "--json", "s.json"]) == 2
    assert said in capsys.readouterr().err and not Path("s.json").exists()


def test_levels_are_told_in_words() -> None:
    assert FAULTS["rain"].level(1) == "5 mm/h" and FAULTS["underexposure"].level(5) == "-5 stops"
    assert all(len(set(fault.levels)) == 5 and fault.why for fault in FAULTS.values())


def test_labels_that_ignore_everything_are_refused(source: Any, segmenter: Segmenter) -> None:
    class Ignored(Counting):
        def labels(self, index: int) -> np.ndarray:
            return np.full_like(self.inner.labels(index), 255)

    with pytest.raises(SwathError, match="ignore every pixel"):
        stress(segmenter, Ignored(source), only=["jpeg"], severities=[1])


def test_nothing_is_said_of_what_is_left_of_nothing(source: Any, segmenter: Segmenter) -> None:
    found = stress(segmenter, source, only=["jpeg", "fog"], severities=[1])
    nothing = replace(found, clean=replace(found.clean, scores=replace(found.clean.scores, miou=0.0)))
    assert not any("keeps" in line for line in tables.remarks(nothing)) and "hurts most" not in page.text(nothing, {})
    assert any("keeps" in line for line in tables.remarks(found)) and "hurts most" in page.text(found, {})


def test_results_are_seen_even_where_they_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.dataset(tmp_path, 1)
    tiny.weights(tmp_path / "w.safetensors", dataset="card.yaml")
    monkeypatch.chdir(tmp_path)
    command = ["stress", "w.safetensors", "--only", "jpeg", "--severity", "1", "--json"]

    def full(*_: object) -> None:
        raise SwathError("s.json: no room left on the disk")

    monkeypatch.setattr(tables, "write_json", full)
    assert main([*command, "s.json"]) == 2
    assert "clean mIoU" in capsys.readouterr().out
    monkeypatch.setattr("swath.robustness.stress", None)
    assert main([*command, "card.yaml/s.json"]) == 2  # before anything is computed
    assert "card.yaml: is a file, a folder of that name is needed" in capsys.readouterr().err
