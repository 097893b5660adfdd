"""`swath submit`, the whole way."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import swath
import tiny
from swath import load_card
from swath.cli.main import main

CARD = "extends: cityscapes\nname: few\nsplits:\n  test: {count: 2, labels: none}\n"
PICTURES = ["berlin_000000_000019", "mainz_000000_000019"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for index, picture in enumerate(PICTURES):
        file = tmp_path / "leftImg8bit" / "test" / picture.split("_")[0] / f"{picture}_leftImg8bit.png"
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), tiny.picture(index, 64, 96))
    (tmp_path / "few.yaml").write_text(CARD)
    card = load_card("cityscapes")
    torch.manual_seed(0)
    model = swath.create_model("contextnet14_160", num_classes=19).eval()
    swath.save(tmp_path / "w.safetensors", model, classes=card.class_names, colors=card.colors, dataset="cityscapes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FEW = ["--card", "few.yaml", "--server", "cityscapes"]


def test_writes_an_archive_and_checks_it(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "w.safetensors", *FEW]) == 0
    said = capsys.readouterr().out
    assert "cityscapes-test.zip" in said and "2 pictures are as they should be: it can be uploaded" in said
    assert "never" in said and "bicycle" in said, "classes that are not predicted are seen"
    assert main(["submit", "--check", "cityscapes-test.zip", *FEW, "--root", "."]) == 0
    assert "with the names and sizes of the pictures" in capsys.readouterr().out


def test_a_bad_archive_is_status_1_and_every_mistake_a_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = io.BytesIO()
    Image.fromarray(np.arange(64 * 96, dtype=np.uint16).reshape(64, 96).astype(np.uint8) % 19).save(data, "PNG")
    with zipfile.ZipFile("bad.zip", "w") as archive:
        archive.writestr(f"{PICTURES[0]}.png", data.getvalue())
    assert main(["submit", "--check", "bad.zip", *FEW, "--root", "."]) == 1
    said = capsys.readouterr().out
    assert "✗ mainz_000000_000019_labelIds.png is not there" in said
    assert "✗ all values are train ids (0 to 18), the server wants label ids (7 road to 33 bicycle)" in said
    assert "✗ 2 mistakes: do not upload it" in said
    assert main(["submit", "--check", "bad.zip", "--card", "cityscapes"]) == 1
    said = capsys.readouterr().out
    assert "the archive has 1 pictures, the server wants 1,525" in said and "without the pictures" in said


def test_the_weights_name_the_dataset_and_the_split_may_be_another(work: Path) -> None:
    (work / "leftImg8bit" / "val").mkdir()
    (work / "leftImg8bit" / "test" / "berlin").rename(work / "leftImg8bit" / "val" / "berlin")
    (work / "gtFine" / "val" / "berlin").mkdir(parents=True)
    Image.new("L", (96, 64)).save(work / "gtFine" / "val" / "berlin" / f"{PICTURES[0]}_gtFine_labelIds.png")
    assert main(["submit", "w.safetensors", "--root", ".", "--split", "val", "--out", "v.zip"]) == 1, "one of 500"
    with zipfile.ZipFile("v.zip") as archive:
        assert archive.namelist() == [f"{PICTURES[0]}_labelIds.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the weights to predict with, or an archive to look at with --check"),
        (["w.safetensors", "--check", "x.zip"], "leave out the weights, or --check"),
        (["--check", "x.zip"], "say with --card whose pictures it should hold"),
        (["--check", "x.zip", "--card", "camvid"], "card 'camvid' has no test server: CamVid's test labels are public"),
        (["--check", "x.zip", "--card", "few.yaml"], "no test server is known for it; name one with --server"),
        (["--check", "x.zip", *FEW], "x.zip: there is no such file"),
        (["w.safetensors", *FEW, "--out", "x.tar.gz"], "takes a .zip; name it cityscapes.zip"),
        (["w.safetensors", "--card", "cityscapes", "--root", ".", "--split", "tests"], "unknown split"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["submit", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
