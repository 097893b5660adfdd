"""Every network in every precision, for any and for one size, by the two engines that run on every processor.

`make test` tries a third of the networks, each in one combination, mostly for one size, which costs a third of what any
size does. SWATH_TEST_EXPORTS=1 (`make test-exports`, hours) tries them all; SWATH_TEST_EXPORTS=enet,csfcn
tries these.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from swath import Segmenter, create_model, list_models
from swath.cards import load_card
from swath.deploy.graph import Precision, example, exportable, of_size
from swath.deploy.pictures import fitting
from swath.deploy.verify import Check, compare, moved
from swath.inference.description import Description
from swath.networks import Network

CLASSES = 5
PRECISIONS = ("fp32", "fp16", "int8")
SIZES = ("any", "one")
# A third of the networks, of all families but the four that are too heavy for it (lightnet's wide residual nets, dual
# paths, Inception, and dense ones), each in one combination: all six combinations come up several times.
REPRESENTATIVE = {
    ("contextnet14_160", "one"): "int8",
    ("contextnet18", "one"): "fp16",
    ("fastscnn", "any"): "fp32",
    ("erfnet", "any"): "fp16",
    ("esnet", "one"): "int8",
    ("enet", "one"): "fp32",
    ("lednet", "one"): "fp16",
    ("csfcn_tiny", "any"): "int8",
    ("csfcn_plainstem", "one"): "fp32",
    ("sfanet", "one"): "int8",
    ("mgseg", "one"): "fp16",
    ("icnet_resnet50", "one"): "fp32",
    ("bisenet_resnet18", "one"): "int8",
    ("swiftnet_resnet18", "one"): "fp16",
    ("swiftnet_pyramid_resnet18", "one"): "int8",  # ONNX Runtime cannot shrink by cubic interpolation anyhow
    ("unet_lite_mobilenetv2_fd", "one"): "int8",
    ("fpn_lite_mobilenetv2_fd", "one"): "fp16",
    ("deeplabv3plus_lite_mobilenetv2_fd", "any"): "fp16",
    ("mobilenetv2vortex", "one"): "int8",
    ("rf_mobilenetv2context", "one"): "fp16",
    ("rf_shufflenetplus", "one"): "int8",
    ("rf_lw_mobilenetv2", "one"): "int8",
    ("fc_densenet57", "one"): "fp32",
    ("fcn32_resnet18", "any"): "int8",
    ("fcn8_resnet18", "one"): "fp32",
    ("pspnet_resnet18", "any"): "fp32",
    ("bisenetv1_resnet18", "one"): "fp16",
    ("bisenetv2", "one"): "int8",
    ("msfnet", "one"): "fp32",
    ("pidnet_s", "one"): "fp16",
    ("ddrnet23_slim", "one"): "fp32",
    ("stdc1_seg", "one"): "fp16",
    ("pp_liteseg_t", "any"): "fp16",
    ("regseg", "one"): "fp32",
}


def networks() -> list[tuple[str, str]]:
    asked = os.environ.get("SWATH_TEST_EXPORTS", "")
    if not asked:
        return list(REPRESENTATIVE)
    return [(name, size) for name in (list_models() if asked == "1" else asked.split(",")) for size in SIZES]


class Made:
    """A network and its files in float32, from which others are made."""

    def __init__(self, name: str, size: str, folder: Path):
        self.network = settled(name)
        self.size = size
        self.folder = folder

    def export(self, network: Network, file: str, precision: Precision = "fp32") -> tuple[Path, Description, Tensor]:
        from swath.deploy import onnx

        module, description, pixels = exportable(network, "outside")
        if self.size == "one":
            description = of_size(description, (pixels.shape[1], pixels.shape[2]))
            pixels = example(description, network.deepest)
        onnx.write(module, description, pixels, self.folder / file, precision)
        return self.folder / file, description, pixels

    @functools.cached_property
    def whole(self) -> tuple[Path, Description, Tensor]:
        return self.export(self.network, "fp32.onnx")


@pytest.fixture(scope="module", params=networks(), ids="-".join)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    pytest.importorskip("onnxscript", reason="both engines are fed from ONNX, which it writes")
    pytest.importorskip("onnxruntime", reason="it is one of the two engines")
    pytest.importorskip("openvino", reason="it is one of the two engines")
    name, size = request.param
    return Made(name, size, tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_both_engines_answer_as_the_network_does(made: Made, precision: str) -> None:
    from swath.deploy import openvino

    network = made.network
    if "SWATH_TEST_EXPORTS" not in os.environ and REPRESENTATIVE[network.name, made.size] != precision:
        pytest.skip("one combination a network; `make test-exports` tries all")
    if list(network.inputs) != ["image"] or "segmentation" not in network.tasks:
        pytest.skip(f"takes {' and '.join(network.inputs)}, answers {' and '.join(network.tasks)}: makes no label maps")
    half: Precision = "fp16" if precision == "fp16" else "fp32"
    if precision == "int8":
        network = integers(network)
        source, description, pixels = onnx_file = made.export(network, "int8.onnx")
    else:
        source, description, pixels = made.whole  # OpenVINO halves the weights by itself
        onnx_file = made.export(network, "fp16.onnx", half) if precision == "fp16" else made.whole
    openvino.from_onnx(source, description, made.folder / f"{precision}.xml", half)

    original = Segmenter(network, optimise=False)
    other = moved(network, precision)
    for file in (onnx_file[0], made.folder / f"{precision}.xml"):
        exported = Segmenter(file)
        assert exported.description.shape == description.shape
        checks = compare(original, exported, tried(description, pixels), other=other, precision=precision)
        assert [told(check) for check in checks if not check.passed] == [], file.name


def tried(description: Description, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "noise, a batch of 2", pixels
    street = load_card("streets").open("val").image(0)
    if description.shape is None:
        height, width = (max(least, side) for least, side in zip(description.min_size, (131, 193)))
        yield "street, odd", torch.from_numpy(np.ascontiguousarray(street[:height, :width]))[None]
        yield "noise, odd", pixels[:1, :-3, :-5] if pixels.shape[1] - 3 >= description.min_size[0] else pixels[:1]
    else:
        yield "street", fitting(torch.from_numpy(np.ascontiguousarray(street))[None], description)


def told(check: Check) -> str:
    return (
        f"{check.name}: {check.wrong} of {check.pixels} wrong ({check.limits.wrong:.2%} may), "
        f"logits off by {check.error:.2e} ({check.limits.error:.2e} may)"
    )


def settled(name: str) -> Network:
    """In eval mode after some streets in training mode, so that the norms' statistics fit the weights."""
    torch.manual_seed(1)
    network = create_model(name, num_classes=CLASSES).train()
    height, width = (max(least, side) for least, side in zip(network.min_size, (96, 160)))
    with torch.no_grad():
        for _ in range(2):
            pixels = [torch.randn(2, channels, height, width) for channels in network.inputs.values()]
            network(*pixels)
    return network.eval()


def integers(network: Network) -> Network:
    pytest.importorskip("torchao", reason="networks are made to compute with 8 bits by it")
    from swath.quantise import calibrate

    height, width = (max(least, side) for least, side in zip(network.min_size, (128, 192)))
    noise = torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8)
    return calibrate(network, [noise], bias_correction=False)
