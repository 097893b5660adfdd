"""Averages whose last row is not whole, in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swath import Segmenter
from swath.networks import Network

pytest.importorskip("torchao")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from swath.deploy import onnx
from swath.deploy.graph import exportable
from swath.quantise import calibrate


class Halved(Network):
    stride = 2

    def __init__(self) -> None:
        super().__init__(num_classes=4)
        self.name = "halved"
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True)

    def forward_logits(self, *inputs: Tensor) -> Any:
        return self.last(self.pool(self.first(inputs[0]).relu()))


def test_the_last_row_is_the_mean_of_what_is_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (2, 33, 47, 3), dtype=torch.uint8)
    network = calibrate(Halved().eval(), [pixels], bias_correction=False)
    onnx.write(*exportable(network, "outside"), tmp_path / "halved.onnx")
    wanted = Segmenter(network, optimise=False).runtime.run(pixels)
    given = Segmenter(tmp_path / "halved.onnx").runtime.run(pixels)
    step = float((wanted.max() - wanted.min()) / 255)
    assert float((given - wanted).abs().max()) < 4 * step
