"""Label tables: every value goes where the card sends it, and one without a name is never swallowed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from swath import SwathError
from swath.cards import LabelTable


def test_bytes_agree_with_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    ids = {value: int(rng.integers(0, 30)) for value in range(200)} | {255: 255}
    raw = rng.choice(np.array(sorted(ids), np.uint8), (40, 50))
    got = LabelTable(ids).apply(raw)
    assert got.dtype == np.uint8 and got.shape == raw.shape
    assert all(got[y, x] == ids[int(raw[y, x])] for y in range(40) for x in range(50))


def test_words_and_division() -> None:
    table = LabelTable({0: 0, 7: 1, 65535: 255})
    assert table.apply(np.array([[0, 7, 65535]], np.uint16)).tolist() == [[0, 1, 255]]
    instances = np.array([[5 * 256, 5 * 256 + 255, 6 * 256 + 1]], np.uint16)
    assert LabelTable({5: 1, 6: 2}, divide=256).apply(instances).tolist() == [[1, 1, 2]]
    assert LabelTable({0: 3, 1: 4}, divide=100).apply(np.array([[0, 99, 100]], np.uint8)).tolist() == [[3, 3, 4]]


def test_colors_agree_with_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    colors = np.unique(rng.integers(0, 256, (32, 3), np.uint8), axis=0)
    chosen = rng.integers(0, len(colors), (30, 40))
    ids = {int(r) << 16 | int(g) << 8 | int(b): k for k, (r, g, b) in enumerate(colors)}
    assert np.array_equal(LabelTable(ids, by_color=True).apply(colors[chosen]), chosen)


def test_an_unknown_value_is_named_with_count_and_place() -> None:
    raw = np.zeros((20, 30), np.uint8)
    raw[4, 9] = raw[5, :3] = 42
    raw[10, 10] = 43
    with pytest.raises(SwathError) as caught:
        LabelTable({0: 0}, where="bottles.yaml:7 (label_values)").apply(raw, "masks/1.png")
    said = str(caught.value)
    for part in ("masks/1.png", "value 42", "4 pixels", "x 9, y 4", "1 other", "bottles.yaml:7"):
        assert part in said


def test_an_unknown_color_is_named() -> None:
    raw = np.zeros((4, 4, 3), np.uint8)
    raw[3, 1] = (1, 2, 3)
    with pytest.raises(SwathError, match=r"l\.png: color \(1, 2, 3\) in 1 pixels, first at x 1, y 3"):
        LabelTable({0: 0}, by_color=True).apply(raw, "l.png")


def test_every_unknown_byte_is_found() -> None:
    table = LabelTable({value: value for value in range(10)} | {255: 255})
    for value in range(256):
        raw = np.full((3, 3), value, np.uint8)
        if value < 10 or value == 255:
            assert (table.apply(raw) == value).all()
        else:
            with pytest.raises(SwathError, match=f"value {value} in 9"):
                table.apply(raw)


def test_others_take_what_is_not_named() -> None:
    table = LabelTable({3: 1}, others=0)
    assert table.apply(np.array([[3, 4, 255]], np.uint8)).tolist() == [[1, 0, 0]]


def test_colors_and_values_are_not_confused() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    with pytest.raises(SwathError, match="label_colors"):
        LabelTable({0: 0}).apply(colors, "l.png")
    with pytest.raises(SwathError, match="label_values"):
        LabelTable({0: 0}, by_color=True).apply(colors[..., 0], "l.png")
    grey = np.repeat(np.array([[[1], [2]]], np.uint8), 3, axis=2)
    assert LabelTable({1: 0, 2: 1}).apply(grey).tolist() == [[0, 1]]


def test_a_table_travels_light_to_worker_processes() -> None:
    table = LabelTable({0: 0, 255: 1}, by_color=True)
    raw = np.zeros((2, 2, 3), np.uint8)
    table.apply(raw)
    packed = pickle.dumps(table)
    assert len(packed) < 10_000
    assert (pickle.loads(packed).apply(raw) == 0).all()
