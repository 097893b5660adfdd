"""Graphs with quantisers: the same network where they let values through, in all of its forms."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tiny
from swath.errors import SwathError
from swath.networks import Network, create_model

pytest.importorskip("torchao")

from swath.quantise import Quantised


@pytest.fixture(scope="module")
def learning() -> Quantised:
    return Quantised(tiny.network(), "int8", learning=True)


@pytest.fixture
def fresh(learning: Quantised) -> Quantised:
    return copy.deepcopy(learning)


def let_through(model: Quantised) -> Quantised:
    for each in model.graph.children():
        if hasattr(each, "passing"):
            each.passing = True
    return model


def pictures(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(2, 3, height, width)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max() / b.detach().abs().max())


def test_without_rounding_both_forms_are_the_network(fresh: Quantised) -> None:
    network, deployed = tiny.network(), let_through(fresh.deployed())
    let_through(fresh).eval()
    for size in ((64, 96), (71, 133), (32, 32)):
        x = pictures(*size)
        assert far(fresh.forward_logits(x), network.forward_logits(x)) < 1e-5
        assert far(deployed.forward_logits(x), network.forward_logits(x)) < 1e-5


def test_norms_learn_as_those_of_the_network_until_they_are_fixed(fresh: Quantised) -> None:
    network, x = tiny.network().train(), pictures()
    let_through(fresh).train()
    torch.manual_seed(3)  # of dropout
    (expected,) = network.forward_logits(x)
    before = fresh.state_dict()["graph.network.detail.0.1.running_mean"].clone()
    fresh.fix(norms=False, ranges=True)
    torch.manual_seed(3)
    (given,) = fresh.forward_logits(x)
    assert far(given, expected) < 1e-3
    now = fresh.state_dict()
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.allclose(now[f"graph.network.{name}"], tensor, atol=1e-4), name
    fresh.fix(norms=True, ranges=True)
    after = now["graph.network.detail.0.1.running_mean"].clone()
    fresh.forward_logits(x)
    assert not torch.equal(before, after)
    assert torch.equal(fresh.state_dict()["graph.network.detail.0.1.running_mean"], after)


def test_every_parameter_learns(fresh: Quantised) -> None:
    fresh.forward_logits(pictures())[0].square().mean().backward()
    assert [name for name, each in fresh.named_parameters() if each.grad is None] == []


def test_ranges_follow_until_they_are_fixed(fresh: Quantised) -> None:
    first = fresh.ranges()[0]
    fresh.forward_logits(pictures())
    assert int(first.seen) == 1 and first.ends[1] < 6
    fresh.fix(norms=False, ranges=True)
    fresh.forward_logits(pictures())
    assert int(first.seen) == 1
    fresh.eval()
    fresh.fix(norms=False, ranges=False)
    fresh.forward_logits(pictures())
    assert int(first.seen) == 1
    fresh.train()
    fresh.forward_logits(pictures())
    assert int(first.seen) == 2


def test_what_is_measured_is_what_is_converted(fresh: Quantised) -> None:
    for _ in range(3):
        fresh.forward_logits(pictures())
    deployed = fresh.deployed()
    assert set(deployed.state_dict()) == set(fresh.state_dict())
    x = pictures(70, 90)
    answer = deployed.forward_logits(x)
    assert far(fresh.eval().forward_logits(x), answer) < 0.03  # but for a level now and then
    converted = deployed.converted()
    assert far(converted.forward_logits(x), answer) < 0.01
    assert float((converted.forward_logits(x) == answer).float().mean()) > 0.999
    kinds = {tensor.dtype for tensor in converted.graph.state_dict().values()}
    assert torch.int8 in kinds


def test_deployed_follows_the_tensors_of_the_one_that_learns(fresh: Quantised) -> None:
    deployed = fresh.deployed()
    with torch.no_grad():
        next(fresh.parameters()).add_(1)
    assert not torch.equal(next(deployed.parameters()), next(fresh.parameters()))
    assert fresh.deployed() is deployed
    assert torch.equal(next(deployed.parameters()), next(fresh.parameters()))


def test_the_points_of_the_default_network_are_those_of_its_authors() -> None:
    """EdgeAI's own tool gives this network 75 quantisers of activations; unsigned behind ReLU, signed elsewhere."""
    model = Quantised(create_model("deeplabv3plus_lite_mobilenetv2"), "power2")
    kinds = [each.dtype for each in model.ranges()]
    assert len(kinds) == 75
    assert kinds[:4] == [torch.int8, torch.uint8, torch.uint8, torch.int8] and kinds[-1] == torch.int8


class Odd(Network):
    """What the networks of the registry rarely do."""

    def __init__(self) -> None:
        super().__init__(num_classes=4)
        self.name = "odd"
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm, self.other = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 8, 4, 2, 1)
        self.grouped = nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=4, bias=False)
        self.last = nn.Conv2d(16, 4, 1)

    def forward_logits(self, *inputs: Tensor) -> Any:
        x = self.first(inputs[0])
        y = self.norm(x) + x  # two read the convolution
        y.mul_(2)
        z = torch.relu_(self.other(self.up(y)))
        twice = self.first(inputs[0][:, :, ::2, ::2])  # the same weights again
        answer = self.last(torch.cat([z, torch.relu(self.norm(self.grouped(y)))], 1))
        return answer + twice.mean((2, 3), keepdim=True)[:, :4]


def test_odd_graphs() -> None:
    torch.manual_seed(0)
    network = Odd().eval()
    for norm in (network.norm, network.other):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    model = Quantised(network, "power2", learning=True)
    x = pictures(16, 24)
    model.forward_logits(x)[0].sum().backward()
    deployed = model.deployed()
    expected = deployed.converted().forward_logits(x)
    assert far(deployed.forward_logits(x), expected) < 0.02
    with torch.no_grad():
        plain = Quantised(network, "int8", learning=True)
        assert far(let_through(plain.deployed()).forward_logits(x), network.forward_logits(x)) < 1e-5
        assert far(let_through(plain.eval()).forward_logits(x), network.forward_logits(x)) < 1e-5


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(SwathError, match="int8"):
        Quantised(tiny.network(), "int9")
