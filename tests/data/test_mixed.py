"""Pictures that others made: each with the labels it was made from, in an epoch at exactly their share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import trees
from swath import SwathError
from swath.cards import load_card
from swath.data import resize_image, resize_labels
from swath.data.mixed import Mixed, Repainted, repaint
from swath.data.resized import Resized
from swath.data.source import read_window


@pytest.fixture
def own(tmp_path: Path):
    trees.cityscapes(tmp_path / "own")
    return load_card("cityscapes").open("train", tmp_path / "own")


def made(folder: Path, name: str, size: tuple[int, int] = (64, 96), color: int = 77) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), color, np.uint8))
    return path


def test_a_picture_has_the_labels_of_the_one_it_is_called_after(own, tmp_path: Path) -> None:
    folder = tmp_path / "gan"
    made(folder, "aachen_000002_000005_leftImg8bit_synthesized_image.jpg")
    made(folder, "deep/aachen_000000_000005.png")
    made(folder, "aachen_000001_000005_leftImg8bit.png", size=(32, 48))
    others = repaint(own, folder)
    by_labels = {others.files[i][1]: i for i in range(3)}
    for name in ("aachen_000000", "aachen_000001", "aachen_000002"):
        of = next(i for i in range(len(own)) if name in own.name(i))
        here = by_labels[of]
        assert name in others.files[here][0].name and own.name(of) in others.name(here)
        assert np.array_equal(others.labels(here), own.labels(of)) and others.size(here) == own.size(of)
        assert others.image(here).shape == (64, 96, 3) and np.abs(others.image(here).astype(int) - 77).max() <= 2
        part = read_window(others, here, slice(8, 24), slice(16, 64), ("image", "labels"))
        assert np.array_equal(part["labels"], own.labels(of)[8:24, 16:64]) and part["image"].shape == (16, 48, 3)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("aachen_000000_000003_leftImg8bit.png", (64, 96), "called after no picture"),  # of the validation
        ("aachen_0000001.png", (64, 96), "called after no picture"),
        ("aachen_000000_000005.png", (64, 64), "another shape"),
    ],
)
def test_what_fits_nowhere_is_refused(own, tmp_path: Path, name: str, size: tuple[int, int], said: str) -> None:
    made(tmp_path / "gan", name, size)
    with pytest.raises(SwathError, match=said):
        repaint(own, tmp_path / "gan")


def test_the_same_name_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        made(tmp_path / "train/images" / folder, "1.png")
        (tmp_path / "train/labels" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train/labels" / folder / "1.png"), np.zeros((64, 96), np.uint8))
    (tmp_path / "card.yaml").write_text(
        "name: two\nclasses: {a: [0, 0, 0]}\nimages: '{split}/images/{id}.png'\nlabels: '{split}/labels/{id}.png'\n"
        "label_values: {0: a}\nsplits: [train]\n"
    )
    own = load_card(tmp_path / "card.yaml").open("train")
    made(tmp_path / "gan/b", "1_new.png")
    assert own.name(repaint(own, tmp_path / "gan").files[0][1]) == "b/1"
    made(tmp_path / "gan", "1_other.png")
    with pytest.raises(SwathError, match="could belong to a/1 and b/1"):
        repaint(own, tmp_path / "gan")


class Numbered:
    """A source of so many pictures."""

    card = None

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{self.count}/{index}"


def test_an_epoch_has_exactly_the_shares() -> None:
    mixed = Mixed(Numbered(100), [Numbered(7), Numbered(300)], [0.2, 0.35])
    assert len(mixed) == 100
    orders = []
    for epoch in range(3):
        generator = torch.Generator().manual_seed(epoch)
        own = torch.randperm(100, generator=generator).tolist()
        order = mixed.mix(own, generator)
        assert order == mixed.mix(own, _after(epoch))
        first, second = ([i for i in order if low <= i < high] for low, high in ((100, 107), (107, 407)))
        assert len(first) == 20 and len(second) == 35 and len(set(second)) == 35
        assert set(Counter(first).values()) == {2, 3}  # 20 of 7, evenly
        kept = [i for i in order if i < 100]
        assert len(set(kept)) == 45 and [i for i in own if i in set(kept)] == kept
        orders.append(order)
    assert orders[0] != orders[1]
    assert mixed.name(100) == "7/0" and mixed.name(406) == "300/299"
    with pytest.raises(IndexError):
        mixed.name(407)


def _after(epoch: int) -> torch.Generator:
    generator = torch.Generator().manual_seed(epoch)
    torch.randperm(100, generator=generator)
    return generator


def test_the_listing_says_what_came_from_where(own, tmp_path: Path) -> None:
    path = made(tmp_path / "gan", "aachen_000003_000005.png")
    others = repaint(own, tmp_path / "gan")
    assert isinstance(others, Repainted)
    [(name, where)] = Mixed(own, [others], [0.5]).listing()
    assert "aachen_000003_000005" in name and where == str(path)


def test_resized_shows_all_at_one_size(own) -> None:
    small = Resized(own, (32, 48))
    assert len(small) == len(own) and small.name(0) == own.name(0) and small.size(0) == (32, 48)
    assert np.array_equal(small.image(1), resize_image(own.image(1), (32, 48)))
    assert np.array_equal(small.labels(1), resize_labels(own.labels(1), (32, 48)))
    assert dict(small.maps) == {}
    streets = load_card("streets").open("train", count=1, size=(64, 128))
    half = Resized(streets, (32, 64))
    far = streets.map(0, "depth")[1::2, 1::2]
    near = half.map(0, "depth")
    assert near.shape == (32, 64) and np.isclose(near, 2 * far).mean() > 0.95  # half as large: as though twice as far
