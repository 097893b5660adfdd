"""The Triton kernel: on a GPU where there is one, otherwise through Triton's interpreter, if Triton is installed."""

from __future__ import annotations

import os
import types

import pytest
import torch
import torch.nn.functional as F

from swath.finish import confident, labels, reference_labels

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def kernel() -> types.ModuleType:
    before = os.environ.get("TRITON_INTERPRET")
    if DEVICE == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # looked at when a kernel is defined
    try:
        from swath.finish import triton_kernel
    finally:
        if before is None:
            os.environ.pop("TRITON_INTERPRET", None)
    return triton_kernel


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("shape", "size"), [((2, 5, 6, 9), (37, 50)), ((1, 19, 8, 8), (64, 64)), ((1, 1, 1, 1), (3, 5))]
)
def test_as_on_a_processor(
    kernel: types.ModuleType, shape: tuple[int, ...], size: tuple[int, int], dtype: torch.dtype, align_corners: bool
) -> None:
    logits = torch.randn(shape).to(dtype)
    if shape[0] == 2:
        logits = logits.contiguous(memory_format=torch.channels_last)
        logits[0, 1, 2, 3], logits[0, 2, 1, 1], logits[1, 3] = float("nan"), float("inf"), -float("inf")
    wanted = confident(logits, size, align_corners)
    there = logits.to(DEVICE)
    found, confidence, margin = (each.cpu() for each in kernel.finish(there, size, align_corners, sure=True))
    alone = kernel.finish(there, size, align_corners, sure=False)
    assert torch.equal(alone[0].cpu(), found) and alone[1:] == (None, None)
    differ = int((found != reference_labels(logits, size, align_corners)).sum())
    assert differ <= found.numel() // 1000  # rounding on a GPU is another one
    torch.testing.assert_close(confidence, wanted.confidence, atol=1e-5, rtol=0)
    torch.testing.assert_close(margin, wanted.margin, atol=1e-5, rtol=0)


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU")
def test_labels_on_a_gpu_stay_there() -> None:
    logits = F.interpolate(torch.randn(2, 19, 8, 16), size=(64, 128), mode="bicubic")
    found = labels(logits.cuda(), (512, 1024))
    assert found.device.type == "cuda"
    assert (found.cpu() != labels(logits, (512, 1024))).sum() <= found.numel() // 100_000
