"""What a training looks at before it starts: little, quickly, and nothing where there is nothing wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import healthy
import numpy as np
import pytest

from swath import SwathError, load_card
from swath.doctor import quick
from swath.training.config import Data
from swath.training.sources import open_sources


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(card=str(healthy.folders(tmp_path)))


@pytest.mark.parametrize("layout", [name for name in healthy.LAYOUTS if name != "without labels"])
def test_healthy_ones_are_opened_in_silence(layout: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train, val = open_sources(Data(card=str(healthy.LAYOUTS[layout](tmp_path))))
    assert len(train) > len(val) > 0
    assert capfd.readouterr().err == ""


def test_streets_and_other_generated_pictures_are_passed_by() -> None:
    streets = load_card("streets")
    assert quick.glance(streets.open("train", count=2), streets.open("val", count=2)) == []


def test_a_value_without_a_name_stops_it(data: Data, tmp_path: Path) -> None:
    for path in tmp_path.glob("train/labels/*.png"):
        healthy.write(path, np.full((48, 64), 9, np.uint8))
    with pytest.raises(SwathError, match=r"value 9 in 3,072 pixels.*`swath check .*card\.yaml` finds"):
        open_sources(data)


def test_a_size_that_differs_stops_it_although_its_label_is_not_decoded(data: Data, tmp_path: Path) -> None:
    for index in range(6, 30):
        healthy.write(tmp_path / f"train/images/p{index}.png", healthy.picture(index))
        healthy.write(tmp_path / f"train/labels/p{index}.png", healthy.label(index))
    names = sorted(path.stem for path in tmp_path.glob("train/images/*.png"))
    decoded = {names[at * len(names) // 6] for at in range(6)}
    other = next(name for name in names if name not in decoded)
    healthy.write(tmp_path / f"train/labels/{other}.png", healthy.label(0, 24, 32))
    with pytest.raises(SwathError, match=f"labels/{other}.png: is of another size"):
        open_sources(data)


def test_a_cut_off_header_stops_it(data: Data, tmp_path: Path) -> None:
    (tmp_path / "train/images/p3.png").write_bytes(b"")
    with pytest.raises(SwathError, match=r"p3\.png"):
        open_sources(data)


def test_copies_and_strays_are_told_but_stop_nothing(
    data: Data, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tmp_path / "train/images/p2.png", tmp_path / "val/images/p1.png")
    shutil.copy(tmp_path / "train/images/p3.png", tmp_path / "val/images/p2.png")
    (tmp_path / "val/labels/other.png").write_bytes((tmp_path / "val/labels/p0.png").read_bytes())
    open_sources(data)
    said = capfd.readouterr().err
    assert "val/images/p1.png: is trained on too, as train/images/p2.png; so are 1 others" in said
    assert "val/labels/other.png: has no picture" in said and "swath check" in said


def test_training_and_measuring_on_the_same_is_a_choice(data: Data, capfd: pytest.CaptureFixture[str]) -> None:
    data.val = "train"
    open_sources(data)
    assert capfd.readouterr().err == ""


def test_it_ends_early_on_a_slow_disk(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    size = quick.image_size
    monkeypatch.setattr(quick, "image_size", lambda path: asked.append(path) or size(path))
    open_sources(data)
    assert len(asked) == 18
    asked.clear()
    monkeypatch.setattr(quick, "SECONDS", 0.0)
    open_sources(data)
    assert len(asked) == 4  # one pair of each split
