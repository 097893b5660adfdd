"""The confusion matrix against the slowest possible one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swath import SwathError
from swath.evaluation import ConfusionMatrix


def slow(classes: int, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    counts = np.zeros((classes, classes), np.int64)
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist()):
        if t != 255:
            counts[t, p] += 1
    return counts


@pytest.mark.parametrize("classes", [1, 2, 19, 32, 33, 150, 255])
def test_counts_what_a_plain_loop_counts(classes: int) -> None:
    draw = np.random.default_rng(classes)
    matrix, expected = ConfusionMatrix(classes), np.zeros((classes, classes), np.int64)
    for shape in [(1, 1), (7, 13), (40, 31), (2, 9, 8)]:
        truth = draw.integers(0, classes, shape).astype(np.uint8)
        truth[draw.random(shape) < 0.2] = 255
        prediction = draw.integers(0, classes, shape).astype(np.uint8)
        matrix.update(truth, prediction)
        expected += slow(classes, truth, prediction)
    assert matrix.counts.dtype == np.int64
    assert np.array_equal(matrix.counts, expected)


def test_tensors_and_views_count_as_arrays_do() -> None:
    draw = np.random.default_rng(0)
    truth, prediction = draw.integers(0, 5, (2, 30, 40)).astype(np.uint8)
    expected = slow(5, truth, prediction)
    for t, p in [
        (torch.from_numpy(truth), torch.from_numpy(prediction)),
        (truth.T, prediction.T),
        (truth[::-1, ::-1], torch.from_numpy(prediction).flip(0, 1)),
    ]:
        matrix = ConfusionMatrix(5)
        matrix.update(t, p)
        assert np.array_equal(matrix.counts, expected)


def test_is_exact_beyond_what_float32_can_count() -> None:
    """2^24 is where float32 stops counting: in one picture, and over many."""
    zeros = np.zeros((4100, 4100), np.uint8)
    matrix = ConfusionMatrix(3)
    for _ in range(3):
        matrix.update(zeros, zeros)
    one = np.zeros((1, 1), np.uint8)
    matrix.update(one, one)
    assert matrix.counts[0, 0] == 3 * 4100 * 4100 + 1


def test_parts_add_up() -> None:
    draw = np.random.default_rng(1)
    truth, prediction = draw.integers(0, 4, (2, 20, 20)).astype(np.uint8)
    whole, top, bottom = ConfusionMatrix(4), ConfusionMatrix(4), ConfusionMatrix(4)
    whole.update(truth, prediction)
    top.update(truth[:9], prediction[:9])
    bottom.update(truth[9:], prediction[9:])
    top.merge(bottom)
    assert np.array_equal(top.counts, whole.counts)
    with pytest.raises(SwathError, match="4 and 3"):
        top.merge(ConfusionMatrix(3))


@pytest.mark.parametrize("classes", [3, 40])
@pytest.mark.parametrize("value", ["just above", 31, 32, 254])
def test_strangers_are_refused_and_named(classes: int, value: int | str) -> None:
    value = classes if value == "just above" else value
    if value < classes:
        pytest.skip("a class")
    good, bad = np.zeros((6, 6), np.uint8), np.zeros((6, 6), np.uint8)
    bad[2, 3:5] = value
    matrix = ConfusionMatrix(classes)
    with pytest.raises(SwathError, match=rf"label {value} \(2 pixels\)"):
        matrix.update(bad, good)
    with pytest.raises(SwathError, match=rf"labels above {classes - 1} \(2 pixels\)"):
        matrix.update(good, bad)
    assert not matrix.counts.any()


def test_unlike_pictures_and_kinds_are_refused() -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(SwathError, match="4x5 pixels, the prediction 5x4"):
        matrix.update(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8))
    with pytest.raises(SwathError, match="uint8"):
        matrix.update(np.zeros((4, 5), np.int64), np.zeros((4, 5), np.uint8))
    for classes in (0, 256):
        with pytest.raises(SwathError):
            ConfusionMatrix(classes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_counts_on_a_gpu() -> None:
    draw = np.random.default_rng(2)
    truth, prediction = draw.integers(0, 19, (2, 64, 64)).astype(np.uint8)
    matrix = ConfusionMatrix(19)
    matrix.update(truth, torch.from_numpy(prediction).cuda())
    assert np.array_equal(matrix.counts, slow(19, truth, prediction))
