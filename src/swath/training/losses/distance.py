"""Distances to the nearest marked pixel, exact up to a reach, without anybody waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distance(mask: Tensor, reach: int) -> Tensor:
    """Squared Euclidean distance, int16 N x H x W, of each pixel to the nearest True one; `reach`^2 where it is more.

    Along the columns by running maxima. Then along the rows, where min over n of f(x + n) + n^2 is taken in steps of
    one pixel that cost 1, 3, 5, ...: the sum of the first n odd numbers is n^2.
    """
    height = mask.shape[1]
    row = torch.arange(height, dtype=torch.int32, device=mask.device)[None, :, None]
    far = height + reach
    before = torch.where(mask, row, -far).cummax(1).values
    after = torch.where(mask, row, far).flip(1).cummin(1).values.flip(1)
    away = torch.minimum(row - before, after - row).clamp(max=reach)
    squared = away.square().to(torch.int16)
    for n in range(1, reach):
        cost = 2 * n - 1
        to_left, to_right = squared[:, :, :-1] + cost, squared[:, :, 1:] + cost
        squared = squared.clone()
        squared[:, :, 1:] = torch.minimum(squared[:, :, 1:], to_left)
        squared[:, :, :-1] = torch.minimum(squared[:, :, :-1], to_right)
    return squared
