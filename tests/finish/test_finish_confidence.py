"""Confidence and margin are those of full-size probabilities."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from swath.finish import confident, labels, way

WAYS = ("c", "torch") if way() == "c" else ("torch",)


@pytest.fixture(params=WAYS)
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SWATH_FINISH", str(request.param))
    return str(request.param)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("classes", [2, 19, 256])
def test_against_softmax_at_full_size(each_way: str, classes: int, align_corners: bool) -> None:
    logits = torch.randn(2, classes, 9, 7) * 4
    found = confident(logits, (70, 61), align_corners)
    full = F.interpolate(logits, size=(70, 61), mode="bilinear", align_corners=align_corners).softmax(1)
    best = full.topk(2, 1)
    assert torch.equal(found.labels, best.indices[:, 0].to(torch.uint8))
    torch.testing.assert_close(found.confidence, best.values[:, 0], atol=3e-6, rtol=0)
    torch.testing.assert_close(found.margin, best.values[:, 0] - best.values[:, 1], atol=3e-6, rtol=0)


def test_far_apart_classes_are_left_out_without_a_trace(each_way: str) -> None:
    logits = torch.randn(1, 19, 6, 6) * 30
    found = confident(logits, (48, 48))
    full = F.interpolate(logits.double(), size=(48, 48), mode="bilinear").softmax(1).topk(2, 1).values
    assert (found.confidence - full[:, 0]).abs().max() < 2e-5  # places are known to 1e-7 of logits of a hundred
    assert (found.margin - (full[:, 0] - full[:, 1])).abs().max() < 2e-5


def test_one_class_is_certain_and_equal_ones_are_not(each_way: str) -> None:
    alone = confident(torch.randn(1, 1, 3, 4), (20, 30))
    assert (alone.confidence == 1).all() and (alone.margin == 1).all() and not alone.labels.any()
    even = confident(torch.zeros(1, 4, 3, 4), (20, 30))
    assert (even.confidence == 0.25).all() and (even.margin == 0).all() and not even.labels.any()


def test_numbers_that_are_none_leave_numbers(each_way: str) -> None:
    logits = torch.randn(1, 5, 6, 6)
    logits[0, 1, 2, 2], logits[0, 2, 3, 3], logits[0, 3, 4] = float("nan"), float("inf"), -float("inf")
    found = confident(logits, (48, 48))
    assert torch.equal(found.labels, labels(logits, (48, 48)))
    for values in (found.confidence, found.margin):
        assert torch.isfinite(values).all() and values.min() >= 0 and values.max() <= 1


def test_any_layout_batch_and_number_of_threads(each_way: str) -> None:
    logits = torch.randn(3, 4, 24, 40)
    wanted = confident(logits, (384, 400))
    torch.set_num_threads(3)
    try:
        found = confident(logits.contiguous(memory_format=torch.channels_last), (384, 400))
    finally:
        torch.set_num_threads(1)
    assert all(map(torch.equal, found, wanted))
    assert [tuple(each.shape) for each in confident(logits[:0], (8, 9))] == [(0, 8, 9)] * 3
