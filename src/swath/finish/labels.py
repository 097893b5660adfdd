"""The label of every pixel from small logits: `interpolate(bilinear)` + `argmax`, by the fastest way there is here."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.errors import SwathError, unknown
from swath.finish import plain
from swath.finish.axis import Axis, Shown, axes
from swath.finish.plain import best_class

__all__ = ["WAYS", "best_class", "checked", "labels", "reference_labels", "way"]

WAYS = ("c", "numba", "torch")  # on a CPU, the fastest first; "torch" also keeps a GPU from Triton
_FEW_PIXELS = 4  # a logit, below which the torch form had better go through planes


def labels(logits: Tensor, size: tuple[int, int], align_corners: bool = False, shown: Shown | None = None) -> Tensor:
    """uint8 labels N x H x W of logits N x C x h x w, at `size` = (H, W). Of equal classes the lowest wins.

    `shown`: the network saw the picture in another size than that, or padded.

    Not a number counts as the least value, infinities and all beyond 2^126 as 2^126.
    SWATH_FINISH=c, numba or torch in the environment chooses how; without it the fastest that this machine has.
    """
    logits = checked(logits, size)
    if logits.device.type == "cpu" and way() != "torch":
        return _ON_CPU[way()](logits, *axes(logits, size, align_corners, shown))
    if shown is not None:
        from swath.finish.confidence import in_bands

        return in_bands(plain.finite(logits), *axes(logits, size, align_corners, shown)).labels
    if logits.device.type == "cpu":
        return _by_torch(logits, size, align_corners)
    if use_triton(logits):
        from swath.finish import triton_kernel

        return triton_kernel.finish(logits, size, align_corners, sure=False)[0]
    return plain.by_planes(plain.finite(logits), size, align_corners)


def reference_labels(logits: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """The definition: full-size logits, then the best class. For tests and comparisons."""
    z = plain.finite(checked(logits, size))
    full = F.interpolate(z, size=size, mode="bilinear", align_corners=align_corners)
    return full.argmax(1).to(torch.uint8)


def way() -> str:
    """How labels are made on a CPU of this machine: one of WAYS."""
    said = os.environ.get("SWATH_FINISH")
    if said is None:
        return _fastest()
    if said not in WAYS:
        raise unknown("SWATH_FINISH", said, WAYS)
    if said != "torch" and (reason := _missing(said)):
        raise SwathError(f"SWATH_FINISH={said} cannot be had here: {reason}; unset it for the best that can")
    return said


def use_triton(logits: Tensor) -> bool:
    return logits.device.type == "cuda" and os.environ.get("SWATH_FINISH") != "torch" and _installed("triton")


def checked(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The logits as float32 without a gradient; refuses what has no labels."""
    if logits.ndim != 4 or 0 in logits.shape[1:] or not logits.is_floating_point():
        raise SwathError(
            f"labels are made of float logits N x classes x height x width, not of {logits.dtype} {list(logits.shape)}"
        )
    if logits.shape[1] > 256:
        raise SwathError(f"{logits.shape[1]} classes do not fit into uint8 labels; 256 is the most")
    if min(size) < 1:
        raise SwathError(f"labels of size {size[0]} x {size[1]} have no pixels; height and width must be 1 or more")
    return logits.detach().float()


@functools.cache
def _fastest() -> str:
    return next(name for name in WAYS if name == "torch" or not _missing(name))


def _missing(name: str) -> str | None:
    """Why a compiled way cannot be had here, if so."""
    if name == "numba":
        return None if _installed("numba") else 'numba is not installed (pip install "swath[numba]")'
    from swath.finish import compiled

    found = compiled.library()
    return found if isinstance(found, str) else None


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _by_c(logits: Tensor, rows: Axis, columns: Axis) -> Tensor:
    from swath.finish import compiled

    return compiled.finish(logits, rows, columns, sure=False)[0]


def _by_numba(logits: Tensor, rows: Axis, columns: Axis) -> Tensor:
    from swath.finish import numba_cells

    return numba_cells.labels(logits, rows, columns)


def _by_torch(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    logits = plain.finite(logits)
    if size[0] * size[1] < _FEW_PIXELS * logits.shape[2] * logits.shape[3] or not len(logits):
        return plain.by_planes(logits, size, align_corners)
    return torch.stack([plain.by_cells(each, size, align_corners) for each in logits])


_ON_CPU: dict[str, Callable[[Tensor, Axis, Axis], Tensor]] = {"c": _by_c, "numba": _by_numba}
