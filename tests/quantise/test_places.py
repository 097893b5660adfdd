"""Where a map is sampled stays exact: 256 levels across a map are wider than its cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swath.networks import Network
from swath.networks.parts import warp
from swath.networks.parts.pool import pool_to

pytest.importorskip("torchao")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import onnx

from swath.deploy import onnx as onnx_files
from swath.deploy.graph import exportable
from swath.quantise.engines.graph import Model, exact
from swath.quantise.engines.makers import ENGINES, engine_of, quantised
from swath.quantise.engines.pictures import Calibration

PICTURES: Any = [torch.randint(0, 256, (1, 40, 72, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))]
SAMPLED = "GridSample"


class Moving(Network):
    """Moves a map by what a convolution has learned, and adds what a matrix makes of its averages."""

    def __init__(self) -> None:
        super().__init__(num_classes=4)
        self.name, self.stride = "moving", 4
        self.first = nn.Conv2d(3, 8, 3, 4, 1)
        self.moves = nn.Conv2d(8, 2, 3, padding=1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward_logits(self, *inputs: Tensor) -> Any:
        x = torch.relu(self.first(inputs[0]))
        return self.last(warp(x, 4 * self.moves(x)) + pool_to(x, 1, 1))


@pytest.fixture(scope="module")
def moving() -> Network:
    torch.manual_seed(0)
    return Moving().eval()


@pytest.fixture(scope="module")
def plain(moving: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    onnx_files.write(*exportable(moving, "outside"), path)
    return path


def before(model: Model, name: str) -> list[str]:
    """What makes a tensor, back to convolutions and the picture: the operators' kinds."""
    makers = {output: node for node in model.graph.node for output in node.output}
    kinds, rest, seen = [], [name], set()
    while rest:
        node = makers.get(rest.pop())
        if node is None or node.op_type in ("Conv", "Shape") or id(node) in seen:
            continue
        seen.add(id(node))
        kinds.append(node.op_type)
        rest.extend(node.input)
    return kinds


def test_nothing_before_a_place_and_nothing_counted_from_sizes_is_a_layer(plain: Path) -> None:
    model = onnx.load(str(plain))
    kept, (sampled,) = set(exact(model)), [node for node in model.graph.node if node.op_type == SAMPLED]
    assert sampled.name not in kept
    rounded = [node.op_type for node in model.graph.node if node.name not in kept]
    assert rounded.count("Conv") == 3 and not {"Div", "Range", "Concat", "Unsqueeze"} & set(rounded), rounded


@pytest.mark.parametrize("name", ENGINES)
def test_every_engines_tool_leaves_places_alone(name: str, moving: Network, plain: Path, tmp_path: Path) -> None:
    pytest.importorskip({"openvino": "nncf"}.get(name, name))
    pictures: Calibration = PICTURES
    model = quantised(engine_of(name), moving, plain, pictures, True, tmp_path)
    (place,) = [node.input[1] for node in model.graph.node if node.op_type == SAMPLED]
    kinds = before(model, place)
    assert "Div" in kinds and "Add" in kinds  # it is the way that places come
    # ONNX Runtime's tool rounds what any convolution answers; nothing rounds what is made of that
    assert kinds.count("DequantizeLinear") == (name == "onnxruntime")
    assert sum(node.op_type == "DequantizeLinear" for node in model.graph.node) > 5  # and the rest has 8 bits
