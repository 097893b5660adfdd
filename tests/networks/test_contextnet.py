"""What the battery does not hold about ContextNet: its counts by width, its published layout, its parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from swath import SwathError, create_model

from golden_facts import check

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["contextnet12", "contextnet14", "contextnet18"])
def test_the_seeds_layout_is_two_keywords(name: str) -> None:
    facts = json.loads((GOLDEN / f"{name}_seedcode.json").read_text())
    assert check(create_model(name, final_conv=True, residual_relu=True), facts) == []


@pytest.mark.parametrize(
    "width, parameters",
    [(2.0, 3_363_347), (1.5, 1_918_483), (1.25, 1_347_059), (1.0, 876_307), (0.75, 506_227), (0.4125, 168_331)],
)
def test_counts_at_the_widths_of_pruning(width: float, parameters: int) -> None:
    model = create_model("contextnet14", width=width)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_convolution_weights_are_what_the_paper_counts() -> None:
    counted = {
        name: sum(m.weight.numel() for m in create_model(name).modules() if isinstance(m, torch.nn.Conv2d))
        for name in ("contextnet14", "contextnet14_500", "contextnet14_160")
    }
    assert counted == {"contextnet14": 854_176, "contextnet14_500": 489_624, "contextnet14_160": 159_136}


def test_auxiliary_heads_stand_on_both_branches() -> None:
    model = create_model("contextnet18", num_classes=4, aux=True).train()
    main, detail, context = model.logits(torch.randn(2, 3, 128, 192))
    assert model.aux_weights == (0.4, 0.4)
    assert main.shape == detail.shape == (2, 4, 16, 24)
    assert context.shape == (2, 4, 2, 3)
    assert len(model.drop_aux().logits(torch.randn(2, 3, 128, 192))) == 1


def test_a_wrong_keyword_names_the_right_one() -> None:
    with pytest.raises(SwathError, match="did you mean 'width'"):
        create_model("contextnet14", widht=2)


def test_odd_sizes_of_the_acceptance() -> None:
    with torch.no_grad():
        assert create_model("contextnet18", num_classes=2).eval()(torch.randn(1, 3, 250, 333)).shape[2:] == (250, 333)
