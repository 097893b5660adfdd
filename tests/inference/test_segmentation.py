"""What can be done with a label map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from swath import Segmentation, SwathError
from swath.data import read_image


@pytest.fixture
def segmentation() -> Segmentation:
    return Segmentation(tiny.labels(3), tiny.NAMES, tiny.COLORS, tiny.picture(3))


def test_colors_are_those_of_the_classes(segmentation: Segmentation) -> None:
    color = segmentation.color()
    for index, expected in enumerate(tiny.COLORS[:3]):
        assert (color[segmentation.labels == index] == expected).all()
    assert not color[segmentation.labels == 255].any()


def test_overlay_goes_from_the_picture_to_the_colors(segmentation: Segmentation) -> None:
    image, color, nothing = segmentation.image, segmentation.color(), segmentation.labels == 255
    half = segmentation.overlay(0.5).astype(int)
    assert np.array_equal(segmentation.overlay(0.5)[nothing], image[nothing])
    inside = ~nothing & ~_near_border(segmentation.labels)
    assert np.abs(half - (image.astype(int) + color) / 2)[inside].max() <= 1
    assert np.array_equal(segmentation.overlay(1)[inside], color[inside])
    assert np.array_equal(segmentation.overlay(0)[inside], image[inside])
    border = _near_border(segmentation.labels) & ~nothing
    assert np.abs(half - color)[border].mean() < np.abs(half - color)[inside].mean()
    for alpha in (-0.1, 1.1):
        with pytest.raises(SwathError, match="between 0 and 1"):
            segmentation.overlay(alpha)


def _near_border(labels: np.ndarray) -> np.ndarray:
    padded = np.pad(labels, 1, mode="edge")
    height, width = labels.shape
    windows = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.any([window != labels for window in windows], axis=0)


def test_shares_are_of_the_whole_picture(segmentation: Segmentation) -> None:
    shares = segmentation.shares()
    assert "sky" not in shares
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    for name, share in shares.items():
        assert share == pytest.approx((segmentation.labels == tiny.NAMES.index(name)).mean())
    assert repr(segmentation).startswith("Segmentation(90x70: " + next(iter(shares)))


def test_saved_labels_come_back_as_numbers_with_their_palette(segmentation: Segmentation, tmp_path: Path) -> None:
    segmentation.save(tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.asarray(picture), segmentation.labels)
        assert np.array_equal(np.asarray(picture.convert("RGB")), segmentation.color())
    with pytest.raises(SwathError, match=r"name it a\.png"):
        segmentation.save(tmp_path / "a.jpg")


def test_overlays_are_written_as_they_look(segmentation: Segmentation, tmp_path: Path) -> None:
    segmentation.save_overlay(tmp_path / "a.png", 0.3)
    assert np.array_equal(read_image(tmp_path / "a.png"), segmentation.overlay(0.3))
    segmentation.save_overlay(tmp_path / "a.jpg")
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - segmentation.overlay()).mean() < 12
    with pytest.raises(SwathError, match=r"as \.png or \.jpg"):
        segmentation.save_overlay(tmp_path / "a.gif")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jpg", "a.png"]
