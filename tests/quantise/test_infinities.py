"""A mask of minus infinity before a softmax: no range holds it, and 8 bits of it would leave no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swath.networks import Network

pytest.importorskip("torchao")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import numpy as np
import onnxruntime as ort
from onnx.numpy_helper import to_array

from swath.deploy import onnx as onnx_files
from swath.deploy.graph import exportable
from swath.quantise.engines.graph import Quantised
from swath.quantise.engines.makers import ENGINES, engine_of, quantised
from swath.quantise.engines.pictures import Calibration
from swath.quantise.engines.sensitivity import CLEAN, RUINED, sensitivities

PICTURES: Any = [torch.randint(0, 256, (1, 40, 72, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))]


class Masked(Network):
    """Attends to channels, all but the last two."""

    def __init__(self) -> None:
        super().__init__(num_classes=4)
        self.name, self.stride = "masked", 4
        self.first = nn.Conv2d(3, 8, 3, 4, 1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward_logits(self, *inputs: Tensor) -> Any:
        x = self.first(inputs[0])
        spare = torch.arange(8).view(8, 1, 1) >= 6
        return self.last(torch.relu(x) * x.masked_fill(spare, float("-inf")).softmax(1))


@pytest.fixture(scope="module")
def masked() -> Network:
    torch.manual_seed(0)
    return Masked().eval()


@pytest.fixture(scope="module")
def plain(masked: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    onnx_files.write(*exportable(masked, "outside"), path)
    return path


def answer(model: Any) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": PICTURES[0].numpy()})[0]


@pytest.mark.parametrize("name", ENGINES)
def test_every_engines_tool_leaves_the_mask_and_its_softmax_in_float(
    name: str, masked: Network, plain: Path, tmp_path: Path
) -> None:
    pytest.importorskip({"openvino": "nncf"}.get(name, name))
    import onnx

    pictures: Calibration = PICTURES
    model = quantised(engine_of(name), masked, plain, pictures, True, tmp_path)
    scales = {node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    constants = {each.name: to_array(each) for each in model.graph.initializer}
    assert len(scales) > 3 and all(np.isfinite(constants[each]).all() for each in scales)
    wanted = answer(onnx.load(str(plain)))
    assert np.abs(answer(model) - wanted).max() < 0.05 * np.abs(wanted).max()


def test_a_layer_that_leaves_no_number_is_the_worst_not_the_best(
    masked: Network, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    from swath.quantise.engines import makers

    monkeypatch.setattr(makers, "exact", lambda model: [])  # so the softmax's range becomes infinite
    pictures: Calibration = PICTURES
    model = quantised(engine_of("onnxruntime"), masked, plain, pictures, True, tmp_path)
    found = {each.layer.op: each for each in sensitivities(Quantised(model, onnx.load(str(plain))), PICTURES)}
    assert found["Softmax"].logits == RUINED < found["Conv"].logits < CLEAN
