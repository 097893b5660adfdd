"""Pictures that the network saw in another size, and padded: labels and probabilities at the pictures' own size."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from swath.finish import Shown, confident, labels, way

TRIALS = 400


def ways() -> list[str]:
    found = ["torch"] + (["c"] if way() == "c" else [])
    return found + (["numba"] if importlib.util.find_spec("numba") else [])


def places(logits: int, pixels: int, shown: int, padded: int, corners: bool) -> tuple[np.ndarray, ...]:
    """By the definition: where the middle of each pixel lies in what was shown, and there between the logits."""
    at = (np.arange(pixels) + 0.5) * shown / pixels - 0.5
    if corners:
        source = at * (logits - 1) / (padded - 1) if padded > 1 else 0 * at
    else:
        source = (at + 0.5) * logits / padded - 0.5
    source = np.clip(source, 0, logits - 1)
    below = np.floor(source).astype(int)
    return below, np.minimum(below + 1, logits - 1), source - below


def full(z: np.ndarray, size: tuple[int, int], shown: Shown, corners: bool) -> np.ndarray:
    rows, columns = (places(*each, corners) for each in zip(z.shape[2:], size, shown.size, shown.padded))
    wide = z[..., columns[0]] * (1 - columns[2]) + z[..., columns[1]] * columns[2]
    return wide[:, :, rows[0]] * (1 - rows[2])[:, None] + wide[:, :, rows[1]] * rows[2][:, None]


def cases() -> list[tuple[torch.Tensor, tuple[int, int], Shown, bool]]:
    draw, found = np.random.default_rng(7), []
    for _ in range(TRIALS):
        n, c, h, w = (int(each) for each in draw.integers((1, 1, 1, 1), (3, 8, 7, 9)))
        stride = int(draw.choice([1, 4, 8]))
        padded = (h * stride, w * stride)
        seen = tuple(int(draw.integers(max(1, side - stride), side + 1)) for side in padded)
        size = tuple(max(1, round(side * draw.choice([0.4, 1, 1.33, 2, 3]))) for side in seen)
        z = torch.from_numpy(draw.standard_normal((n, c, h, w)).astype(np.float32) * 3)
        found.append((z, size, Shown(seen, padded), bool(draw.integers(2))))
    return found


@pytest.mark.parametrize("by", ways())
def test_labels_are_those_of_the_definition(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FINISH", by)
    for z, size, shown, corners in cases():
        values = full(z.numpy().astype(np.float64), size, shown, corners)
        found = labels(z, size, corners, shown)
        assert found.dtype == torch.uint8 and tuple(found.shape) == (len(z), *size)
        chosen = np.take_along_axis(values, found.numpy()[:, None].astype(int), 1)[:, 0]
        assert (values.max(1) - chosen).max() < 1e-4, (z.shape, size, shown, corners)


@pytest.mark.parametrize("by", ways())
def test_probabilities_too(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FINISH", by)
    for z, size, shown, corners in cases()[:100]:
        values = np.exp(full(z.numpy().astype(np.float64), size, shown, corners) / 1.7)
        found = confident(z, size, corners, 1.7, shown)
        assert torch.equal(found.labels, labels(z, size, corners, shown))
        np.testing.assert_allclose(found.confidence, (values.max(1) / values.sum(1)), atol=2e-5)


def test_shown_as_it_is_is_nothing_special() -> None:
    z = torch.randn(1, 5, 6, 9, generator=torch.Generator().manual_seed(1))
    for corners in (False, True):
        assert torch.equal(labels(z, (48, 72), corners, Shown((48, 72), (48, 72))), labels(z, (48, 72), corners))
