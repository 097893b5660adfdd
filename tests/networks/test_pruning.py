"""Narrowing a network: the right filters stay, and what comes out is the ordinary network of that width."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from swath.errors import SwathError
from swath.networks import Network, create_model
from swath.weights import load_weights, save_weights

pytest.importorskip("torch_pruning")
from swath.networks.pruning import Cut, prune_to

# spec contextnet.md, section 6: parameters with 19 classes
PARAMETERS = {1.5: 1_918_483, 1.25: 1_347_059, 1.0: 876_307}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def moved(model: Network) -> Network:
    """Statistics of norms as after a training: none is at its start."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return model.eval()


def test_the_way_of_the_paper_ends_in_the_ordinary_network(tmp_path):
    model = moved(create_model("contextnet14", 19, width=2.0))
    for width, parameters in PARAMETERS.items():
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        narrow, cuts = prune_to(model, width=width)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert len(cuts) == 24  # spec 6.1
        assert sum(p.numel() for p in narrow.parameters()) == parameters
        assert not narrow.training
        model = narrow
    ordinary = create_model("contextnet14", 19).eval()
    ordinary.load_state_dict(model.state_dict(), strict=True)
    picture = torch.rand(1, 3, 96, 128)
    assert torch.equal(ordinary(picture), model(picture))
    file = tmp_path / "narrow.safetensors"
    save_weights(file, model, classes=[str(i) for i in range(19)], colors=[(0, 0, i) for i in range(19)])
    assert torch.equal(load_weights(file)(picture), model(picture))


def test_odd_widths_and_auxiliary_heads_follow():
    wide = create_model("contextnet14", 7, width=0.75, aux=True).train()
    narrow, _ = prune_to(wide, "contextnet14_160", width=0.4125)
    assert shapes(narrow) == shapes(create_model("contextnet14_160", 7, aux=True))
    assert narrow.name == "contextnet14_160" and narrow.training
    assert len(narrow.logits(torch.rand(2, 3, 64, 64))) == 3


def test_another_family_joins_branches_too():
    wide = create_model("ddrnet23", 5)
    narrow, _ = prune_to(wide, "ddrnet23_slim")
    assert shapes(narrow) == shapes(create_model("ddrnet23_slim", 5))


def test_channels_that_are_nothing_leave_nothing_behind():
    """Filters of zeros whose norms give zero are the ones to go, and the answer stays."""
    wide = moved(create_model("contextnet14", 5, width=2.0))
    _, cuts = prune_to(wide, width=1.0)
    silence(wide, cuts)
    narrow, again = prune_to(wide, width=1.0)
    assert [cut.kept for cut in again] == [cut.kept for cut in cuts]
    picture = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.allclose(wide(picture), narrow(picture), atol=1e-4, rtol=1e-4)


def silence(model: Network, cuts: list[Cut]) -> None:
    """Make every filter that will be cut zero, and its norm too; its group is found by the names of the spec."""
    members = {cut.layer: cut for cut in cuts}
    groups = group_members(model)
    with torch.no_grad():
        for layers in groups:
            cut = next(members[layer] for layer in layers if layer in members)
            gone = [i for i in range(cut.channels) if i not in cut.kept]
            for layer in layers:
                model.get_submodule(layer).weight[gone] = 0
                norm = model.get_submodule(layer.rsplit(".", 1)[0] + ".1")
                norm.bias[gone] = 0
                norm.running_mean[gone] = 0


def group_members(model: Network) -> list[list[str]]:
    """The convolutions whose filters go together, written down by hand from section 6.1 of the spec."""
    blocks = [f"context.{i}" for i in range(1, 13)]
    groups = [["detail.0.0", "detail.1.0.0"]]
    groups += [[f"detail.{i}.1.0", f"detail.{i + 1}.0.0"] for i in (1, 2)]
    groups += [["detail.3.1.0"], ["fuse_context.1.0", "fuse_detail.0", "classifier.0.0.0"]]
    groups += [["classifier.0.1.0", "classifier.1.0.0"], ["classifier.1.1.0"]]
    groups += [["context.0.0", "context.1.body.2.0", "context.2.body.2.0"]]
    groups += [[f"context.{i}.body.2.0" for i in run] for run in ((3, 4, 5), (6, 7, 8), (9, 10))]
    groups += [["context.11.body.2.0", "context.12.body.2.0", "fuse_context.0.0"]]
    groups += [[f"{block}.body.0.0", f"{block}.body.1.0"] for block in blocks]
    assert len(groups) == 24
    return groups


def test_the_filters_with_the_largest_sums_stay_over_all_members_of_a_group():
    wide = moved(create_model("contextnet14", 5, width=1.5))
    _, cuts = prune_to(wide, width=1.0)
    by_layer = {cut.layer: cut for cut in cuts}
    for layers in group_members(wide):
        cut = next(by_layer[layer] for layer in layers if layer in by_layer)
        sums = sum(wide.get_submodule(layer).weight.detach().double().abs().sum((1, 2, 3)) for layer in layers)
        wanted = sorted(sorted(range(cut.channels), key=lambda i: (-sums[i].item(), i))[: len(cut.kept)])
        assert list(cut.kept) == wanted, layers


def test_it_draws_no_random_numbers():
    wide = create_model("contextnet14", 5, width=1.5)
    torch.manual_seed(1)
    prune_to(wide, width=1.0)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))


def test_what_does_not_fit_is_refused():
    model = create_model("contextnet14", 5)
    with pytest.raises(
        SwathError, match=r"it is not narrower: detail.0.0.weight is \[32, 3, 3, 3\] now and would be \[64"
    ):
        prune_to(model, width=2.0)
    with pytest.raises(
        SwathError, match="contextnet14 cannot be narrowed to fastscnn: they differ in more than channels"
    ):
        prune_to(model, "fastscnn")
