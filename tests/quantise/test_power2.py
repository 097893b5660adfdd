"""The power-of-two scheme against numbers that the EdgeAI project's own quantisers gave (power2.json)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swath.networks import Network

pytest.importorskip("torchao")

from swath.quantise import Quantised
from swath.quantise.observers import Activations, PerChannelWeights, Weights
from swath.quantise.ranges import batch_range, power_above, tamed

FACTS = json.loads((Path(__file__).parent / "power2.json").read_text())


def tensor(seed: int, shape: list[int], scale: float = 1.0, shift: float = 0.0, relu: bool = False) -> Tensor:
    noise = torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    values = (noise * scale + shift).float().reshape(shape)
    return values.relu() if relu else values


def probe(x: Tensor) -> list[float]:
    places = torch.linspace(0, x.numel() - 1, 16).long()
    return x.flatten()[places].tolist()


def activations(unsigned: bool) -> Activations:
    low, high, kind = (0, 255, torch.uint8) if unsigned else (-128, 127, torch.int8)
    return Activations(kind, low, high, torch.per_tensor_symmetric, power2=True)


def test_powers_of_two() -> None:
    for value, power in FACTS["ceil2"]:
        assert power_above(torch.tensor(value)).item() == power


@pytest.mark.parametrize("fact", FACTS["percentile_range"], ids=lambda fact: f"{fact['seed']}-{fact['relu']}")
def test_the_range_of_a_batch(fact: dict[str, Any]) -> None:
    x = tensor(*(fact[key] for key in ("seed", "shape", "scale", "shift", "relu")))
    assert batch_range(x).tolist() == pytest.approx(fact["range"], abs=2e-6)


def test_a_range_of_equal_values_is_their_value() -> None:
    assert batch_range(torch.full((3, 5), 2.5)).tolist() == [2.5, 2.5]


@pytest.mark.parametrize("unsigned", [False, True])
def test_the_running_range_and_what_it_makes_of_values(unsigned: bool) -> None:
    fact = FACTS["tracker_unsigned" if unsigned else "tracker_signed_by_data"]
    quantiser = activations(unsigned)
    assert quantiser.ends.tolist() == fact["steps"][0]["before any batch"]
    quantiser.tracking = True
    for step in fact["steps"][1:]:
        quantiser(tensor(step["seed"], step["shape"], step["scale"], relu=step["relu"]))
        assert quantiser.ends.tolist() == pytest.approx(step["running"], abs=3e-6)
        scale, _ = quantiser.calculate_qparams()
        assert scale.item() * (256 if unsigned else 128) == step["clips"][1]
    quantiser.tracking = False
    then = fact["then_eval_on"]
    x = tensor(then["seed"], then["shape"], then["scale"])
    assert probe(x) == pytest.approx(then["probe_in"])
    assert probe(quantiser(x)) == then["probe_out"]


@pytest.mark.parametrize("fact", FACTS["weights"], ids=lambda fact: str(fact["seed"]))
def test_weights(fact: dict[str, Any]) -> None:
    w = tensor(fact["seed"], fact["shape"], fact["scale"])
    whole = Weights(torch.int8, -128, 127, torch.per_tensor_symmetric, power2=True)
    assert probe(whole(w)) == fact["probe_out"]
    assert 1 / whole.calculate_qparams()[0].item() == fact["levels_per_unit"]
    w[0], w[1] = w[0] / 4096, w[1] / 8
    each = PerChannelWeights(torch.int8, -128, 127, torch.per_channel_symmetric, power2=True, ch_axis=0)
    assert probe(each(w)) == pytest.approx(fact["per_channel"]["probe_out"], abs=1e-9)
    assert (1 / each.calculate_qparams()[0]).tolist() == fact["per_channel"]["levels_per_unit"]


@pytest.mark.parametrize("fact", FACTS["weight_clamp"], ids=lambda fact: str(fact["seed"]))
def test_wild_weights_are_clamped(fact: dict[str, Any]) -> None:
    w = tensor(fact["seed"], fact["shape"], fact["scale"])
    assert torch.equal(tamed(w), w)  # none is wild yet
    w.view(-1)[5], w.view(-1)[77] = fact["set"]["element 5"], fact["set"]["element 77"]
    assert [tamed(w).min().item(), tamed(w).max().item()] == fact["after"]


class ConvNormRelu(Network):
    """The block of the facts, as a network."""

    deepest = 1

    def __init__(self) -> None:
        super().__init__(num_classes=4)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())

    def forward_logits(self, *inputs: Tensor) -> Tensor:
        answer: Tensor = self.body(inputs[0])
        return answer


def test_a_convolution_with_norm_and_relu() -> None:
    fact = FACTS["conv_bn_relu"]
    network = ConvNormRelu().eval()
    conv, norm, _ = network.body
    norm.running_mean.copy_(tensor(shape=[4], **fact["bn_mean"]))
    variance = {key: value for key, value in fact["bn_var"].items() if key != "abs"}
    norm.running_var.copy_(tensor(shape=[4], **variance).abs())
    with torch.no_grad():
        conv.weight.copy_(tensor(**fact["conv_weight"]))
        norm.weight.copy_(tensor(shape=[4], **fact["bn_weight"]))
        norm.bias.copy_(tensor(shape=[4], **fact["bn_bias"]))
    x = tensor(**fact["input"])
    assert probe(network.forward_logits(x)) == pytest.approx(fact["float_probe"], abs=1e-5)
    model = Quantised(network, "power2", learning=True)
    model.fix(norms=True, ranges=False)
    model.forward_logits(x)
    clips = [float(each.calculate_qparams()[0]) * (each.quant_max + 1) for each in model.ranges()]
    assert clips == [end[1] for end in fact["one training step with frozen BN sets the ranges"].values()]
    given = probe(model.deployed().forward_logits(x))
    off = [abs(a - b) * 32 for a, b in zip(given, fact["quantised_probe"])]  # in levels
    assert max(off) <= 1 and sum(off) <= 2, off  # theirs rounds the bias to 8 bits as well


def test_wild_weights_are_clamped_behind_their_norm_and_others_left_alone() -> None:
    network = ConvNormRelu().eval()
    conv, norm, _ = network.body
    with torch.no_grad():
        norm.weight.fill_(10.0)
        conv.weight.uniform_(0.1, 0.2)
        conv.weight[0, 0, 0, 0] = 4.0  # 40 with the norm, where 16 times the median is 24: clamped to 32 - 2
    made = Quantised(network, "power2").state_dict()["graph.network.body.0.weight"]
    assert made[0, 0, 0, 0].item() == pytest.approx(3.0, abs=1e-4)
    assert torch.equal(made.flatten()[1:], conv.weight.detach().flatten()[1:])


def test_gradients_pass_where_nothing_is_clamped() -> None:
    quantiser = activations(unsigned=False)
    quantiser.ends.copy_(torch.tensor([-1.0, 1.0]))
    x = torch.tensor([-3.0, -0.5, 0.3, 2.0], requires_grad=True)
    quantiser(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 0]
