"""`swath check`, the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import tiny
from swath.cli.main import main


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures for training and validation; `sky` never occurs."""
    for split, first in (("train", 0), ("val", 6)):
        for seed in range(first, first + 4):
            for kind, content in (("images", tiny.picture(seed)), ("labels", tiny.labels(seed))):
                write(tmp_path / split / kind / f"p{seed}.png", content)
    (tmp_path / "card.yaml").write_text(tiny.CARD.replace("  sky: {color: [70, 130, 180], category: stuff}\n", "")
                                        .replace("0-3", "0-2"))  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, array: np.ndarray) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


def test_a_healthy_set_is_fit(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "card.yaml"]) == 0
    out, err = capsys.readouterr()
    assert "nothing wrong" in out and "8 pictures" in out and err == ""
    assert "error" not in out and "warning" not in out
    for word in ("train", "val", "90 x 70", "ground", "disc", "log", "median"):
        assert word in out


def test_a_warning_is_allowed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "more.yaml").write_text(tiny.CARD)
    assert main(["check", "more.yaml"]) == 0
    out = capsys.readouterr().out
    assert "a training may start: 1 warning, 1 note" in out and "a class never occurs: sky" in out


def test_errors_are_all_told_and_change_the_status(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "train/images/p0.png").write_bytes(b"")
    (work / "train/labels/p1.png").unlink()
    for seed in (6, 7, 8, 9):
        write(work / f"val/labels/p{seed}.png", np.full((70, 90), 77, np.uint8))
    (work / "val/labels/p10.png").write_bytes(b"x")
    command = ["check", "card.yaml", "--root", str(work), "--json", "told.json", "--report", "page.html"]
    assert main([*command, "--jobs", "2"]) == 1
    out = capsys.readouterr().out
    for words in ("train/images/p0.png  holds zero bytes", "train/labels/p1.png  there is no such label",
                  "(4)", "value 77 in 6,300 pixels, first at x 0, y 0", "77: ignore", "should not start",
                  "val/labels/p10.png  has no picture", "report: page.html"):  # fmt: skip
        assert words in out
    told = json.loads(Path("told.json").read_text())
    assert told["fit"] is False and told["splits"]["train"]["examined"] == 4
    kinds = [finding["kind"] for finding in told["findings"]]
    assert kinds.count("unknown-value") == 4 and "empty-file" in kinds and "missing-label" in kinds
    page = Path("page.html").read_text()
    assert "not fit" in page and "value 77" in page and "data:image/jpeg" in page


def test_weights_can_be_pasted(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rule in ("log", "median"):
        assert main(["check", "card.yaml", "--weights", rule]) == 0
        line = capsys.readouterr().out.strip().splitlines()[-1]
        weights = yaml.safe_load(line)["class_weights"]
        assert len(weights) == 3 and min(weights) > 0


def test_only_some_pictures_of_one_split(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "card.yaml", "--split", "val", "--limit", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 pictures in" in out and "train" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["card.yaml", "--split", "tset"], "unknown split"),
        (["card.yaml", "--root", "nowhere"], "is no folder"),
        (["card.yaml", "--root", "train"], "no such folder"),
        (["nothing.yaml"], "no such card"),
        (["streets"], "draws its pictures itself"),
        (["card.yaml", "--weights", "square"], "invalid choice"),
        (["card.yaml", "--jobs", "0"], "1 or more"),
        (["card.yaml", "--layout", "defualt"], "did you mean 'default'"),
    ],
)
def test_wrong_usage(work: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_packed_copies_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "pack.json").write_text("{}")
    assert main(["check", "card.yaml"]) == 2
    assert "packed copy" in capsys.readouterr().err
    (work / "pack.json").rename(work / "train/pack.json")
    assert main(["check", "card.yaml"]) == 2
