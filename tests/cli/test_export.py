"""`swath export`, the whole way."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

import tiny
from swath.cli.main import main


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.weights(tmp_path / "w.safetensors")
    cv2.imwrite(str(tmp_path / "mine.png"), tiny.picture(0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prints_what_was_compared_and_writes_beside_the_weights(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "w.safetensors", "--to", "torchscript", "--finish", "inside", "--picture", "mine.png"]) == 0
    said = capfd.readouterr()
    for word in ("mine.png", "street 0", "odd size", "0.0000%", "wrote w-torchscript", "finish inside", "swath verify"):
        assert word in said.out
    assert said.err == ""
    assert sorted(file.name for file in Path().iterdir()) == ["mine.png", "w-torchscript", "w.safetensors"]
    assert main(["predict", "w-torchscript", "mine.png", "--out", "out", "--write", "labels"]) == 0
    assert Path("out/mine.png").exists()


def test_a_name_with_the_formats_ending_gets_the_model_alone(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--to", "torchscript", "--size", "96x64", "--out", "alone.pt"]
    assert main(["export", "w.safetensors", *words]) == 0
    assert "wrote alone.pt" in capfd.readouterr().out
    assert sorted(file.name for file in Path().iterdir()) == ["alone.pt", "mine.png", "w.safetensors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.safetensors", "--to", "pt2"], "no such file"),
        (["w.pt", "--to", "onnx"], "only .safetensors weights can be exported"),
        (["w.safetensors", "--to", "pt2", "--out", "a.onnx"], "name it a.pt2"),
        (["w.safetensors", "--to", "pt2", "--picture", "none.png"], "none.png"),
        (["w.safetensors", "--to", "pt2", "--size", "3x3"], "the next is 32x32"),
        (["w.safetensors", "--to", "executorch"], "--size 1024x512"),
        (["w.safetensors", "--to", "web", "--precision", "fp16"], "leave out --size and --precision"),
    ],
)
def test_mistakes_are_one_line(work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["export", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
