"""Of a healthy dataset, in whatever layout, the doctor says nothing."""

from __future__ import annotations

from pathlib import Path

import healthy
import pytest

from swath import load_card
from swath.doctor import check


@pytest.mark.parametrize("layout", healthy.LAYOUTS)
def test_says_nothing(layout: str, tmp_path: Path) -> None:
    card = load_card(healthy.LAYOUTS[layout](tmp_path))
    diagnosis = check(card)
    assert diagnosis.findings == []
    assert diagnosis.fit and not diagnosis.twins
    assert [split.name for split in diagnosis.splits] == card.splits
    assert diagnosis.examined == sum(len(card.open(split)) for split in card.splits)


def test_junk_of_operating_systems_is_no_finding(tmp_path: Path) -> None:
    card = load_card(healthy.folders(tmp_path))
    for junk in ("Thumbs.db", ".DS_Store", "._p0.png", "desktop.ini"):
        for folder in ("images", "labels"):
            (tmp_path / "train" / folder / junk).write_bytes(b"junk")
    assert check(card).findings == []


def test_splits_can_be_joined_and_chosen(tmp_path: Path) -> None:
    card = load_card(healthy.folders(tmp_path))
    assert [split.name for split in check(card, split="train+val").splits] == ["train", "val"]
    assert [split.name for split in check(card, split="trainval").splits] == ["train", "val"]
    assert [split.name for split in check(card, split="validation").splits] == ["val"]


def test_a_part_of_the_pictures_says_nothing_about_absent_classes(tmp_path: Path) -> None:
    card = load_card(healthy.folders(tmp_path))
    diagnosis = check(card, limit=2)
    assert diagnosis.sampled and diagnosis.findings == []
    assert [(split.pictures, len(split.pairs)) for split in diagnosis.splits] == [(6, 2), (3, 2)]


def test_counts_are_those_of_the_labels(tmp_path: Path) -> None:
    card = load_card(healthy.folders(tmp_path))
    train = check(card).splits[0]
    source = card.open("train")
    labels = [source.labels(i) for i in range(len(source))]
    for index in range(3):
        assert train.balance.pixels[index] == sum(int((each == index).sum()) for each in labels)
        assert train.balance.pictures[index] == sum(bool((each == index).any()) for each in labels)
    assert train.balance.ignored == sum(int((each == 255).sum()) for each in labels)
    assert dict(train.sizes) == {(healthy.HEIGHT, healthy.WIDTH): 6}
