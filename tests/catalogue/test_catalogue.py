"""The table of networks, and the page and drawings that are made of it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from swath.bench import macs
from swath.catalogue import entries
from swath.catalogue.drawing import draw
from swath.catalogue.notes import NOTES
from swath.catalogue.page import drawing, page_text
from swath.catalogue.simplify import simplify
from swath.catalogue.trace import Node, trace
from swath.errors import SwathError
from swath.networks import create_model, list_models
from swath.networks.registry import FAMILIES
from swath.networks.shapes import ShapesOnly
from swath.weights import save_weights, shipped

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["contextnet14_160", "enet", "swiftnet_pyramid_resnet18", "rf_mobilenetv2context"])
def test_a_network_without_memory_counts_as_the_real_one(name: str) -> None:
    real = create_model(name, num_classes=5)
    with ShapesOnly():
        shapes = create_model(name, num_classes=5).eval()
    assert all(parameter.is_meta for parameter in shapes.parameters())
    assert {k: v.shape for k, v in shapes.state_dict().items()} == {k: v.shape for k, v in real.state_dict().items()}
    assert macs(shapes, (128, 192)) == macs(real, (128, 192)) > 0
    with ShapesOnly(), torch.no_grad():
        assert shapes(torch.empty(1, 3, 128, 192)).shape == (1, 5, 128, 192)


def test_macs_are_those_of_the_convolutions() -> None:
    class One(nn.Module):
        inputs = {"image": 3}  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)

        def logits(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(x)) + 1

    assert macs(One(), (10, 20)) == 10 * 20 * 8 * 3 * 9  # type: ignore[arg-type]


def test_an_entry_has_what_trains_the_network_and_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("contextnet14", num_classes=2)
    colors = [(0, 0, 0), (9, 9, 9)]
    path = tmp_path / "contextnet14-streets.safetensors"
    save_weights(path, model, classes=["a", "b"], colors=colors, dataset="streets", score={"miou": 0.5})
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    first, second = entries(["contextnet14", "contextnet18"])
    assert (first.parameters, first.convolution_weights) == (876_307, 854_176)
    assert "contextnet14-cityscapes" in first.recipes and "contextnet14-cityscapes" not in second.recipes
    assert [each.name for each in first.weights] == [path.stem] and second.weights == ()
    assert "`contextnet14-streets` (streets, 50.0% mIoU)" in page_text([first])
    assert first.as_dict()["weights"] == [{"name": path.stem, "dataset": "streets", "score": {"miou": 0.5}}]


def test_weights_that_say_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(SwathError, match="no description of a network"):
        list(entries(["contextnet14"]))


def test_the_committed_page_and_drawings_are_those_of_the_networks() -> None:
    """If this fails: python -m swath.catalogue"""
    assert set(NOTES) == set(FAMILIES)
    assert (DOCS / "networks.md").read_text() == page_text(entries(list_models()))
    folder = DOCS / "images" / "networks"
    assert {path.stem for path in folder.glob("*.svg")} == set(FAMILIES)
    stale = [family for family in FAMILIES if (folder / f"{family}.svg").read_text() != drawing(family)]
    assert not stale


def test_two_branches_are_traced_to_where_they_join() -> None:
    with ShapesOnly():
        model = create_model("contextnet14")
    nodes = trace(model)
    join = next(node for node in nodes if node.symbol == "+")
    assert {nodes[source].name for source in join.feeds_from} == {"fuse_context", "fuse_detail"}
    assert (join.stride, join.channels) == (8, 128)
    assert nodes[0].name == "image" and nodes[-1].symbol == "answer" and nodes[-1].channels == 19
    roots = [node.name for node in nodes if node.feeds_from == [0]]
    assert roots == ["detail.0", "context.0"]


def test_every_input_and_every_task_is_drawn() -> None:
    with ShapesOnly():
        model = create_model("deeplabv3plus_lite_mobilenetv2_multitask")
    nodes = trace(model)
    assert [node.name for node in nodes if not node.feeds_from] == ["flow", "image"]
    assert [node.name for node in nodes if node.symbol == "answer"] == list(model.tasks)
    texts = {element.text for element in ElementTree.fromstring(draw(nodes, "<title>")).iter() if element.text}
    assert {"<title>", "flow", "depth", "segmentation", "motion", "1/16"} <= texts


def test_chains_and_stages_become_one_node_and_paths_stay() -> None:
    chain = [Node("image", 1, 3), *(Node(f"deep.{i}", 4, 8 + i, feeds_from=[i]) for i in range(3))]
    chain.append(Node("head", 4, 5, feeds_from=[3, 0]))
    small = simplify(chain)
    assert [(node.name, node.channels) for node in small] == [("image", 3), ("deep.0", 10), ("head", 5)]
    assert small[1].count == 3
    assert small[-1].feeds_from == [1, 0]

    dense = [Node("image", 1, 3)]
    for i in range(30):  # every unit is joined to all before it
        dense.append(Node(f"units.{i}", 2, 1, feeds_from=[len(dense) - 1]))
        dense.append(Node("", 2, i + 2, "‖", feeds_from=[len(dense) - 2, len(dense) - 1]))
    dense.append(Node("head", 2, 5, feeds_from=[len(dense) - 1]))
    assert [node.name for node in simplify(dense)] == ["image", "units", "head"]
