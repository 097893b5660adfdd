"""Names and colors of classes as a strip of pixels."""

from __future__ import annotations

import numpy as np
import pytest

from swath.report.strip import legend_strip

CLASSES = [(f"class number {i}", (i * 20, 255 - i * 20, 40)) for i in range(12)]


def colors(strip: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(map(int, color)) for color in strip.reshape(-1, 3)}


@pytest.mark.parametrize("letters", [11, 15, 32])
@pytest.mark.parametrize("width", [60, 320, 2048])
def test_every_class_has_its_color(width: int, letters: int) -> None:
    strip = legend_strip(CLASSES, width, letters)
    assert strip.shape[1:] == (width, 3) and strip.dtype == np.uint8
    assert {color for _, color in CLASSES} <= colors(strip)


def test_narrow_ones_are_higher_and_nothing_takes_no_room() -> None:
    assert len(legend_strip(CLASSES, 200)) > len(legend_strip(CLASSES, 2000)) > 0
    assert legend_strip([], 200).shape == (0, 200, 3)


def test_a_long_name_is_shortened_and_other_letters_are_drawn() -> None:
    assert legend_strip([("x" * 500, (9, 8, 7))], 200).shape == legend_strip([("x", (9, 8, 7))], 200).shape
    assert not np.array_equal(legend_strip([("straße", (9, 8, 7))], 200), legend_strip([("strae", (9, 8, 7))], 200))
