"""Quantisation without training: how near it comes, and that files bring it back."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import swath
import tiny
from swath.errors import SwathError
from swath.inference import Segmenter
from swath.networks import Network

pytest.importorskip("torchao")

from swath.quantise import Quantised, calibrate

PIXELS = torch.from_numpy(np.stack([tiny.picture(i, 64, 96) for i in range(8)]))
BATCHES = [PIXELS[:4], PIXELS[4:]]


def error(model: Network, wanted: Network) -> float:
    """Of logits, relative to how they spread."""
    given, expected = (Segmenter(each, optimise=False).runtime.run(PIXELS) for each in (model, wanted))
    return float((given - expected).square().mean().sqrt() / expected.std())


def biases(model: Quantised) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if name.endswith("bias")}


@pytest.mark.parametrize("scheme", ["int8", "power2"])
def test_corrected_biases_bring_it_nearer(scheme: str) -> None:
    network = tiny.network()
    simple = calibrate(network, BATCHES, scheme, bias_correction=False)
    corrected = calibrate(network, BATCHES, scheme, steps=20)
    far, near = error(simple, network), error(corrected, network)
    assert near < 0.8 * far and near < 0.3, (far, near)
    before = {f"graph.network.{name}": tensor for name, tensor in network.state_dict().items()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in biases(simple).items())
    assert not any(torch.equal(tensor, before[name]) for name, tensor in biases(corrected).items())


def test_a_file_brings_it_back(tmp_path: Path) -> None:
    model = calibrate(tiny.network(), BATCHES, "power2", steps=2)
    swath.save(tmp_path / "q.safetensors", model, classes=tiny.NAMES, colors=tiny.COLORS)
    again = swath.load(tmp_path / "q.safetensors")
    assert isinstance(again, Quantised) and again.meta is not None and again.meta.quantised == "power2"
    ours, theirs = (Segmenter(each).runtime.run(PIXELS) for each in (model, again))
    assert torch.equal(ours, theirs)
    with pytest.raises(SwathError, match="8 bits already"):
        calibrate(again, BATCHES)


def test_torch_does_not_warn_people_of_its_own_copies(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    model = calibrate(tiny.network(), BATCHES, bias_correction=False)
    other = copy.deepcopy(model)
    assert not [str(each.message) for each in recwarn if "treespec" in str(each.message)]
    assert torch.equal(*(Segmenter(each, optimise=False).runtime.run(PIXELS) for each in (model, other)))
    assert all(mine is not its for mine, its in zip(model.buffers(), other.buffers(), strict=True))


def test_mistakes() -> None:
    with pytest.raises(SwathError, match="at least one batch"):
        calibrate(tiny.network(), [])
    with pytest.raises(SwathError, match="no 'image'"):
        calibrate(tiny.network(), [{"picture": PIXELS}])
