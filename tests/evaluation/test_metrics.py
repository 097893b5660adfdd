"""Scores against definitions written out pixel by pixel."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from swath import SwathError
from swath.evaluation import ConfusionMatrix, Scores, metrics


def card(categories: list[str]) -> SimpleNamespace:
    names = [f"c{i}" for i in range(len(categories))]
    classes = [SimpleNamespace(name=name, category=category) for name, category in zip(names, categories)]
    return SimpleNamespace(name="made up", class_names=names, classes=classes)


def scored(truth: np.ndarray, prediction: np.ndarray, categories: list[str]) -> Scores:
    matrix = ConfusionMatrix(len(categories))
    matrix.update(truth, prediction)
    return metrics(matrix.counts, card(categories))


def iou(truth: np.ndarray, prediction: np.ndarray, members: list[int]) -> float | None:
    """By sets of pixels."""
    counted = truth != 255
    a, b = np.isin(truth, members) & counted, np.isin(prediction, members) & counted
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else None


def mean(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


@pytest.mark.parametrize("seed", range(20))
def test_every_score_is_what_sets_of_pixels_say(seed: int) -> None:
    draw = np.random.default_rng(seed)
    categories = ["road", "car", "car", "", "sky", "sky"]
    truth = draw.choice(np.array([0, 1, 2, 3, 255], np.uint8), (17, 23))  # no pixel of the sky
    prediction = draw.choice(np.array([0, 1, 2, 3, 4], np.uint8)[: 4 + seed % 2], (17, 23))  # at times one of class 4
    scores = scored(truth, prediction, categories)
    counted = truth != 255
    by_class = [iou(truth, prediction, [c]) for c in range(6)]
    assert scores.class_iou == pytest.approx(by_class)
    assert scores.miou == pytest.approx(mean(by_class))
    by_category = {
        name: iou(truth, prediction, [i for i, each in enumerate(categories) if each == name])
        for name in ("road", "car", "sky")
    }
    assert scores.category_iou == pytest.approx(by_category)
    assert scores.category_miou == pytest.approx(mean(list(by_category.values())))
    assert scores.pixel_accuracy == pytest.approx((truth == prediction)[counted].mean())
    recall = [(prediction == c)[truth == c].mean() if (truth == c).any() else None for c in range(6)]
    assert scores.class_accuracy == pytest.approx(recall)
    assert scores.mean_accuracy == pytest.approx(mean(recall))
    dice = [None if value is None else 2 * value / (1 + value) for value in by_class]
    assert scores.class_dice == pytest.approx(dice)
    weights = [(truth == c).sum() / counted.sum() for c in range(6)]
    assert scores.frequency_weighted_iou == pytest.approx(sum(w * (v or 0) for w, v in zip(weights, by_class)))
    assert scores.pixels == counted.sum()


def test_absent_is_not_zero_and_zero_is_not_absent() -> None:
    """No pixel of it and none taken for it: absent. Taken for it although there is none: 0, as Cityscapes counts."""
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    prediction = np.array([[0, 2, 1, 3]], np.uint8)
    scores = scored(truth, prediction, ["a", "a", "b", "c"])
    assert scores.class_iou == [0.5, 1.0, 0.0, None]
    assert scores.absent == ["c3"]
    assert scores.miou == pytest.approx(0.5)
    assert scores.class_accuracy == [0.5, 1.0, None, None]
    assert scores.category_iou == {"a": pytest.approx(2 / 3), "b": 0.0, "c": None}


def test_nothing_to_score_is_absent_everywhere() -> None:
    scores = scored(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8), ["a", "b"])
    assert scores.miou is scores.pixel_accuracy is scores.mean_accuracy is scores.frequency_weighted_iou is None
    assert scores.absent == ["c0", "c1"] and scores.pixels == 0


def test_a_class_without_a_category_counts_against_the_others() -> None:
    scores = scored(np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8), ["a", ""])
    assert scores.category_iou == {"a": 0.5}


def test_goes_through_json_with_exact_counts() -> None:
    counts = np.array([[2**53 + 1, 0], [5, 7]], np.int64)
    told = json.loads(json.dumps(metrics(counts, card(["a", "b"])).as_dict()))
    assert told["counts"] == [[2**53 + 1, 0], [5, 7]]
    assert told["class_names"] == ["c0", "c1"]


def test_a_matrix_of_other_classes_is_refused() -> None:
    with pytest.raises(SwathError, match="made up: 2 classes"):
        metrics(np.zeros((3, 3), np.int64), card(["a", "b"]))
