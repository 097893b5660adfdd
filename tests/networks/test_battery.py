"""What every registered network must do. A network is tested here from the moment it is registered.

Each network is built and settled once (pytest runs all tests of one parameter of a module fixture together); what only
depends on shapes runs on torch's meta device, which computes no values.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from swath import SwathError, create_model, list_models, load, model_info, save
from swath.networks import Network, fuse
from swath.networks.registry import FAMILIES

from golden_facts import check

ALL = "SWATH_TEST_ALL" in os.environ
DEEP = 300  # modules without parts
GOLDEN = Path(__file__).parents[1] / "golden"
CLASSES = 3
# Root mean square error of the logits in bfloat16, as a share of their spread: 0.12 but for these.
BFLOAT16 = {
    "enet": 0.25,  # a near-tie moves the corner that unpooling returns a maximum to
    **dict.fromkeys(("ddrnet39", "pidnet_m", "pidnet_l"), 0.35),  # roundings add up over many layers of random weights
}


@pytest.fixture(scope="module", params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> Network:
    """In eval mode after some batches in training mode, so that the norms' statistics fit the weights."""
    torch.manual_seed(1)
    model = create_model(name, num_classes=CLASSES).train()
    with torch.no_grad():
        for _ in range(3):
            model(*pictures(model, small(model), batch=2))
    return model.eval()


@functools.cache
def kind(name: str) -> tuple[object, ...]:
    """What a network is made of; networks of one kind differ in widths, depths and strides only."""
    model = shapes_only(name, num_classes=CLASSES)
    return frozenset(map(type, model.modules())), len(model.inputs), len(model.tasks)


@pytest.fixture(scope="module")
def representative(network: Network) -> Network:
    """The first network of each kind; tracing takes seconds, and what it can stumble over is the kind's code."""
    if not ALL:
        for other in FAMILIES[model_info(network.name).family]:
            if other == network.name:
                break
            if kind(other) == kind(network.name):
                pytest.skip(f"made of the same modules as {other}, which is traced; `make test-all` traces all")
    return network


def skip_if_deep(network: Network) -> None:
    if not ALL and sum(not list(module.children()) for module in network.modules()) > DEEP:
        pytest.skip("a deep network takes up to a minute; its program is checked, `make test-all` does this too")


@pytest.fixture(scope="module")
def program(representative: Network) -> Iterator[torch.export.ExportedProgram]:
    """The network's logits with batch, height and width free."""
    network = representative
    d = torch.export.Dim.DYNAMIC
    shapes = tuple({0: d, 2: d, 3: d} for _ in network.inputs)
    with torch.no_grad():
        inputs = tuple(pictures(network, traced(network), batch=2))
        yield torch.export.export(Logits(network).eval(), inputs, dynamic_shapes=(shapes,))


def small(model: Network, at_least: int = 64) -> tuple[int, int]:
    """A size that is small, not square, and that every stage of the network can hold."""
    height, width = model.min_size
    return max(height, at_least), max(width, at_least + 32)


def traced(model: Network) -> tuple[int, int]:
    """A size at which no map of the network is a single row: an exporter takes a 1 for a constant."""
    least = model.deepest + 32
    return max(least, 2 * model.min_size[0] + 6), max(least + 32, 2 * model.min_size[1] + 6)


def other_size(model: Network) -> tuple[int, int]:
    height, width = traced(model)
    return height + 22, width - 19


def pictures(model: Network, size: tuple[int, int], batch: int = 1, device: str = "cpu") -> list[Tensor]:
    """One random picture for each of the network's inputs."""
    if device == "meta":
        return [torch.empty(batch, channels, *size, device="meta") for channels in model.inputs.values()]
    g = torch.Generator().manual_seed(3)
    return [torch.randn(batch, channels, *size, generator=g) for channels in model.inputs.values()]


def tensors(output: object) -> list[Tensor]:
    """All tensors of an answer: one, a list with auxiliary ones, or a dict by task."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [t for part in parts for t in tensors(part)]  # type: ignore[union-attr]


def shapes_only(name: str, **arguments: int) -> Network:
    with torch.device("meta"):
        return create_model(name, **arguments).eval()


def test_golden_facts(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    if not path.exists():
        pytest.skip("no golden facts exist; the family's own tests hold it against published counts")
    facts = json.loads(path.read_text())
    classes = facts["args"]["num_classes"]
    model = create_model(name, **({"num_classes": classes} if isinstance(classes, int) else {}))
    at_stride = max(o["shape"][-1] for o in facts["outputs"]) < facts["inputs"][0][-1]

    def answer(m: Network, inputs: list[Tensor]) -> object:
        output = m.logits(*inputs) if at_stride else m(*inputs)
        # facts that name their outputs list them by name (as `check` does), the others in the order of the tasks
        return output if "output_names" in facts else tensors(output)

    assert check(model, facts, call=answer) == []


def test_any_size_works_or_is_refused_with_the_smallest_that_does(name: str) -> None:
    model = shapes_only(name, num_classes=CLASSES)
    least_h, least_w = model.min_size
    sizes = [(least_h + more, least_w + (5 * more + 1) % 9) for more in range(9)]
    for height, width in [*sizes, (least_h + 17, least_w + 30), (250, 333), (97, 641)]:
        height, width = max(height, least_h), max(width, least_w)
        for output in tensors(model(*pictures(model, (height, width), device="meta"))):
            assert output.shape[-2:] == (height, width)
    too_small = [(1, 1), (least_h - 1, least_w), (least_h, least_w - 1)]
    for height, width in too_small:
        if height > 0 and width > 0 and (height < least_h or width < least_w):
            with pytest.raises(SwathError, match=f"at least {least_w}x{least_h} pixels"):
                model(*pictures(model, (height, width), device="meta"))


def test_the_smallest_size_gives_finite_answers(network: Network) -> None:
    with torch.no_grad():
        for output in tensors(network(*pictures(network, network.min_size))):
            assert output.shape[-2:] == network.min_size and output.isfinite().all()


@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_input_channels(name: str, channels: int) -> None:
    model = shapes_only(name, num_classes=2, in_channels=channels)
    assert model.inputs["image"] == channels == len(model.preprocess.mean)
    size = small(model)
    assert all(t.shape[-2:] == size for t in tensors(model(*pictures(model, size, device="meta"))))


@pytest.mark.parametrize("classes", [1, 2, 11, 19, 21, 150])
def test_any_number_of_classes(name: str, classes: int) -> None:
    model = shapes_only(name, num_classes=classes)
    output = model.logits(*pictures(model, small(model), device="meta"))
    logits = output["segmentation"] if isinstance(output, dict) else output
    assert logits.shape[:2] == (1, classes)


def test_every_parameter_gets_a_finite_gradient(network: Network) -> None:
    model = copy.deepcopy(network).train()
    outputs = tensors(model(*pictures(model, small(model), batch=2)))
    assert len(model.tasks) * (1 + len(model.aux_weights)) == len(outputs)
    torch.stack([output.square().mean() for output in outputs]).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} has no gradient"
        assert parameter.grad.isfinite().all(), f"{parameter_name}: gradient is not finite"


@torch.no_grad()
def test_eval_repeats_itself_and_ignores_what_training_needs(network: Network) -> None:
    inputs = pictures(network, small(network))
    first, second = tensors(network(*inputs)), tensors(network(*inputs))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    lean = copy.deepcopy(network).drop_aux()
    assert lean.aux_weights == () and len(lean.aux_heads) == 0
    assert all(torch.equal(a, b) for a, b in zip(first, tensors(lean(*inputs))))
    lean.train()
    assert len(tensors(lean(*pictures(lean, small(lean), batch=2)))) == len(lean.tasks)


@torch.no_grad()
def test_channels_last_and_fused_norms_change_nothing(network: Network) -> None:
    model = copy.deepcopy(network).double()
    inputs = [x.double() for x in pictures(model, small(model), batch=2)]
    wanted = tensors(model(*inputs))
    fused = fuse(model)
    norms, left = (sum(isinstance(m, nn.BatchNorm2d) for m in each.modules()) for each in (model, fused))
    assert left == norms - foldable(model)
    model = model.to(memory_format=torch.channels_last)
    for other in (
        tensors(model(*[x.contiguous(memory_format=torch.channels_last) for x in inputs])),
        tensors(fused(*inputs)),
    ):
        for a, b in zip(other, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8 * float(b.abs().max()))


def foldable(model: nn.Module) -> int:
    """How many norms follow a convolution within an `nn.Sequential`; networks of norm, ReLU, convolution have none."""
    chains = [list(m) for m in model.modules() if isinstance(m, nn.Sequential)]
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    return sum(
        isinstance(a, convolutions) and isinstance(b, nn.BatchNorm2d)
        for chain in chains
        for a, b in itertools.pairwise(chain)
    )


@torch.no_grad()
def test_bfloat16_is_close_to_float32(network: Network) -> None:
    inputs = pictures(network, small(network))
    wanted = tensors(network.logits(*inputs))
    with torch.autocast("cpu", torch.bfloat16):
        mine = tensors(network.logits(*inputs))
    for a, b in zip(mine, wanted, strict=True):
        assert (a.float() - b).square().mean().sqrt() <= BFLOAT16.get(network.name, 0.12) * b.std() + 1e-3


@torch.no_grad()
def test_saved_and_loaded_answers_the_same(network: Network, tmp_path: Path) -> None:
    save(tmp_path / "w.safetensors", network, classes=["a", "b", "c"], colors=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    again = load(tmp_path / "w.safetensors")
    inputs = pictures(network, small(network))
    assert all(torch.equal(a, b) for a, b in zip(tensors(network(*inputs)), tensors(again(*inputs)), strict=True))
    assert again.preprocesses == network.preprocesses and again.name == network.name


@torch.no_grad()
def test_exported_program_answers_at_other_sizes(network: Network, program: torch.export.ExportedProgram) -> None:
    other = pictures(network, other_size(network), 1)
    for a, b in zip(tensors(program.module()(*other)), tensors(network.logits(*other)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@torch.no_grad()
def test_compiles_without_graph_breaks(representative: Network) -> None:
    """Dynamo's part alone (backend "eager"): what breaks graphs breaks them here, without a C++ compiler's minute."""
    skip_if_deep(representative)
    torch.compiler.reset()
    compiled = torch.compile(Logits(representative).eval(), fullgraph=True, backend="eager")
    inputs = pictures(representative, small(representative))
    for a, b in zip(tensors(compiled(*inputs)), tensors(representative.logits(*inputs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


@torch.no_grad()
def test_onnx_runtime_answers_the_same_at_other_sizes(
    network: Network, program: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    ort = pytest.importorskip("onnxruntime")
    skip_if_deep(network)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    names = list(network.inputs)
    torch.onnx.export(program, dynamo=True, verbose=False, external_data=False, input_names=names).save(
        tmp_path / "net.onnx"
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(tmp_path / "net.onnx", options, providers=["CPUExecutionProvider"])
    other = pictures(network, other_size(network), 1)
    answers = session.run(None, {name: x.numpy() for name, x in zip(names, other, strict=True)})
    for a, b in zip(answers, tensors(network.logits(*other)), strict=True):
        torch.testing.assert_close(torch.from_numpy(a), b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


class Logits(nn.Module):
    """`model.logits` as a module of its own, for exporters."""

    def __init__(self, model: Network):
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> object:
        return self.model.logits(*inputs)
