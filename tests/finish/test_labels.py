"""The fast finish answers what `interpolate` + `argmax` answers, wherever the question has one answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from swath import SwathError
from swath.finish import confident, labels, reference_labels


def assert_same(logits: torch.Tensor, size: tuple[int, int], align_corners: bool) -> None:
    """Labels may differ only where the two best classes are equal up to rounding."""
    mine, wanted = labels(logits, size, align_corners), reference_labels(logits, size, align_corners)
    assert mine.shape == wanted.shape and mine.dtype == torch.uint8
    differ = mine != wanted
    if differ.any():
        full = F.interpolate(logits, size=size, mode="bilinear", align_corners=align_corners)
        chosen = full.gather(1, mine.long()[:, None])[:, 0]
        gap = (full.max(1).values - chosen)[differ]
        assert gap.max() <= 4e-6 * logits.abs().max(), (size, align_corners, gap.max())


def smooth(classes: int, h: int, w: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Logits with regions, as a network gives them: coarse noise enlarged."""
    noise = torch.randn(batch, classes, max(1, h // 4), max(1, w // 4), generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(h, w), mode="bicubic") * 5


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 7, 8, 16, 32])
def test_whole_strides(stride: int, align_corners: bool) -> None:
    logits = smooth(19, 12, 20, batch=2)
    assert_same(logits, (12 * stride, 20 * stride), align_corners)


@pytest.mark.parametrize("align_corners", [False, True])
def test_random_shapes_and_contents(align_corners: bool) -> None:
    draw = np.random.default_rng(5)
    for trial in range(150):
        h, w = (int(v) for v in draw.integers(1, 24, 2))
        size = (int(h * draw.uniform(0.4, 9)) + 1, int(w * draw.uniform(0.4, 9)) + 1)
        classes = int(draw.choice([1, 2, 3, 11, 19, 256]))
        make = smooth if trial % 3 else lambda c, h, w: torch.randn(1, c, h, w)
        assert_same(make(classes, h, w), size, align_corners)


def test_equal_classes_give_the_lowest() -> None:
    assert not labels(torch.zeros(1, 5, 4, 4), (32, 32)).any()


def test_half_precision_is_finished_in_float() -> None:
    logits = smooth(7, 10, 10).to(torch.bfloat16)
    assert torch.equal(labels(logits, (80, 80)), labels(logits.float(), (80, 80)))


def test_full_size_logits_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FINISH", "torch")  # the compiled ways make no tensors
    held = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal held
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                held = max(held, out.numel())
            return out

    with Watch():
        labels(smooth(19, 32, 64), (256, 512), False)
        labels(torch.randn(1, 19, 32, 64), (256, 512), True)
        confident(torch.randn(1, 19, 32, 64), (512, 1024), True)
    # one plane, or a chunk of interpolated cells; never the 19 planes together
    assert held <= 19 * 256 * 512 // 2


def test_too_many_classes_for_a_byte() -> None:
    with pytest.raises(SwathError, match="257 classes"):
        labels(torch.zeros(1, 257, 2, 2), (4, 4))
