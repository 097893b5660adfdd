"""What every registered network must do. A network is tested here from the moment it is registered."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from swath import SwathError, create_model, list_models, load, save
from swath.networks import Network, fuse

from golden_facts import check

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = list_models()
every_network = pytest.mark.parametrize("name", NAMES)


def small(model: Network, at_least: int = 64) -> tuple[int, int]:
    """A size that is small, not square, and that every stage of the network can hold."""
    height, width = model.min_size
    return max(height, at_least), max(width, at_least + 32)


def pictures(model: Network, size: tuple[int, int], batch: int = 1) -> list[Tensor]:
    """One random picture for each of the network's inputs."""
    g = torch.Generator().manual_seed(3)
    return [torch.randn(batch, channels, *size, generator=g) for channels in model.inputs.values()]


def tensors(output: object) -> list[Tensor]:
    """All tensors of an answer: one, a list with auxiliary ones, or a dict by task."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [t for part in parts for t in tensors(part)]  # type: ignore[union-attr]


def settle(model: Network) -> Network:
    """Eval mode after some batches in training mode, so that the norms' statistics fit the weights."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*pictures(model, small(model), batch=2))
    return model.eval()


@every_network
def test_golden_facts(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    if not path.exists():
        pytest.skip("no golden facts exist; the family's own tests hold it against published counts")
    facts = json.loads(path.read_text())
    model = create_model(name, **arguments_of(facts))
    at_stride = max(o["shape"][-1] for o in facts["outputs"]) < facts["inputs"][0][-1]
    call = (lambda m, xs: m.logits(*xs)) if at_stride else None
    assert check(model, facts, call=call) == []


def arguments_of(facts: dict) -> dict:
    classes = facts["args"]["num_classes"]
    return {"num_classes": classes} if isinstance(classes, int) else {}


@every_network
@torch.no_grad()
def test_any_size_works_or_is_refused_with_the_smallest_that_does(name: str) -> None:
    model = create_model(name, num_classes=3).eval()
    least_h, least_w = model.min_size
    for height, width in [(least_h, least_w), (least_h + 1, least_w + 6), (least_h + 17, least_w + 30)]:
        for output in tensors(model(*pictures(model, (height, width)))):
            assert output.shape[-2:] == (height, width)
    for height, width in [(1, 1), (least_h - 1, least_w), (least_h, least_w - 1)]:
        if height >= least_h and width >= least_w:
            continue
        if height < 1 or width < 1:
            continue
        with pytest.raises(SwathError, match=f"{least_w}x{least_h}"):
            model(*pictures(model, (height, width)))


@every_network
@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_input_channels(name: str, channels: int) -> None:
    model = create_model(name, num_classes=2, in_channels=channels).eval()
    assert model.inputs["image"] == channels == len(model.preprocess.mean)
    size = small(model)
    assert all(t.isfinite().all() for t in tensors(model(*pictures(model, size))))


@every_network
@torch.no_grad()
@pytest.mark.parametrize("classes", [1, 2, 19, 150])
def test_any_number_of_classes(name: str, classes: int) -> None:
    model = create_model(name, num_classes=classes).eval()
    if len(model.tasks) > 1:
        pytest.skip("its tasks have counts of their own")
    (logits,) = tensors(model.logits(*pictures(model, small(model))))
    assert logits.shape[:2] == (1, classes)


@every_network
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    model = create_model(name, num_classes=3).train()
    outputs = tensors(model(*pictures(model, small(model), batch=2)))
    assert len(model.tasks) * (1 + len(model.aux_weights)) == len(outputs)
    torch.stack([output.square().mean() for output in outputs]).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} has no gradient"
        assert parameter.grad.isfinite().all(), f"{parameter_name}: gradient is not finite"


@every_network
@torch.no_grad()
def test_eval_repeats_itself_and_ignores_what_training_needs(name: str) -> None:
    model = settle(create_model(name, num_classes=3))
    inputs = pictures(model, small(model))
    first, second = tensors(model(*inputs)), tensors(model(*inputs))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    lean = copy.deepcopy(model).drop_aux()
    assert lean.aux_weights == () and len(lean.aux_heads) == 0
    assert all(torch.equal(a, b) for a, b in zip(first, tensors(lean(*inputs))))
    lean.train()
    assert len(tensors(lean(*pictures(model, small(model), batch=2)))) == len(model.tasks)


@every_network
@torch.no_grad()
def test_channels_last_equals_contiguous(name: str) -> None:
    model = settle(create_model(name, num_classes=3)).double()
    inputs = [x.double() for x in pictures(model, small(model), batch=2)]
    wanted = tensors(model(*inputs))
    model = model.to(memory_format=torch.channels_last)
    mine = tensors(model(*[x.contiguous(memory_format=torch.channels_last) for x in inputs]))
    for a, b in zip(mine, wanted):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8 * float(b.abs().max()))


@every_network
@torch.no_grad()
def test_bfloat16_is_close_to_float32(name: str) -> None:
    model = settle(create_model(name, num_classes=3))
    inputs = pictures(model, small(model))
    wanted = tensors(model.logits(*inputs))
    with torch.autocast("cpu", torch.bfloat16):
        mine = tensors(model.logits(*inputs))
    for a, b in zip(mine, wanted):
        assert (a.float() - b).square().mean().sqrt() <= 0.12 * b.std() + 1e-3


@every_network
@torch.no_grad()
def test_saved_and_loaded_answers_the_same(name: str, tmp_path: Path) -> None:
    model = settle(create_model(name, num_classes=3))
    save(tmp_path / "w.safetensors", model, classes=["a", "b", "c"], colors=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
    again = load(tmp_path / "w.safetensors")
    inputs = pictures(model, small(model))
    assert all(torch.equal(a, b) for a, b in zip(tensors(model(*inputs)), tensors(again(*inputs))))
    assert again.preprocesses == model.preprocesses and again.name == name


@every_network
@torch.no_grad()
def test_fused_norms_change_nothing(name: str) -> None:
    model = settle(create_model(name, num_classes=3)).double()
    fused = fuse(model)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert sum(isinstance(m, nn.BatchNorm2d) for m in fused.modules()) < max(norms, 1)
    inputs = [x.double() for x in pictures(model, small(model))]
    for a, b in zip(tensors(fused(*inputs)), tensors(model(*inputs))):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8 * float(b.abs().max()))


@every_network
@torch.no_grad()
def test_exported_program_answers_at_other_sizes(name: str) -> None:
    model = settle(create_model(name, num_classes=3))
    height, width = traced(model)
    program = torch.export.export(Logits(model).eval(), tuple(pictures(model, (height, width + 32), 2)), **free(model))
    other = pictures(model, (height + 22, width + 13), 1)
    for a, b in zip(tensors(program.module()(*other)), tensors(model.logits(*other))):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@every_network
@torch.no_grad()
def test_onnx_runtime_answers_the_same_at_other_sizes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    ort = pytest.importorskip("onnxruntime")
    model = settle(create_model(name, num_classes=3))
    height, width = traced(model)
    names = list(model.inputs)
    torch.onnx.export(
        Logits(model).eval(),
        tuple(pictures(model, (height, width + 32), 2)),
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=names,
        **free(model),
    ).save(tmp_path / "net.onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(tmp_path / "net.onnx", options, providers=["CPUExecutionProvider"])
    other = pictures(model, (height + 22, width + 13), 1)
    answers = session.run(None, {name: x.numpy() for name, x in zip(names, other)})
    for a, b in zip(answers, tensors(model.logits(*other))):
        torch.testing.assert_close(torch.from_numpy(a), b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def traced(model: Network) -> tuple[int, int]:
    """A size at which no map of the network is a single row: an exporter takes a 1 for a constant."""
    return max(64, 2 * model.min_size[0] + 6), max(96, 2 * model.min_size[1] + 6)


class Logits(nn.Module):
    """`model.logits` as a module of its own, for exporters."""

    def __init__(self, model: Network):
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> object:
        return self.model.logits(*inputs)


def free(model: Network) -> dict:
    """Every input's batch, height and width are free."""
    d = torch.export.Dim.DYNAMIC
    return {"dynamic_shapes": (tuple({0: d, 2: d, 3: d} for _ in model.inputs),)}
