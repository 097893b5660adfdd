"""Sampling a map at places that another map names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(x: Tensor, offset: Tensor) -> Tensor:
    """`x` sampled bilinearly where each cell's offset (N x 2 x H x W: x, y; one unit is half a cell) points; 0 outside.

    Places are computed in float32 at least: bfloat16 cannot tell the columns of a wide map apart.
    """
    height, width = x.shape[-2:]
    dtype = torch.promote_types(x.dtype, torch.float32)
    across, down = offset.to(dtype).unbind(1)
    grid = torch.stack(
        (across / width + _line(width, across), down / height + _line(height, down).unsqueeze(1)), dim=-1
    )
    return F.grid_sample(x.to(dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True).to(x.dtype)


def _line(steps: int, like: Tensor) -> Tensor:
    """-1 to 1 in equal steps (`linspace` would fix the number of steps in an exported graph); -1 for a single one."""
    line: Tensor = torch.arange(steps, dtype=like.dtype, device=like.device) * (2 / torch.sym_max(steps - 1, 1)) - 1
    return line
