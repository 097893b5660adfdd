"""A part of a picture read from its files is that part of the whole, and what is wrong with them is still said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from swath import SwathError
from swath.cards import load_card

VALUES = "label_values: {7: road, 8: sky, 255: ignore}"
COLORS = 'label_colors: {"0 0 0": ignore}'


def written(folder: Path, kind: str, labels: str, size: tuple[int, int] = (90, 64)) -> Path:
    """A card with one picture, whose label holds values or colors."""
    rng = np.random.default_rng(1)
    picture = cv2.resize(rng.integers(0, 256, (5, 8, 3), np.uint8), (64, 90))
    Image.fromarray(picture).save(folder / f"a.{kind}")
    ids = rng.integers(0, 3, size, np.uint8)
    if labels == VALUES:
        Image.fromarray(np.array([7, 8, 255], np.uint8)[ids]).save(folder / "a.label.png")
    else:
        Image.fromarray(np.array([(250, 0, 0), (10, 20, 30), (0, 0, 0)], np.uint8)[ids]).save(folder / "a.label.png")
    text = 'name: tiny\nclasses: {road: 250 0 0, sky: 10 20 30}\nlabels: "{id}.label.png"\nsplits: {train: {}}\n'
    (folder / "card.yaml").write_text(f'{text}images: "{{id}}.{kind}"\n{labels}\n')
    return folder / "card.yaml"


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
@pytest.mark.parametrize("labels", [VALUES, COLORS])
def test_a_part_is_the_part(tmp_path: Path, kind: str, labels: str) -> None:
    source = load_card(written(tmp_path, kind, labels)).open("train")
    image, ids = source.image(0), source.labels(0)
    assert set(np.unique(ids)) == {0, 1, 255}
    for rows, columns in ((slice(0, 90), slice(0, 64)), (slice(20, 31), slice(7, 60)), (slice(80, 90), slice(63, 64))):
        part = source.cut(0, rows, columns, ("image", "labels"))
        assert np.array_equal(part["image"], image[rows, columns])
        assert np.array_equal(part["labels"], ids[rows, columns])


def test_complaints_name_the_file(tmp_path: Path) -> None:
    source = load_card(written(tmp_path, "png", VALUES, size=(80, 64))).open("train")
    with pytest.raises(SwathError, match=r"a\.label\.png: is 64 x 80 pixels, but its picture"):
        source.cut(0, slice(0, 9), slice(0, 9), ["labels"])
    ids = np.full((90, 64), 7, np.uint8)
    ids[50, 5] = 77
    Image.fromarray(ids).save(tmp_path / "a.label.png")
    assert (source.cut(0, slice(0, 50), slice(0, 64), ["labels"])["labels"] == 0).all()
    with pytest.raises(SwathError, match=r"a\.label\.png: value 77"):
        source.cut(0, slice(40, 60), slice(0, 64), ["labels"])
    (tmp_path / "a.png").unlink()
    with pytest.raises(SwathError, match=r"a\.png: there is no such file"):
        source.cut(0, slice(0, 9), slice(0, 9), ["image"])
