"""10,000 random shapes and values: every way on this machine labels as `interpolate` + `argmax` does.

How near is the same? All ways, and torch's own, know a pixel's place to 4 roundings of a number below h + 1 (or w + 1),
and within a cell a value changes by at most twice its largest corner; mixing four corners rounds at most 8 times. So
every value is known to E = eps * corner * (8 + 8 (h + w + 2)) with eps = 2^-24, and a class that a way takes for the
best can lie 4 E below the best of torch's: two roundings on either side. Pixels that differ by no more are ties.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from swath.finish import confident, labels, reference_labels, way

TRIALS = 10_000
LIMIT = 2.0**126
CONTENTS = ("noise", "regions", "whole numbers", "one value", "twins", "huge", "infinite", "no numbers")


def ways() -> list[str]:
    found = ["torch"]
    if way() == "c":
        found.append("c")
    if importlib.util.find_spec("numba"):
        found.append("numba")
    return found


def contents(kind: str, shape: tuple[int, ...], draw: np.random.Generator) -> Tensor:
    z = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32)) * 3
    some = torch.from_numpy(draw.random(shape) < 0.1)
    if kind == "regions":
        z = F.avg_pool2d(F.pad(z, (2, 2, 2, 2), mode="replicate"), 5, 1) * 8
    elif kind == "whole numbers":
        z = z.round().clamp(-1, 1)
    elif kind == "one value":
        z = torch.full_like(z, float(draw.normal()))
    elif kind == "twins":
        z[:, -1] = z[:, 0]
    elif kind == "huge":
        z = z * 2.0**120
    elif kind == "infinite":
        z[some] = float("inf") * z[some].sign()
    elif kind == "no numbers":
        z[some] = float("nan")
    return z


def cases() -> Iterator[tuple[str, Tensor, tuple[int, int], bool]]:
    draw = np.random.default_rng(11)
    for trial in range(TRIALS):
        batch, h, w = (int(v) for v in draw.integers((1, 1, 1), (3, 8, 8)))
        classes = 256 if trial % 100 == 0 else int(draw.choice([1, 2, 3, 4, 7, 19]))
        if trial % 3:
            size = (int(draw.integers(1, 34)), int(draw.integers(1, 34)))
        else:
            stride = int(draw.choice([1, 2, 4, 8]))
            size = (h * stride, w * stride)
        kind = CONTENTS[trial % len(CONTENTS)]
        z = contents(kind, (batch, classes, h, w), draw)
        layout = int(draw.integers(4))
        if layout == 1:
            z = z.contiguous(memory_format=torch.channels_last)
        elif layout == 2:
            z = z.transpose(2, 3).contiguous().transpose(2, 3)
        yield kind, z, size, bool(draw.integers(2))


def too_far(z: Tensor, size: tuple[int, int], align_corners: bool, mine: Tensor, wanted: Tensor) -> Tensor:
    """Where `mine` is no tie with `wanted`."""
    z = z.nan_to_num(nan=-LIMIT, posinf=LIMIT, neginf=-LIMIT).clamp(-LIMIT, LIMIT).contiguous()
    corner = F.max_pool2d(z.abs(), 3, 1, 1)  # of every cell that a pixel may be taken to lie in
    full, size_of = (
        F.interpolate(each.double(), size=size, mode="bilinear", align_corners=align_corners) for each in (z, corner)
    )

    def of(values: Tensor, chosen: Tensor) -> Tensor:
        return values.gather(1, chosen.long()[:, None])[:, 0]

    known = 2.0**-24 * (8 + 8 * (z.shape[2] + z.shape[3] + 2)) * torch.maximum(of(size_of, mine), of(size_of, wanted))
    return (of(full, wanted) - of(full, mine)).abs() > 4 * known


@pytest.mark.slow
def test_every_way_labels_as_interpolate_and_argmax_do(monkeypatch: pytest.MonkeyPatch) -> None:
    names, pixels, ties = ways(), 0, 0
    for kind, z, size, align_corners in cases():
        wanted = reference_labels(z, size, align_corners)
        for name in names:
            monkeypatch.setenv("SWATH_FINISH", name)
            mine = labels(z, size, align_corners)
            assert mine.shape == wanted.shape and mine.dtype == torch.uint8
            assert kind != "twins" or z.shape[1] == 1 or not (mine == z.shape[1] - 1).any()  # the lowest of equal ones
            if not torch.equal(mine, wanted):
                where = (name, kind, tuple(z.shape), z.stride(), size, align_corners)
                assert not too_far(z, size, align_corners, mine, wanted).any(), where
                if kind in ("noise", "regions"):
                    ties += int((mine != wanted).sum())
            pixels += mine.numel()
    assert ties < 1e-5 * pixels  # where nothing was made equal on purpose, next to nothing is


def test_probabilities_are_those_of_full_size_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    for trial, (kind, z, size, align_corners) in enumerate(cases()):
        if trial % 23 or kind in ("huge", "infinite", "no numbers"):
            continue
        full = F.interpolate(z, size=size, mode="bilinear", align_corners=align_corners)
        best = F.pad(full.double().softmax(1), (0, 0, 0, 0, 0, 1)).topk(2, 1).values  # beside one class: nothing
        for name in ("c", "torch") if way() == "c" else ("torch",):
            monkeypatch.setenv("SWATH_FINISH", name)
            found = confident(z, size, align_corners)
            assert not too_far(z, size, align_corners, found.labels, labels(z, size, align_corners)).any()
            near = 1e-4 if z.abs().max() > 20 else 1e-5
            where = (name, kind, tuple(z.shape), size, align_corners)
            assert (found.confidence - best[:, 0]).abs().max() < near, where
            assert (found.margin - (best[:, 0] - best[:, 1])).abs().max() < near, where
            monkeypatch.delenv("SWATH_FINISH")
