"""Every loss by every property: against a slow reference, on ignored crops, at extremes, without a wait, compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import slow_losses as slow
from swath.training.losses import DEPTH_LOSSES, IGNORE, LOSSES, Moment, make_depth_loss, make_loss
from swath.training.losses.auxiliary import aux_loss
from swath.training.losses.distillation import DISTILLATION_LOSSES
from swath.training.losses.entropy import cross_entropy
from swath.training.losses.pixels import in_full
from waiting import NoWaiting

CLASSES = 4
WEIGHTS = [0.5, 2.0, 1.0, 4.0]
AT = Moment(step=3, steps=10)
HELD = ("boundary-focal", "berhu")  # parts of these are held fixed in the gradient, on purpose


@dataclass
class Case:
    """A loss ready to be called, and its slow twin."""

    name: str
    fast: Callable[[Tensor, Tensor], Tensor]  # prediction, truth
    slow: Callable[[Any, Any], float]
    kind: str = "classes"  # what the prediction is: "one" (channel), "presence" or "depth"


def classes(name: str, weighted: bool = False, **options: Any) -> Case:
    weights = WEIGHTS if weighted else None
    criterion = make_loss(name, options, torch.tensor(WEIGHTS) if weighted else None)
    reference = getattr(slow, name.replace("-", "_"))
    more = {"done": AT.done} if name == "bootstrapped" else {}
    return Case(
        f"{name} {'weighted ' if weighted else ''}{options or ''}",
        lambda logits, labels: criterion([logits], labels, AT),
        lambda logits, labels: reference(logits, labels, weights, **more, **options),
    )


def depth(name: str, **options: Any) -> Case:
    criterion, reference = make_depth_loss(name, options), getattr(slow, name.replace("-", "_"))
    return Case(
        f"{name} {options or ''}",
        lambda metres, truth: criterion([metres], truth),
        lambda metres, truth: reference(metres[:, 0], truth, **options),
        "depth",
    )


def auxiliary(kind: str) -> Case:
    loss = aux_loss(kind, lambda logits, labels: cross_entropy(in_full(logits), labels, None))
    prediction = {"band": "classes", "presence": "presence"}.get(kind, "one")
    return Case(
        f"auxiliary {kind}", lambda logits, labels: loss(logits, labels.long()), getattr(slow, kind), prediction
    )


def taught(logits: Tensor) -> Tensor:
    """A teacher's answers: some that depend on the place alone."""
    place = torch.arange(logits[0].numel(), dtype=logits.dtype, device=logits.device).view_as(logits[0])
    return 3 * torch.sin(place * 0.7).expand_as(logits)


def distillation(name: str, temperature: float) -> Case:
    loss = DISTILLATION_LOSSES[name]
    reference = {"logits": slow.of_logits, "channel-wise": slow.channel_wise}[name]
    return Case(
        f"distillation {name} {temperature}",
        lambda logits, labels: loss(in_full(logits), taught(in_full(logits)), labels, temperature),
        lambda logits, labels: reference(logits, taught(torch.from_numpy(logits)).numpy(), labels, temperature),
    )


CASES = [
    *(classes(name, weighted) for name in LOSSES for weighted in (False, True)),
    *(classes("cross-entropy", True, smoothing=0.1, divide_by=by) for by in ("weights", "pixels", "all")),
    classes("ohem", threshold=0.01, min_share=0.3),
    classes("ohem", True, threshold=0.001, min_share=0, min_pixels=20),
    classes("ohem", threshold=0.9, min_share=0, min_pixels=110_000),
    classes("ohem", threshold=1, min_share=0),
    classes("bootstrapped", start=9, least=2, step=3),
    classes("bootstrapped", True, start=9, least=7, step=1, power=0),
    classes("focal", gamma=0, alpha=1),
    classes("focal", True, gamma=0.5, alpha=2),
    classes("boundary-focal", gamma=2),
    classes("dice", smooth=0.3, classes="present"),
    classes("dice", True, per_picture=True),
    classes("dice", classes="present", per_picture=True),
    classes("lovasz", classes="all"),
    classes("lovasz", per_picture=True),
    classes("lovasz", True, classes="all", per_picture=True),
    *(auxiliary(kind) for kind in ("band", "boundary", "detail", "presence")),
    *(depth(name) for name in DEPTH_LOSSES),
    depth("berhu", share=0.9),
    depth("scale-invariant", balance=1, floor=2),
    depth("silog", balance=0.5, floor=1),
    depth("smooth-l1", beta=3),
    depth("mean-difference", epsilon=0.1, power=0.5),
    *(distillation(name, t) for name in DISTILLATION_LOSSES for t in (1.0, 4.0)),
]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def draw(
    case: Case, seed: int, ignored: float = 0.3, pictures: int = 3, size: tuple[int, int] = (6, 7)
) -> tuple[Tensor, Tensor]:
    """A prediction in float64, and a truth that misses something."""
    g = torch.Generator().manual_seed(seed)
    channels = CLASSES if case.kind in ("classes", "presence") else 1
    shape = (1, 1) if case.kind == "presence" else size
    prediction = 3 * torch.randn(pictures, channels, *shape, generator=g, dtype=torch.float64)
    missing = torch.rand(pictures, *size, generator=g) < ignored
    if case.kind == "depth":
        truth = 60 * torch.rand(pictures, *size, generator=g) ** 2 + 0.3
        prediction = truth[:, None].double() * 1.3 + 2 * prediction
        return prediction, truth.masked_fill(missing, 0)
    coarse = torch.randint(0, CLASSES - seed % 2, (pictures, -(-size[0] // 2), -(-size[1] // 2)), generator=g)
    labels = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : size[0], : size[1]]
    return prediction, labels.masked_fill(missing, IGNORE).to(torch.uint8)


def nothing(case: Case, truth: Tensor) -> Tensor:
    """The same without a single known pixel."""
    return torch.zeros_like(truth) if case.kind == "depth" else torch.full_like(truth, IGNORE)


def learn(case: Case, prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient."""
    prediction = prediction.detach().clone().requires_grad_()
    loss = case.fast(prediction, truth)
    loss.backward()
    assert loss.shape == () and prediction.grad is not None
    return loss.detach(), prediction.grad


@every
def test_it_is_what_its_slow_twin_says(case: Case) -> None:
    for seed, ignored in enumerate((0.0, 0.3, 0.9)):
        prediction, truth = draw(case, seed, ignored)
        if seed == 1:
            truth[1] = nothing(case, truth[1])
        wanted = case.slow(prediction.numpy(), truth.numpy().astype("f8" if case.kind == "depth" else "i8"))
        assert case.fast(prediction, truth).item() == pytest.approx(wanted, rel=1e-6, abs=1e-12)
        if case.name != "mean-difference":  # of a difference of means less is left
            assert case.fast(prediction.float(), truth).item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_where_all_is_ignored_it_is_zero_and_teaches_nothing(case: Case, dtype: torch.dtype) -> None:
    prediction, truth = draw(case, 4)
    for scale in (1, 1000):
        loss, gradient = learn(case, (scale * prediction).to(dtype), nothing(case, truth))
        assert loss.item() == 0 and torch.equal(gradient, torch.zeros_like(gradient))


@every
def test_an_ignored_picture_among_others_learns_nothing_and_they_do(case: Case) -> None:
    prediction, truth = draw(case, 5)
    truth[1] = nothing(case, truth[1])
    loss, gradient = learn(case, prediction, truth)
    assert loss > 0 and gradient.isfinite().all()
    assert not gradient[1].any() and gradient[0].any() and gradient[2].any()


@pytest.mark.parametrize("case", [case for case in CASES if not case.name.startswith(HELD)], ids=lambda each: each.name)
def test_its_gradient_is_that_of_its_value(case: Case) -> None:
    prediction, truth = draw(case, 6, pictures=2, size=(3, 4))
    assert torch.autograd.gradcheck(lambda x: case.fast(x, truth), prediction.requires_grad_(), eps=1e-7, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_answers_keep_it_finite(case: Case, dtype: torch.dtype) -> None:
    prediction, truth = draw(case, 7)
    for each in (1e4 * prediction.sign(), torch.full_like(prediction, -1e4), torch.zeros_like(prediction)):
        with torch.autocast("cpu", torch.bfloat16):
            loss, gradient = learn(case, each.to(dtype), truth)
        assert loss.isfinite() and gradient.isfinite().all()


@every
def test_the_order_of_the_pictures_does_not_matter(case: Case) -> None:
    if case.name.startswith("distillation"):
        assert torch.equal(taught(torch.zeros(2, 1, 3, 4))[0], taught(torch.zeros(2, 1, 3, 4))[1])
    prediction, truth = draw(case, 8)
    order = torch.tensor([2, 0, 1])
    one, gradient = learn(case, prediction, truth)
    other, permuted = learn(case, prediction[order], truth[order])
    assert torch.allclose(one, other, rtol=1e-12) and torch.allclose(gradient[order], permuted, rtol=1e-9, atol=1e-15)


def test_the_guard_against_waiting_works() -> None:
    x = torch.rand(4)
    away = x.to("meta")
    for look in (
        lambda: x.max().item(),
        lambda: x[x > 0.5],
        lambda: bool(x.any()),
        lambda: (x > 0).nonzero(),
        lambda: away + torch.tensor([1.0, 2, 3, 4]).to("meta"),
        lambda: away.copy_(x),
    ):
        with pytest.raises(AssertionError, match=r"waits for the device|by a mask|is waited for"), NoWaiting():
            look()


@every
def test_nobody_waits_for_the_device(case: Case) -> None:
    prediction, truth = draw(case, 9)
    prediction = prediction.float()
    with NoWaiting():
        learn(case, prediction, truth)
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:  # has no numbers that one could look at
        assert case.fast(fake.from_tensor(prediction), fake.from_tensor(truth)).shape == ()
    if "weighted" not in case.name:  # those weights are on the CPU
        away = prediction.to("meta"), truth.to("meta")  # another device than the host's, which has no numbers either
        with NoWaiting():
            learn(case, *away)


@pytest.mark.parametrize("case", [case for case in CASES if "weighted" not in case.name], ids=lambda case: case.name)
def test_it_compiles_in_one_graph(case: Case) -> None:
    torch._dynamo.reset()
    prediction, truth = draw(case, 10)
    compiled = torch.compile(case.fast, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(prediction, truth), case.fast(prediction, truth), rtol=1e-12)
