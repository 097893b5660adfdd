"""Losses against slow references in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from swath.errors import SwathError
from swath.training.losses import IGNORE, LOSSES, make_loss

WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 4.0])


def example(seed: int, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 4, 6, 7, generator=generator)
    labels = torch.randint(0, 4, (2, 6, 7), generator=generator, dtype=torch.uint8)
    labels[torch.rand(2, 6, 7, generator=generator) < ignored] = IGNORE
    return logits, labels


def pixel_losses(logits: Tensor, labels: Tensor) -> list[tuple[float, int]]:
    """(loss, class) of every pixel that counts, one by one."""
    found = []
    for n in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                truth = int(labels[n, y, x])
                if truth != IGNORE:
                    scores = [float(v) for v in logits[n, :, y, x].double()]
                    top = max(scores)
                    found.append((top + math.log(sum(math.exp(s - top) for s in scores)) - scores[truth], truth))
    return found


def weighted_mean(pixels: list[tuple[float, int]], weights: Tensor | None) -> float:
    each = [1.0 if weights is None else float(weights[truth]) for _, truth in pixels]
    return sum(w * loss for w, (loss, _) in zip(each, pixels)) / sum(each)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("seed", range(4))
def test_cross_entropy(seed: int, weights: Tensor | None) -> None:
    logits, labels = example(seed)
    got = make_loss("cross-entropy", {}, weights)([logits], labels)
    assert float(got) == pytest.approx(weighted_mean(pixel_losses(logits, labels), weights), rel=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("threshold", "min_share", "ignored"),
    [(0.7, 0.05, 0.2), (0.7, 0.9, 0.2), (0.01, 0.05, 0.2), (0.01, 0.3, 0.9), (1.0, 0.0, 0.5)],
)
def test_ohem(threshold: float, min_share: float, ignored: float, weights: Tensor | None) -> None:
    for seed in range(4):
        logits, labels = example(seed, ignored)
        pixels = sorted(pixel_losses(logits, labels), reverse=True)
        least = max(1, int(min_share * labels.numel()))
        hard = [each for each in pixels if each[0] >= -math.log(threshold)]
        hard = hard if len(hard) >= least else pixels[:least]
        got = make_loss("ohem", {"threshold": threshold, "min_share": min_share}, weights)([logits], labels)
        assert float(got) == pytest.approx(weighted_mean(hard, weights), rel=1e-5)


def test_ohem_gradient_touches_hard_pixels_only() -> None:
    logits, labels = example(0)
    logits.requires_grad_()
    make_loss("ohem", {"min_share": 0.0})([logits], labels).backward()
    probability = logits.detach().softmax(1).gather(1, labels.long().clamp(max=3)[:, None])[:, 0]
    hard = (probability <= 0.7) & (labels != IGNORE)
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum(1) > 0, hard)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", LOSSES)
def test_nothing_but_ignored_pixels(name: str, weights: Tensor | None) -> None:
    logits = torch.randn(2, 4, 5, 5, requires_grad=True)
    loss = make_loss(name, {}, weights)([logits], torch.full((2, 5, 5), IGNORE, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
def test_auxiliary_outputs_count_by_their_weights(name: str) -> None:
    logits, labels = example(1)
    other = example(2)[0]
    one = make_loss(name, {})
    both = make_loss(name, {}, None, aux_weights=[0.4])
    expected = one([logits], labels) + 0.4 * one([other], labels)
    assert torch.allclose(both([logits, other], labels), expected)
    with pytest.raises(ValueError, match="2 outputs"):
        one([logits, other], labels)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_logits_are_summed_in_single(name: str) -> None:
    logits, labels = example(3)
    rough = logits.bfloat16()
    assert torch.equal(make_loss(name, {})([rough], labels), make_loss(name, {})([rough.float()], labels))


def test_mistakes() -> None:
    with pytest.raises(SwathError, match="unknown loss 'ohm'; did you mean 'ohem'"):
        make_loss("ohm", {})
    with pytest.raises(SwathError, match="unknown option of the loss 'ohem' 'treshold'; did you mean 'threshold'"):
        make_loss("ohem", {"treshold": 0.5})
    for wrong in (1.5, -1, "high", True):
        with pytest.raises(SwathError, match="between 0 and 1"):
            make_loss("ohem", {"threshold": wrong})
    with pytest.raises(SwathError, match="must be above 0"):
        make_loss("ohem", {"threshold": 0})
