"""`swath train` and `swath recipes`: words in, lines and exit statuses out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from swath.cli import train
from swath.cli.main import build_parser, main


def parsed(*words: str) -> tuple[str | None, str | None, bool, list[tuple[str, list[str]]]]:
    got = train.parse(build_parser("train"), words)
    return got.recipe, got.out, got.overwrite, got.overrides


def test_every_other_key_changes_the_recipe() -> None:
    words = ["streets", "--lr", "1e-3", "--out", "x", "--window.size", "300", "600", "--overwrite", "--compile"]
    expected = [("lr", ["1e-3"]), ("window.size", ["300", "600"]), ("compile", [])]
    assert parsed(*words) == ("streets", "x", True, expected)
    assert parsed("streets", "--lr=3", "--out=y") == ("streets", "y", False, [("lr", ["3"])])
    assert parsed("streets", "--x", "-1", "-.5") == ("streets", None, False, [("x", ["-1", "-.5"])])
    assert parsed("--out", "x", "streets") == ("streets", "x", False, [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "which recipe?"),
        (["train", "stret"], "unknown recipe 'stret'; did you mean 'streets'?"),
        (["train", "missing.yaml"], "missing.yaml: no such recipe file"),
        (["train", "streets", "--epoch", "3"], "unknown key '--epoch'; did you mean '--epochs'?"),
        (["train", "streets", "--lr", "fast"], "command line: stages.0.lr: 'fast' is not a number"),
        (["train", "--resume", "nowhere"], "nowhere: holds no run"),
        (["train", "streets", "--resume", "x"], "--resume goes on with a run as it is"),
        (["recipes", "stret"], "unknown recipe 'stret'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("swath: ") and message in error and error.count("\n") == 1


def test_recipes_lists_and_shows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    for word in ("streets", "contextnet14-cityscapes", "1000 epochs", "65.9"):
        assert word in shown
    assert main(["recipes", "*-camvid*"]) == 0
    shown = capsys.readouterr().out
    assert "csfcn on cityscapes + camvid, 480 + 968 epochs: 81.0 mIoU on test" in shown and "streets" not in shown
    assert main(["recipes", "contextnet14-bdd100k"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["stages"][0]["lr"] == 3e-3


def test_streets_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--iterations", "2", "--epochs", "none", "--batch", "2", "--window.size", "64x64", "--threads", "1"]
    small = ["--data.train_options", "{count: 2, size: 128x64}", "--data.val_options.count", "1", "--tensorboard", "no"]
    out = tmp_path / "run"
    assert main(["train", "streets", "--network", "cn14-160", "--out", str(out), *words, *small]) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    assert "mIoU" in shown and f"swath evaluate {out}/best.safetensors" in shown
    assert main(["train", "--resume", str(out)]) == 0
