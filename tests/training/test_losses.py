"""Losses against the specs' test vectors; sums of losses, their options, and what their parts promise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from swath.errors import SwathError
from swath.training.losses import IGNORE, LOSSES, Moment, make_depth_loss, make_loss
from swath.training.losses.distance import squared_distance
from swath.training.losses.edges import at_sure_boundaries
from swath.training.losses.regions import lovasz
from swath.training.losses.select import kth_largest

# The specs' input: 40 of 48 pixels are known.
LOGITS = (2 * torch.sin(0.37 * torch.arange(1, 241, dtype=torch.float64))).view(2, 5, 4, 6)
LABELS = (7 * torch.arange(48)).view(2, 4, 6) % 6
LABELS[LABELS == 5] = IGNORE
SHARES = [0.4, 0.3, 0.2, 0.06, 0.04]


def value(loss: Any, options: Any = None, weights: list[float] | None = None, moment: Moment | None = None) -> float:
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    return make_loss(loss, options or {}, given)([LOGITS], LABELS, moment or Moment()).item()


@pytest.mark.parametrize(
    ("loss", "options", "weights", "wanted"),
    [
        ("cross-entropy", {}, None, 2.3949414931604958),
        ("cross-entropy", {}, [1 / math.log(1.02 + f) for f in SHARES], 2.444416319332624),
        ("dice", {}, None, 0.7563735102142303),
        ("dice", {"per_picture": True}, None, 0.7139241943335302),
        ("focal", {}, None, 0.5076083377624258),
        ("focal", {"alpha": 1}, None, 2.030433351049703),
        ("focal", {"alpha": 1, "gamma": 0}, None, 2.3949414931604958),
        ("lovasz", {}, None, 0.81776717899611),
        ("lovasz", {"per_picture": True}, None, 0.8170959563404719),
        ("ohem", {"threshold": 0.7, "min_share": 0.05}, None, 2.3949414931604958),
        ("ohem", {"threshold": math.exp(-3), "min_share": 0.1}, None, 3.8405459311658365),
        ("ohem", {"threshold": math.exp(-3), "min_share": 0.5}, None, 3.5932607543729276),
        ("ohem", {"threshold": math.exp(-6), "min_share": 0.1}, None, 4.374762792228744),
        ("ohem", {"threshold": math.exp(-3.5), "min_share": 0.05}, None, 4.114932082687537),
        ("bootstrapped", {"start": 8, "least": 8, "step": 1}, None, 3.8352604130555434),
        ("bootstrapped", {"start": 8, "least": 8, "step": 1}, [0.5, 1, 2, 1.5, 0.25], 4.7618583481822325),
    ],
)
def test_the_vectors_of_the_specs(loss: str, options: Any, weights: list[float] | None, wanted: float) -> None:
    assert value(loss, options, weights) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("classes", "wanted"), [("all", 0.7763833424538038), ("present", 0.810761964771047)])
def test_lovasz_with_a_class_that_is_absent(classes: Any, wanted: float) -> None:
    labels = torch.where(LABELS == 3, IGNORE, LABELS)
    assert lovasz(LOGITS, labels, None, classes=classes).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("t", "k"), [(1, 511), (500, 265), (750, 137), (768, 128), (1000, 128)])
def test_bootstrapping_keeps_fewer_and_fewer(t: int, k: int) -> None:
    g = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(1, 3, 30, 40, generator=g), torch.randint(0, 3, (1, 30, 40), generator=g)
    labels[0, :10] = IGNORE  # 800 are known
    logits.requires_grad_()
    make_loss("bootstrapped", {"step": 1})([logits], labels, Moment(t, 1000)).backward()
    assert logits.grad is not None and (logits.grad.abs().sum(1) > 0).sum() == k


def test_equal_losses_share_the_places_of_the_bootstrap() -> None:
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    loss = make_loss("bootstrapped", {"start": 3, "least": 3, "step": 1})([logits], labels)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert logits.grad is not None and torch.allclose(logits.grad[0, 0], torch.full((4, 4), -0.5 / 16))


def test_ohem_gradient_touches_hard_pixels_only() -> None:
    logits = LOGITS.clone().requires_grad_()
    make_loss("ohem", {"min_share": 0, "threshold": 0.1})([logits], LABELS).backward()
    probability = LOGITS.softmax(1).gather(1, LABELS.clamp(max=4)[:, None])[:, 0]
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum(1) > 0, (probability <= 0.1) & (LABELS != IGNORE))


def test_the_slopes_of_lovasz_keep_their_digits_in_single_precision() -> None:
    g = torch.Generator().manual_seed(0)
    logits, labels = 4 * torch.randn(1, 3, 512, 512, generator=g), torch.randint(0, 3, (1, 512, 512), generator=g)
    logits.scatter_add_(1, labels[:, None], torch.full((1, 1, 512, 512), 5.0))
    gradients = []
    for each in (logits.clone(), logits.double()):
        lovasz(each.requires_grad_(), labels, None).backward()
        assert each.grad is not None
        gradients.append(each.grad.double())
    off = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert off < 2e-5  # differences of neighbouring Jaccard indices give some percent


# Sums and auxiliary outputs


def test_sums() -> None:
    parts = {name: value(name) for name in ("cross-entropy", "dice", "lovasz")}
    assert value(["cross-entropy", "dice"]) == pytest.approx(parts["cross-entropy"] + parts["dice"])
    half = parts["cross-entropy"] + 0.5 * parts["lovasz"]
    assert value({"cross-entropy": 1, "lovasz": "5e-1"}) == pytest.approx(half)
    options = {"ohem": {"threshold": math.exp(-3), "min_share": 0.1}}
    assert value({"dice": 2, "ohem": 1}, options) == pytest.approx(2 * parts["dice"] + 3.8405459311658365)
    assert value(["focal"], {"focal": {"alpha": 1}}) == pytest.approx(2.030433351049703)
    metres, truth = torch.tensor([[[[5.0, 9.0]]]]), torch.tensor([[[4.0, 6.0]]])
    edgeai = {"smooth-l1": 0.125, "mean-difference": 0.125, "error-variance": 4}
    wanted = 0.125 * 1.5 + 0.125 * ((4 + 1e-6) ** 0.45 - 1e-3**0.9) + 4 * 1
    assert make_depth_loss(edgeai, {})([metres], truth).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_auxiliary_outputs_count_by_their_weights(name: str) -> None:
    other = LOGITS.flip(1)
    one, both = make_loss(name, {}), make_loss(name, {}, None, aux_weights=[0.4])
    plain = make_loss(name, {}, None, [0.4], aux_named="cross-entropy")
    first, entropy = one([LOGITS], LABELS), make_loss("cross-entropy", {})([other], LABELS)
    assert torch.allclose(both([LOGITS, other], LABELS), first + 0.4 * one([other], LABELS))
    assert torch.allclose(plain([LOGITS, other], LABELS), first + 0.4 * entropy)
    with pytest.raises(ValueError, match="2 outputs"):
        one([LOGITS, other], LABELS)


def test_a_boundary_branch_asks_for_more_where_it_is_sure() -> None:
    """PIDNet: the main output once more, where the boundary's probability is above 0.8."""
    sure = torch.full((2, 1, 4, 6), -9.0, dtype=torch.float64)
    sure[:, :, 1, 2:] = 2.0
    expected = at_sure_boundaries(LABELS, sure)
    assert ((expected != IGNORE) == ((LABELS != IGNORE) & (sure[:, 0] > 0))).all()
    ohem = {"threshold": 0.5, "min_share": 0}
    kinds = ["segmentation", "boundary"]
    without, more = (
        make_loss("ohem", ohem, None, [0.4, 0], kinds)([LOGITS, LOGITS, each], LABELS)
        for each in (torch.full_like(sure, -9.0), sure)
    )
    assert torch.allclose(more - without, make_loss("ohem", ohem)([LOGITS], expected))
    sure.requires_grad_()
    only = make_loss("ohem", ohem, None, [0.4, 0], kinds)([LOGITS, LOGITS, sure], LABELS)
    assert not torch.autograd.grad(only, sure)[0].any(), "the branch learns its own target only"


def test_class_weights_in_a_share_of_the_iterations() -> None:
    weights = torch.tensor([0.5, 1, 2, 1.5, 0.25])
    loss = make_loss("cross-entropy", {}, weights, class_weight_share=0.2)
    always, never = (make_loss("cross-entropy", {}, each)([LOGITS], LABELS) for each in (weights, None))
    with_weights = []
    for step in range(1, 501):
        got = loss([LOGITS], LABELS, Moment(step, 500, seed=7))
        assert got == loss([LOGITS], LABELS, Moment(step, 500, seed=7)), "a resumed run repeats it"
        assert got in (always, never)
        with_weights.append(bool(got == always))
    assert 70 < sum(with_weights) < 130
    assert with_weights[:100] != [Moment(step, 500, seed=8).chosen(0.2) for step in range(1, 101)]
    assert not any(Moment(step).chosen(0) for step in range(100)) and all(Moment(step).chosen(1) for step in range(100))


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_logits_are_summed_in_single(name: str) -> None:
    rough = LOGITS.bfloat16()
    assert torch.equal(make_loss(name, {})([rough], LABELS), make_loss(name, {})([rough.float()], LABELS))


# Mistakes


@pytest.mark.parametrize(
    ("named", "options", "message"),
    [
        ("ohm", {}, "unknown loss 'ohm'; did you mean 'ohem'"),
        (["dice", "lovas"], {}, "unknown loss 'lovas'; did you mean 'lovasz'"),
        ([], {}, "loss names no loss"),
        (["dice", "dice"], {}, "loss names 'dice' twice; give it a weight instead"),
        ({"dice": 0}, {}, "loss.dice is 0; it is the weight of that loss in the sum, a number above 0"),
        ({"dice": "much"}, {}, "loss.dice is much"),
        ({"dice": True}, {}, "loss.dice is True"),
        ("ohem", {"treshold": 0.5}, "unknown option of the loss 'ohem' 'treshold'; did you mean 'threshold'"),
        (["ohem"], {"threshold": 0.5}, "loss_options.threshold: with a list of losses options stand below the name"),
        (["ohem"], {"ohem": 0.5}, "loss_options.ohem: with a list of losses options stand below the name"),
        (["ohem"], {"dice": {}}, "loss_options.dice: with a list of losses options stand below the name"),
        *(
            (
                "ohem",
                {"threshold": wrong},
                f"threshold of 'ohem' is {wrong}, it must be a number between 0 and 1, not 0",
            )
            for wrong in (1.5, -1, "high", True, None, 0, math.nan)
        ),
        ("ohem", {"min_pixels": 0.5}, "min_pixels of 'ohem' is 0.5, it must be a whole number of 0 or more"),
        ("focal", {"alpha": 0}, "loss_options.alpha of 'focal' is 0, it must be a number above 0"),
        ("focal", {"gamma": math.inf}, "is inf, it must be a number of 0 or more"),
        ("lovasz", {"per_picture": 1}, "loss_options.per_picture of 'lovasz' is 1, it must be true or false"),
        ("lovasz", {"classes": "some"}, "loss_options.classes of 'lovasz' is some, it must be present or all"),
        ("lovasz", {"moment": 1}, "unknown option of the loss 'lovasz' 'moment'"),
        ("bootstrapped", {"moment": 1}, "unknown option of the loss 'bootstrapped' 'moment'"),
    ],
)
def test_mistakes(named: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SwathError) as error:
        make_loss(named, options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_numbers_may_be_text_as_yaml_gives_it() -> None:
    assert value("ohem", {"threshold": "1e-1"}) == value("ohem", {"threshold": 0.1})
    assert value("ohem", {"threshold": 0.01, "min_pixels": 1e1}) == value("ohem", {"threshold": 0.01, "min_pixels": 10})


# Parts


def test_kth_largest_is_exact() -> None:
    g = torch.Generator().manual_seed(1)
    many = torch.rand(4, 777, generator=g) ** 9 * 50
    many[1] = many[1].round()  # many ties
    many[2] = -0.0  # a loss can be a negative zero
    many[3, ::2], many[3, 1] = 1e-42, 3e38  # from denormal to almost too large
    ranked = many.sort(1, descending=True).values
    for k in (1, 2, 5, 100, 388, 389, 390, 776, 777):
        got = kth_largest(many, torch.full((4,), k))
        assert torch.equal(got, ranked[:, k - 1])
    several = torch.tensor([1, 50, 3, 777])
    assert torch.equal(kth_largest(many, several), ranked.gather(1, several[:, None] - 1)[:, 0])


@pytest.mark.parametrize("density", [0.0, 0.002, 0.02, 0.5])
def test_distances_are_exact_up_to_their_reach(density: float) -> None:
    g = torch.Generator().manual_seed(2)
    mask = torch.rand(2, 37, 45, generator=g) < density
    mask[1] &= torch.arange(45) > 30  # one side is empty
    got = squared_distance(mask, reach=20)
    for picture, own in zip(got, mask):
        marked = own.nonzero()
        spots = torch.cartesian_prod(torch.arange(37), torch.arange(45))
        away = (spots[:, None] - marked[None]).square().sum(2)
        nearest = away.min(1).values if len(marked) else torch.full((len(spots),), 10_000)
        assert torch.equal(picture.flatten().long(), nearest.clamp(max=400))


def test_boundary_focal_counts_pixels_near_boundaries_more() -> None:
    labels = torch.zeros(1, 2, 400, dtype=torch.long)
    labels[:, :, 200:] = 1
    logits = torch.zeros(1, 2, 2, 400, requires_grad=True)
    make_loss("boundary-focal", {})([logits], labels).backward()
    assert logits.grad is not None
    much = (logits.grad[0, 0, 0].abs() / logits.grad[0, 0, 0].abs().min()).round().int().tolist()
    assert much == much[::-1] and [much.count(n) // 2 for n in (8, 4, 2, 1)] == [16, 48, 64, 72]
    assert much[199] == 8
