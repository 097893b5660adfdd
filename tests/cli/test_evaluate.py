"""`swath evaluate`, the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tiny
from swath import load_card
from swath.cli.main import main
from swath.data import read_image
from swath.evaluation import evaluate


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.dataset(tmp_path)
    tiny.weights(tmp_path / "w.safetensors")
    tiny.weights(tmp_path / "named.safetensors", dataset="card.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_writes_every_number_and_prints_the_table(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "w.safetensors", "--card", "card.yaml", "--json", "s.json", "--confusion", "c.png"]
    assert main(command) == 0
    told = json.loads(Path("s.json").read_text())
    scores = evaluate(tiny.network(), load_card("card.yaml").open("val"))
    assert np.abs(np.array(told["counts"]) - scores.counts).sum() <= 10
    assert (told["card"], told["split"], told["pictures"]) == ("shapes", "val", 3)
    assert told["miou"] == pytest.approx(scores.miou, abs=1e-3)
    printed = capsys.readouterr().out
    for word in ("ground", "disc", "(thing)", f"mIoU {100 * told['miou']:.2f}", "category mIoU"):
        assert word in printed
    height, width = read_image("c.png").shape[:2]
    assert height > 100 and width > 100


def test_the_weights_name_their_dataset(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "named.safetensors", "--limit", "2"]) == 0
    assert "on shapes val, 2 pictures" in capsys.readouterr().out
    assert main(["evaluate", "w.safetensors"]) == 2
    assert "give one with --card" in capsys.readouterr().err


def test_absent_classes_are_listed_as_absent(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = tiny.CARD.replace("images:", "  ghost: {color: [1, 2, 3]}\nimages:")
    Path("more.yaml").write_text(more)
    import swath

    model = swath.create_model("contextnet14_160", num_classes=5).eval()
    model.classifier[-1].bias.data[4] = -100.0
    swath.save("five.safetensors", model, classes=[*tiny.NAMES, "ghost"], colors=[*tiny.COLORS, (1, 2, 3)])
    assert main(["evaluate", "five.safetensors", "--card", "more.yaml"]) == 0
    assert "left out of the means" in (printed := capsys.readouterr().out)
    assert "ghost" in printed.split("left out of the means")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["w.safetensors", "--card", "streets"], "4 classes and the card streets 11"),
        (["none.safetensors", "--card", "card.yaml"], "no such file"),
        (["w.safetensors", "--card", "card.yaml", "--split", "test"], "split"),
        (["w.safetensors", "--card", "card.yaml", "--limit", "0"], "--limit '0'"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["evaluate", *words, "--json", "s.json"]) == 2
    said_by_swath = capsys.readouterr().err.strip().splitlines()
    assert len(said_by_swath) == 1 and said in said_by_swath[0]
    assert not Path("s.json").exists()
