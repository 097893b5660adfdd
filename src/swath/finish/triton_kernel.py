"""The finish on a GPU: one Triton kernel, a thread a pixel, which goes through the classes. Imported only there.

Neighbouring pixels read the same four logits of a class, so nearly all reads come from the caches; what is left of the
memory's work is the small logits once and a byte a pixel.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256


@triton.jit  # type: ignore[untyped-decorator]
def _finish(  # type: ignore[no-untyped-def]
    z,
    labels,
    confidence,
    margin,
    classes,
    h,
    w,
    height,
    width,
    by_picture,
    by_class,
    by_row,
    by_column,
    scale_y,
    scale_x,
    ALIGN: tl.constexpr,
    SURE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    picture = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = pixel < height * width
    y = (pixel // width).to(tl.float32)
    x = (pixel % width).to(tl.float32)
    if ALIGN:
        source_y, source_x = y * scale_y, x * scale_x
    else:
        source_y, source_x = (y + 0.5) * scale_y - 0.5, (x + 0.5) * scale_x - 0.5
    source_y, source_x = tl.maximum(source_y, 0.0), tl.maximum(source_x, 0.0)
    top, left = tl.minimum(source_y.to(tl.int32), h - 1), tl.minimum(source_x.to(tl.int32), w - 1)
    down, right = (tl.minimum(top + 1, h - 1) - top) * by_row, (tl.minimum(left + 1, w - 1) - left) * by_column
    fy, fx = source_y - top.to(tl.float32), source_x - left.to(tl.float32)
    corner = z + picture * by_picture + top * by_row + left * by_column

    most = tl.full((BLOCK,), -float("inf"), tl.float32)
    second, total, best = most, tl.full((BLOCK,), 0.0, tl.float32), tl.full((BLOCK,), 0, tl.int32)
    for c in range(classes):
        a, b = _finite(tl.load(corner, real)), _finite(tl.load(corner + right, real))
        d, e = _finite(tl.load(corner + down, real)), _finite(tl.load(corner + down + right, real))
        v = (a * (1 - fx) + b * fx) * (1 - fy) + (d * (1 - fx) + e * fx) * fy
        better = v > most
        best = tl.where(better, c, best)
        if SURE:
            second = tl.where(better, most, tl.maximum(second, v))
            less = tl.exp(-tl.abs(v - most))
            total = tl.where(better, total * less + 1, total + less)
        most = tl.where(better, v, most)
        corner += by_class
    out = picture * height * width + pixel
    tl.store(labels + out, best.to(tl.uint8), real)
    if SURE:
        tl.store(confidence + out, 1 / total, real)
        tl.store(margin + out, (1 - tl.exp(second - most)) / total, real)


@triton.jit  # type: ignore[untyped-decorator]
def _finite(v):  # type: ignore[no-untyped-def]
    v = v.to(tl.float32)
    v = tl.where(v > -8.507059173023462e37, v, -8.507059173023462e37)  # not a number compares false
    return tl.where(v < 8.507059173023462e37, v, 8.507059173023462e37)


def finish(
    logits: Tensor, size: tuple[int, int], align_corners: bool, sure: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Labels of float logits with any strides; probabilities and margins too where `sure`."""
    count, classes, h, w = logits.shape
    labels = torch.empty((count, *size), dtype=torch.uint8, device=logits.device)
    more = [torch.empty((count, *size), device=logits.device) if sure else None for _ in range(2)]
    if align_corners:
        scales = [(have - 1) / (want - 1) if want > 1 else 0.0 for have, want in zip((h, w), size)]
    else:
        scales = [have / want for have, want in zip((h, w), size)]
    grid: Any = (triton.cdiv(size[0] * size[1], _BLOCK), count)
    if count:
        with torch.cuda.device_of(logits):  # Triton launches on the current one
            _finish[grid](
                *(logits, labels, *(labels if each is None else each for each in more)),
                *(classes, h, w, *size, *logits.stride(), *scales),
                ALIGN=align_corners,
                SURE=sure,
                BLOCK=_BLOCK,
            )
    return labels, more[0], more[1]
