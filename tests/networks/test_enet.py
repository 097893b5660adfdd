"""What the battery does not hold about ENet: its unpooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from swath import SwathError, create_model
from swath.networks.enet import max_pool_with_corner, unpool
from swath.networks.parts import crop_to


@pytest.mark.parametrize("size", [(8, 10), (7, 9), (5, 1), (1, 6), (1, 1)])
def test_unpooling_is_max_unpooling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    maxima, corner = max_pool_with_corner(x)
    wanted, index = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    assert torch.equal(maxima, wanted)
    values = torch.randn_like(maxima)
    assert torch.equal(crop_to(unpool(values, corner), size), F.max_unpool2d(values, index, 2, output_size=size))


@pytest.mark.parametrize("name, most", [("enet", 15), ("erfnet", 15), ("esnet", 15), ("lednet", 31)])
def test_more_input_channels_than_the_first_layer_has(name: str, most: int) -> None:
    create_model(name, in_channels=most)
    with pytest.raises(SwathError, match=f"{most} at most"):
        create_model(name, in_channels=most + 1)


@torch.no_grad()
def test_bfloat16_differs_by_the_corners_that_nearly_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding moves some maxima to another corner, and with them what is put back there. With the corners of float32
    the answers agree as closely as any other network's."""
    model = create_model("enet", num_classes=3).train()
    for _ in range(3):
        model(torch.randn(2, 3, 64, 96))
    model.eval()
    x = torch.randn(1, 3, 64, 96)
    corners = []

    def remember(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maxima, corner = max_pool_with_corner(x)
        corners.append(corner)
        return maxima, corner

    monkeypatch.setattr("swath.networks.enet.max_pool_with_corner", remember)
    wanted = model.logits(x)
    monkeypatch.setattr(
        "swath.networks.enet.max_pool_with_corner", lambda x: (max_pool_with_corner(x)[0], corners.pop(0))
    )
    with torch.autocast("cpu", torch.bfloat16):
        mine = model.logits(x)
    assert (mine.float() - wanted).square().mean().sqrt() <= 0.08 * wanted.std()
