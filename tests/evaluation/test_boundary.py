"""Boundaries, by their definitions written out pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from swath import SwathError
from swath.evaluation import BoundaryCounts
from swath.evaluation.boundary import spread
from telling import blobs

Points = dict[int, set[tuple[int, int]]]


def boundary(labels: np.ndarray, truth: np.ndarray) -> Points:
    """Boundary pixels by class, where the truth is known."""
    found: Points = {}
    height, width = labels.shape
    for y, x in itertools.product(range(height), range(width)):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= v < height and 0 <= u < width
            if inside and labels[y, x] != labels[v, u] and truth[y, x] != 255 and truth[v, u] != 255:
                found.setdefault(int(labels[y, x]), set()).add((y, x))
    return found


def near(point: tuple[int, int], others: set[tuple[int, int]], within: float) -> bool:
    return any((point[0] - y) ** 2 + (point[1] - x) ** 2 <= within**2 for y, x in others)


class Slow:
    """The same sums, by sets of points."""

    def __init__(self, classes: int, widths: list[int]):
        self.classes, self.widths = classes, widths
        self.sums = np.zeros((4, len(widths), classes), int)  # true, predicted, found, right
        self.bands = np.zeros((len(widths), classes, classes), int)

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        true, said = boundary(truth, truth), boundary(prediction, truth)
        everywhere = set().union(*true.values()) if true else set()
        for row, width in enumerate(self.widths):
            for c in range(self.classes):
                t, s = true.get(c, set()), said.get(c, set())
                self.sums[:, row, c] += [
                    len(t),
                    len(s),
                    sum(near(point, s, width) for point in t),
                    sum(near(point, t, width) for point in s),
                ]
            for y, x in itertools.product(*map(range, truth.shape)):
                if truth[y, x] != 255 and near((y, x), everywhere, width - 1):
                    self.bands[row, truth[y, x], prediction[y, x]] += 1

    def f(self, row: int, c: int) -> float | None:
        true, said, found, right = self.sums[:, row, c]
        if not true and not said:
            return None
        if not true or not said or not found or not right:
            return 0.0
        precision, recall = right / said, found / true
        return 2 * precision * recall / (precision + recall)

    def iou(self, row: int, c: int) -> float | None:
        union = self.bands[row, c].sum() + self.bands[row, :, c].sum() - self.bands[row, c, c]
        return self.bands[row, c, c] / union if union else None


def close(ours: list[float | None], slow: list[float | None]) -> None:
    assert [value is None for value in ours] == [value is None for value in slow]
    assert [value or 0 for value in ours] == pytest.approx([value or 0 for value in slow], abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_sums_over_pictures_are_those_of_the_definition(seed: int) -> None:
    """More than eight classes, so that bits of a byte do not hold them all; some nowhere, some on one side only."""
    classes, widths = 12, [1, 2, 4]
    ours, slow = BoundaryCounts(classes, widths), Slow(classes, widths)
    for number, shape in enumerate([(17, 22), (9, 25), (3, 1)]):
        draw = np.random.default_rng((seed, number))
        truth = blobs(draw, [*range(10), 255], *shape, 25) if shape[1] > 3 else np.array([[1], [1], [2]], np.uint8)
        said = np.where(draw.random(shape) < 0.9, truth, 3)
        said = np.roll(np.where(said == 255, 11, said), seed, axis=1).astype(np.uint8)
        ours.update(truth, said)
        slow.update(truth, said)
    scores = ours.scores()
    assert scores.widths == widths
    for row in range(len(widths)):
        close(scores.class_f[row], [slow.f(row, c) for c in range(classes)])
        close(scores.trimap_class_iou[row], [slow.iou(row, c) for c in range(classes)])
        true, said, found, right = slow.sums[:, row]
        close(scores.class_recall[row], [f / t if t else None for f, t in zip(found, true)])
        close(scores.class_precision[row], [r / s if s else None for r, s in zip(right, said)])
        present = [value for value in scores.class_f[row] if value is not None]
        assert scores.mean_f[row] == pytest.approx(sum(present) / len(present))
    assert None in scores.class_f[0] and scores.class_f[0][10] is None


def test_a_boundary_that_is_three_pixels_off_is_found_at_three() -> None:
    truth, said = np.zeros((2, 20, 40), np.uint8)
    truth[:, 10:], said[:, 13:] = 1, 1
    counts = BoundaryCounts(2, (2, 3))
    counts.update(truth, said)
    assert counts.scores().mean_f == [0.0, 1.0]
    bands = BoundaryCounts(2, (1, 4))
    bands.update(truth, said)
    scores = bands.scores()
    assert bands.bands[0].counts.sum() == 2 * 20 and bands.bands[1].counts.sum() == 8 * 20  # so wide on either side
    assert scores.trimap_class_iou == [[0.5, 0.0], [pytest.approx(4 / 7), pytest.approx(1 / 4)]]


def test_what_the_truth_ignores_has_no_boundary_and_hides_one() -> None:
    truth = np.zeros((10, 30), np.uint8)
    truth[:, 10:] = 255
    said = np.zeros_like(truth)
    said[:, 5:], said[:, 15:] = 1, 2
    counts = BoundaryCounts(3, (1,))
    counts.update(truth, said)
    assert counts.true.tolist() == [0, 0, 0] and counts.predicted.tolist() == [10, 10, 0]
    assert counts.scores().class_f == [[0.0, 0.0, None]]
    assert counts.scores().trimap_miou == [None]


def test_a_perfect_prediction_and_none_at_all() -> None:
    labels = blobs(np.random.default_rng(0), [0, 1, 2, 255], 30, 40)
    counts = BoundaryCounts(4, (1, 3))
    counts.update(labels, np.where(labels == 255, 3, labels).astype(np.uint8))
    scores = counts.scores()
    assert scores.mean_f == [1.0, 1.0] and scores.trimap_miou == [1.0, 1.0] and scores.class_f[0][3] is None
    empty = BoundaryCounts(4, (1,)).scores()
    assert empty.mean_f == [None] and empty.trimap_miou == [None]


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 9])
def test_discs_are_round(radius: int) -> None:
    marks = np.zeros((21, 23), np.uint8)
    marks[10, 11] = 5
    y, x = np.mgrid[:21, :23]
    expected = np.where((y - 10) ** 2 + (x - 11) ** 2 <= radius**2, 5, 0)
    assert np.array_equal(spread(marks, [radius])[0], expected)


@pytest.mark.parametrize("widths", [(), (0,), (3, 500)])
def test_widths_that_mean_nothing_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(SwathError, match="boundary widths"):
        BoundaryCounts(3, widths)
