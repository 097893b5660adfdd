"""Pooling, cropping and warping against slow references, and in exported graphs at sizes that were not traced."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swath.networks.parts import PyramidPooling, crop_to, pool_to, warp
from swath.networks.parts.pool import pooling_matrix

FREE = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


@pytest.mark.parametrize("cells, size", [(1, 1), (6, 1), (6, 4), (3, 7), (6, 13), (5, 5)])
def test_pooling_matrix_is_adaptive_average_pooling(cells: int, size: int) -> None:
    x = torch.randn(2, 3, size, size + 1, dtype=torch.float64)
    mine = pooling_matrix(cells, size, x) @ x @ pooling_matrix(cells + 1, size + 1, x).T
    torch.testing.assert_close(mine, F.adaptive_avg_pool2d(x, (cells, cells + 1)))


def test_spare_rows_of_a_pooling_matrix_are_zero() -> None:
    like = torch.zeros(1)
    spare = pooling_matrix(3, 10, like, spare=2)
    assert torch.equal(spare[:3], pooling_matrix(3, 10, like))
    assert torch.equal(spare[3:], torch.zeros(2, 10))


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_exported_pooling_follows_the_size(bins: int) -> None:
    module = Call(lambda x: pool_to(x, bins, bins))
    program = torch.export.export(module, (torch.randn(2, 3, 24, 36),), dynamic_shapes=((FREE,),)).module()
    for size in [(24, 36), (17, 5), (7, 31)]:
        x = torch.randn(1, 3, *size)
        torch.testing.assert_close(program(x), F.adaptive_avg_pool2d(x, bins), rtol=1e-5, atol=1e-6)


def test_pyramid_pooling_keeps_the_map_in_front() -> None:
    x = torch.randn(1, 8, 5, 7)
    with torch.no_grad():
        y = PyramidPooling(8, 2, (1, 2, 3), align_corners=True).eval()(x)
    assert y.shape == (1, 8 + 3 * 2, 5, 7)
    assert torch.equal(y[:, :8], x)
    assert torch.equal(y[:, 8:10], y[:, 8:10, :1, :1].expand(-1, -1, 5, 7))  # the average of all is the same everywhere


@pytest.mark.parametrize("size", [(8, 10), (7, 10), (8, 9), (7, 9)])
def test_cropping_in_eager_mode_and_in_a_graph_traced_at_an_even_size(size: tuple[int, int]) -> None:
    def halve_and_double(x: Tensor) -> Tensor:
        up = F.max_pool2d(x, 2, ceil_mode=True).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return crop_to(up, (x.shape[-2], x.shape[-1])) + x

    module = Call(halve_and_double)
    program = torch.export.export(module, (torch.randn(2, 3, 8, 12),), dynamic_shapes=((FREE,),)).module()
    x = torch.randn(1, 3, *size)
    wanted = torch.empty_like(x)
    for i in range(size[0]):
        for j in range(size[1]):
            wanted[..., i, j] = x[..., i // 2 * 2 : i // 2 * 2 + 2, j // 2 * 2 : j // 2 * 2 + 2].amax((-2, -1))
    assert torch.equal(halve_and_double(x), wanted + x)
    assert torch.equal(program(x), wanted + x)


@pytest.mark.parametrize("size", [(5, 8), (1, 6), (4, 1), (1, 1)])
def test_warp_samples_where_the_offsets_point(size: tuple[int, int]) -> None:
    height, width = size
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    offset = 3 * torch.randn(1, 2, height, width, dtype=torch.float64)
    wanted = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            down = i + float(offset[0, 1, i, j]) / height * (height - 1) / 2
            across = j + float(offset[0, 0, i, j]) / width * (width - 1) / 2
            for row in (math.floor(down), math.floor(down) + 1):
                for column in (math.floor(across), math.floor(across) + 1):
                    if 0 <= row < height and 0 <= column < width:
                        share = (1 - abs(down - row)) * (1 - abs(across - column))
                        wanted[0, :, i, j] += share * x[0, :, row, column]
    torch.testing.assert_close(warp(x, offset), wanted)


def test_warp_without_offsets_changes_nothing_in_any_precision() -> None:
    for dtype, tolerance in [(torch.float64, 1e-12), (torch.float32, 1e-4), (torch.bfloat16, 2e-2)]:
        x = torch.randn(1, 3, 6, 256).to(dtype)
        same = warp(x, torch.zeros(1, 2, 6, 256, dtype=dtype))
        assert same.dtype == dtype
        torch.testing.assert_close(same, x, rtol=tolerance, atol=tolerance)
