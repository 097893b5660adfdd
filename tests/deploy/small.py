"""A network of three layers, for tests that export many times."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from swath.networks import Network


class Small(Network):
    """Logits at stride 4, with an effect."""

    stride = 4
    min_size = (8, 8)
    deepest = 4

    def __init__(self, align_corners: bool = False, multiple: int = 4, classes: int = 4):
        super().__init__(num_classes=classes)
        self.align_corners = align_corners
        self.preprocess = replace(self.preprocess, multiple=multiple)
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.last = nn.Conv2d(16, classes, 3, 2, 1)

    def forward_logits(self, *inputs: Tensor) -> Tensor:
        logits: Tensor = self.last(self.first(inputs[0]))
        return logits


def small(**options: object) -> Small:
    torch.manual_seed(0)
    return Small(**options).eval()  # type: ignore[arg-type]
