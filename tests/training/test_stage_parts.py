"""Parts with rates and optimisers of their own, norms that keep their statistics, and the mean of snapshots."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import deaths
import runs
from swath.data.windows import WindowSpec
from swath.errors import SwathError
from swath.networks import create_model
from swath.training import Stage, load_recipe, start
from swath.training.checking import check_stages
from swath.training.config import Part
from swath.training.optimisers import make_optimiser, norms, parameter_groups
from swath.training.sources import open_stages
from swath.training.swa import SnapshotAverage
from swath.weights import load_weights


def stage(**keys: Any) -> Stage:
    return Stage(**{"iterations": 10, "window": WindowSpec(size=(32, 32)), "lr": 0.1, **keys})


def test_every_parameter_is_in_exactly_one_group() -> None:
    model = create_model("csfcn_tiny", num_classes=3)  # its 1-d convolutions have weights of three dimensions
    assert any(p.dim() == 3 for p in model.parameters())
    first, second = [name for name, _ in model.named_children()][:2]
    groups = parameter_groups(stage(parts={first: Part(lr=0.01), second: Part()}, decay_skips=["norms"]), model)
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())


def test_parts_have_rates_decays_and_optimisers_of_their_own() -> None:
    model = create_model("rf_lw_mobilenetv2", num_classes=3)
    own = {"encoder": Part(lr=0.01, weight_decay=0.5), "classifier": Part(optimiser="adam")}
    optimisers = make_optimiser(stage(optimiser="sgd", parts=own), model)
    assert [type(each).__name__ for each in optimisers.each] == ["SGD", "Adam"]
    encoder = {id(p) for p in model.encoder.parameters()}
    by_parameter = {id(p): group for each in optimisers.each for group in each.param_groups for p in group["params"]}
    optimisers.set_rate(0.5)
    for p in model.parameters():
        group = by_parameter[id(p)]
        assert group["lr"] == pytest.approx(0.005 if id(p) in encoder else 0.05)
        assert group["weight_decay"] == (0.5 if id(p) in encoder else 0.0)
    with pytest.raises(SwathError, match="parts: unknown part of the network 'encodr'; did you mean 'encoder'"):
        parameter_groups(stage(parts={"encodr": Part()}), model)


def test_two_optimisers_step_as_two_would() -> None:
    ours = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    theirs = copy.deepcopy(ours)
    one = make_optimiser(stage(optimiser="sgd", momentum=0.9, parts={"1": Part(optimiser="adam", lr=0.02)}), ours)
    others = [
        torch.optim.SGD(theirs[0].parameters(), lr=0.1, momentum=0.9),
        torch.optim.Adam(theirs[1].parameters(), lr=0.02),
    ]
    for _ in range(3):
        ours(torch.ones(1, 3)).square().sum().backward()
        theirs(torch.ones(1, 3)).square().sum().backward()
        one.set_rate(1.0)
        one.step()
        one.zero_grad()
        for other in others:
            other.step()
            other.zero_grad()
    for mine, his in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(mine, his, atol=1e-6)


# Snapshots


def walk(model: nn.Module, average: SnapshotAverage, updates: int) -> list[dict[str, torch.Tensor]]:
    """Random steps; the weights after each."""
    seen = []
    for update in range(updates):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p) * 0.01)
        average.update(update)
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
    return seen


def test_snapshots_are_averaged_and_norms_counted_anew() -> None:
    torch.manual_seed(0)
    model = create_model("contextnet14_160", num_classes=2)
    average = SnapshotAverage(model, every=3)
    seen = walk(model, average, 8)
    mean = {name: (seen[2][name] + seen[5][name]) / 2 for name in seen[0]}
    assert average.snapshots == 2
    for name, p in average.model.named_parameters():
        assert torch.allclose(p, mean[name], atol=1e-6)
    batches = [(torch.rand(2, 3, 64, 64),) for _ in range(3)]
    average.refresh(batches)
    reference = copy.deepcopy(average.model).train()
    for module in reference.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    torch.optim.swa_utils.update_bn([batch[0] for batch in batches], reference)
    found = dict(average.model.named_buffers())
    for name, buffer in reference.named_buffers():
        assert torch.allclose(buffer.float(), found[name].float(), atol=1e-5), name
    assert not average.model.training and all(norm.momentum == 0.1 for norm in norms(average.model))


def test_before_the_first_snapshot_the_network_itself_is_measured() -> None:
    model = create_model("contextnet14_160", num_classes=2)
    average = SnapshotAverage(model, every=100)
    walk(model, average, 2)
    model.train()
    model.logits(torch.rand(2, 3, 64, 64))
    average.refresh([])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, average.model.state_dict()[name]), name


# Whole runs


@pytest.fixture(scope="module")
def recipe(shapes: Path) -> Path:
    own = {"context": {"lr": 0.001}, "classifier": {"optimiser": "adamw", "lr": 0.01}}
    one = {**runs.RECIPE["stages"][0], "optimiser": "sgd", "parts": own, "frozen_norms": True, "loss": "cross-entropy"}  # type: ignore[index]
    one.update(ema=None, swa=0.7, schedule="sgdr", period=1.5)
    tree = {**runs.RECIPE, "stages": [one], "data": {**runs.RECIPE["data"], "card": str(shapes / "card.yaml")}}  # type: ignore[dict-item]
    (shapes / "parts.yaml").write_text(yaml.safe_dump(tree))
    return shapes / "parts.yaml"


def test_such_a_run_survives_its_death_bit_for_bit(recipe: Path, tmp_path: Path) -> None:
    resumed = deaths.killed_and_resumed(recipe, tmp_path / "run", deaths.before_optimiser_step, 9)
    assert resumed == deaths.whole(recipe, tmp_path / "whole")


def test_frozen_norms_keep_their_statistics_but_learn_their_weights(recipe: Path, tmp_path: Path) -> None:
    changed = [("swa", ["none"]), ("iterations", ["3"]), ("epochs", ["none"]), ("period", ["1"])]
    assert start(str(recipe), changed, out=tmp_path / "run") == 0
    model = load_weights(tmp_path / "run" / "last.safetensors")
    layers: list[Any] = norms(model)
    assert all((layer.running_mean == 0).all() and (layer.running_var == 1).all() for layer in layers)
    assert any((layer.weight != 1).any() for layer in layers)


@pytest.mark.parametrize("frozen", [True, False])
def test_statistics_that_nothing_has_taught_are_warned_of(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    given = load_recipe(recipe, [("frozen_norms", [str(frozen).lower()])])
    heard: list[str] = []
    monkeypatch.setattr(logging.getLogger("swath"), "warning", lambda text, *words: heard.append(text % words))
    check_stages(given, open_stages(given))
    assert ["--network_options.encoder_weights" in line for line in heard] == [True] * frozen
