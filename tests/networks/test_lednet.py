"""What the battery does not hold about LEDNet: the order of its channel shuffle."""

from __future__ import annotations

import torch

from swath.networks.lednet import SplitBlock


def test_shuffle_interleaves_the_two_halves() -> None:
    block = SplitBlock(8, 1, 0.3, published=True).eval()
    torch.nn.init.zeros_(block.left[-1].weight)  # the strips' last norms: only the input is left of the sum
    torch.nn.init.zeros_(block.right[-1].weight)
    x = torch.arange(8.0).reshape(1, 8, 1, 1).expand(1, 8, 3, 3)
    with torch.no_grad():
        assert block(x)[0, :, 1, 1].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
