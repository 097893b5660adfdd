"""`swath pack`: what it says before and after, and that the other commands take what it wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import tiny
from swath.cli.main import main


@pytest.fixture
def packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    card = tiny.dataset(tmp_path / "shapes")
    assert main(["pack", str(card), "--out", str(tmp_path / "packed"), "--jobs", "1"]) == 0
    return tmp_path / "packed"


def test_it_says_what_it_will_write_and_has_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card, out = str(tiny.dataset(tmp_path / "shapes")), str(tmp_path / "packed")
    assert main(["pack", card, "--out", out, "--jobs", "1"]) == 0
    said = capsys.readouterr()
    assert "val: 3 pictures (labels)\nnot there: train\n" in said.out and not said.err
    assert f"{out}: 75.6 kB to write, " in said.out and " GB free" in said.out  # 3 pictures x 70 x 90 x 4 bytes
    assert re.search(rf"packed 3 pictures, 76\.\d kB in {out}\n", said.out) and f"--data.root {out}" in said.out
    assert main(["pack", card, "--out", out]) == 0
    said = capsys.readouterr()
    assert "val: 3 pictures (labels), 3 of them packed already" in said.out and "nothing has changed" in said.out
    assert "to write" not in said.out


def test_the_lossy_form_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = str(tiny.dataset(tmp_path / "shapes"))
    assert main(["pack", card, "--out", str(tmp_path / "packed"), "--format", "jpeg", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "NOT quite the same pixels" in said and ": about " in said


def test_verify(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "--verify", str(packed)]) == 0
    assert "every checksum is right" in capsys.readouterr().out
    file = next(packed.glob("val-*.part"))
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    assert main(["pack", "--verify", str(packed)]) == 1
    said = capsys.readouterr().out
    assert f"{file}: is damaged: 'p0', rows 0 to 63 of its image" in said and "damaged pictures: 1" in said


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["pack"], "give a card and a folder"),
        (["pack", "CARD"], "give a card and a folder"),
        (["pack", "CARD", "--out", "OUT", "--format", "rae"], "unknown format 'rae'; did you mean 'raw'?"),
        (["pack", "CARD", "--out", "OUT", "--split", "vol"], "did you mean 'val'?"),
        (["pack", "CARD", "--out", "OUT", "--split", "train"], "there is no such folder"),
        (["pack", "--verify", "OUT"], "--verify takes the folder that `swath pack` wrote"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], match: str) -> None:
    card = tiny.dataset(tmp_path / "shapes")
    given = {"CARD": str(card), "OUT": str(tmp_path / "packed")}
    assert main([given.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert match in error and error.count("\n") == 1
    assert not (tmp_path / "packed").exists()


def test_evaluate_scores_packed_pictures_alike(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "shapes/card.yaml"
    weights = str(tiny.weights(tmp_path / "w.safetensors"))
    scores = []
    for root in (packed, card.parent):
        written = tmp_path / "score.json"
        assert main(["evaluate", weights, "--card", str(card), "--root", str(root), "--json", str(written)]) == 0
        scores.append(json.loads(written.read_text())["counts"])
    assert scores[0] == scores[1]
    (card.parent / "val/labels/p1.png").unlink()
    capsys.readouterr()
    assert main(["evaluate", weights, "--card", str(card), "--root", str(packed)]) == 2
    assert "picture 'p1' has changed since it was packed: val/labels/p1.png is gone" in capsys.readouterr().err


def test_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card, out = str(tiny.dataset(tmp_path / "shapes")), str(tmp_path / "shards")
    assert main(["pack", card, "--out", out, "--to", "shards", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "val: 3 pictures (labels)" in said and f"{out}: about " in said and " in 1 shards" in said
    assert (tmp_path / "shards" / "shards.json").is_file() and "--data.root URL" in said
    tiny.weights(tmp_path / "w.safetensors", dataset="shapes")
    scores = []
    for root in (str(tmp_path / "shapes"), out):
        json_file = tmp_path / "score.json"
        words = ["evaluate", str(tmp_path / "w.safetensors"), "--card", card, "--root", root, "--json", str(json_file)]
        assert main(words) == 0
        scores.append(json.loads(json_file.read_text())["counts"])
    assert scores[0] == scores[1]
    capsys.readouterr()
    assert main(["pack", card, "--root", out, "--out", str(tmp_path / "again")]) == 2
    assert "holds shards already; give the folder of the dataset's own files" in capsys.readouterr().err
