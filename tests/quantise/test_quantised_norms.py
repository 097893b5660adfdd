"""Norms are known as such in the graph, so that weight decay can leave them alone."""

from __future__ import annotations

import pytest

from swath.data.windows import WindowSpec
from swath.networks import create_model
from swath.training import Stage
from swath.training.optimisers import parameter_groups

pytest.importorskip("torchao")
from swath.quantise import Quantised


def test_weight_decay_can_spare_the_norms_of_a_graph() -> None:
    model = create_model("contextnet14_160", num_classes=3)
    stage = Stage(
        iterations=2, window=WindowSpec(size=(8, 8)), lr=0.1, weight_decay=0.5, decay_skips=["norms", "biases"]
    )
    learning = Quantised(model, "int8", learning=True)
    found = [
        sorted((p.shape, group["weight_decay"]) for group in parameter_groups(stage, each) for p in group["params"])
        for each in (model, learning)
    ]
    assert found[0] == found[1]
    assert {decay for shape, decay in found[1] if len(shape) == 1} == {0.0}
