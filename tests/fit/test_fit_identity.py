"""What is kept of a score counts for the same pictures and truths alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny
from swath import load_card
from swath.cli.main import main
from swath.data import Source
from swath.fit import int8
from swath.fit.identity import identity


def of(source: Source) -> str:
    return identity(source, range(len(source)))


def test_files_are_known_by_place_size_and_time(tmp_path: Path) -> None:
    card = load_card(tiny.dataset(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first = of(card.open("val", tmp_path / "a"))
    assert first == of(card.open("val", tmp_path / "a")) == of(card.open("val", str(tmp_path / "b" / ".." / "a")))
    assert first != of(card.open("val", tmp_path / "b"))
    assert first != identity(card.open("val", tmp_path / "a"), [0, 2])
    for kind in ("labels", "images"):
        before = of(card.open("val", tmp_path / "a"))
        os.utime(tmp_path / "a" / "val" / kind / "p1.png", ns=(1, 1))
        assert of(card.open("val", tmp_path / "a")) != before
    (tmp_path / "c.yaml").write_text(f"extends: a/card.yaml\nname: c\nroot: {tmp_path / 'a'}\n")
    before = of(load_card(tmp_path / "c.yaml").open("val"))
    text = (tmp_path / "a" / "card.yaml").read_text()
    (tmp_path / "a" / "card.yaml").write_text(text.replace("{0-3: in order, 255", "{0-3: in order, 4: box, 255"))
    assert of(load_card(tmp_path / "c.yaml").open("val")) != before, "the card that it extends"


def test_several_splits_are_known_by_each(tmp_path: Path) -> None:
    tiny.dataset(tmp_path)
    shutil.copytree(tmp_path / "val", tmp_path / "train")
    card = load_card(tmp_path / "card.yaml")
    both, last = of(card.open("train+val")), identity(card.open("train+val"), [4])
    os.utime(tmp_path / "val" / "labels" / "p1.png", ns=(1, 1))
    assert of(card.open("train+val")) != both and identity(card.open("train+val"), [4]) != last
    before = identity(card.open("train+val"), [0, 1, 2])
    os.utime(tmp_path / "val" / "labels" / "p2.png", ns=(1, 1))
    assert identity(card.open("train+val"), [0, 1, 2]) == before, "what is not looked at does not matter"


def test_packed_and_drawn_pictures_have_one_too(tmp_path: Path) -> None:
    card = load_card(tiny.dataset(tmp_path / "a"))
    packed = []
    for number in (0, 1):
        assert main(["pack", str(card.file), "--split", "val", "--out", str(tmp_path / f"p{number}")]) == 0
        packed.append(of(card.open("val", tmp_path / f"p{number}")))
        shutil.copy(tmp_path / "a/val/labels/p0.png", tmp_path / "a/val/labels/p1.png")
    assert packed[0] != packed[1]
    streets = load_card("streets")
    assert of(streets.open("val", count=3)) == of(streets.open("val", count=3)) != of(streets.open("val", count=4))
    assert of(streets.open("val", count=3)) != of(streets.open("val", count=3, seed=1))


class Made:
    """A source of a kind that nobody has heard of."""

    def __init__(self, value: int):
        self.card, self.value = load_card("streets"), value

    def __len__(self) -> int:
        return 2

    def name(self, index: int) -> str:
        return str(index)

    def image(self, index: int) -> np.ndarray:
        return np.zeros((4, 4, 3), np.uint8)

    def labels(self, index: int) -> np.ndarray:
        return np.full((4, 4), self.value, np.uint8)

    def size(self, index: int) -> tuple[int, int]:
        return 4, 4


def test_others_are_known_by_what_they_hold() -> None:
    assert of(Made(1)) == of(Made(1)) != of(Made(2))


def test_ranges_of_8_bits_are_of_these_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.dataset(tmp_path)
    shutil.copytree(tmp_path / "val", tmp_path / "train")
    card = load_card(tmp_path / "card.yaml")
    before = int8.ranges(card.open("train"), (64, 96))
    assert before == int8.ranges(card.open("train"), (64, 96)) != int8.ranges(card.open("train"), (32, 48))
    shutil.copy(tmp_path / "train/images/p0.png", tmp_path / "train/images/p2.png")
    assert int8.ranges(card.open("train"), (64, 96)) != before
    assert int8.ranges(None, (64, 96)) != before
