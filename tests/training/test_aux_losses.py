"""Targets and losses of auxiliary outputs, against slow references."""

from __future__ import annotations

import math

import pytest
import torch

from swath import create_model, list_models, model_info
from swath.training.losses import make_loss
from swath.training.losses.auxiliary import aux_loss, boundary, detail, presence
from swath.training.losses.edges import boundaries, detail_target, near_boundaries
from swath.training.losses.entropy import cross_entropy


@pytest.fixture
def labels() -> torch.Tensor:
    """Two pictures of blocks, with some ignored pixels."""
    g = torch.Generator().manual_seed(4)
    coarse = torch.randint(0, 4, (2, 5, 6), generator=g)
    blocks = coarse.repeat_interleave(7, 1).repeat_interleave(6, 2)
    blocks[:, :3, 10:20] = 255
    return blocks


def plain(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits, labels, None)


def slow_boundaries(labels: torch.Tensor) -> torch.Tensor:
    edge = torch.zeros(labels.shape, dtype=torch.bool)
    for n, y, x in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        here = labels[n, y, x]
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            if 0 <= y + dy < labels.shape[1] and 0 <= x + dx < labels.shape[2]:
                there = labels[n, y + dy, x + dx]
                edge[n, y, x] |= bool(here != there and here != 255 and there != 255)
    return edge


def test_boundaries_lie_between_classes_and_not_at_ignored_pixels(labels: torch.Tensor) -> None:
    assert torch.equal(boundaries(labels), slow_boundaries(labels))


def test_the_band_keeps_five_pixels_on_either_side() -> None:
    labels = torch.zeros(1, 30, 40, dtype=torch.long)
    labels[:, :, 20:] = 1
    kept = (near_boundaries(labels) != 255)[0, 0].nonzero()[:, 0].tolist()
    assert kept == list(range(14, 26))  # the border's own two pixels and five more on each side


def test_boundary_loss_weighs_both_sides_alike(labels: torch.Tensor) -> None:
    logits = torch.randn(2, 1, *labels.shape[1:], dtype=torch.float64)
    edge, known = slow_boundaries(labels), labels != 255
    near = torch.zeros_like(edge)
    for n, y, x in edge.nonzero().tolist():
        near[n, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = True
    at, off = int((near & known).sum()), int((~near & known).sum())
    total = 0.0
    for n, y, x in known.nonzero().tolist():
        p = 1 / (1 + math.exp(-float(logits[n, 0, y, x])))
        total -= (off * math.log(p) if near[n, y, x] else at * math.log(1 - p)) / (at + off)
    assert float(boundary(logits, labels)) == pytest.approx(total / int(known.sum()), rel=1e-4)


def test_detail_target_finds_structure_and_spares_the_void() -> None:
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[:, 8:20, 8:20] = 3
    labels[:, 24:, :] = 255
    target = detail_target(labels)[0]
    assert target[8, 8:20].all() and target[8:20, 19].all()  # the block's own rim
    assert not target[12:16, 12:16].any() and not target[:4, :4].any()
    assert not target[23:].any()  # an edge against the void is none


def test_presence_is_told_a_picture() -> None:
    labels = torch.full((2, 4, 4), 255)
    labels[0, :2], labels[0, 2] = 1, 2
    scores = torch.tensor([[-1.0, 2.0, 0.5], [9.0, 9.0, 9.0]]).double()
    logits = scores[:, :, None, None].expand(-1, -1, 4, 4)
    wanted = sum(math.log(1 + math.exp(each)) for each in (-1.0, -2.0, -0.5)) / 3  # the second picture is all void
    assert float(presence(logits, labels)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("kind", ["segmentation", "band", "boundary", "detail", "presence"])
def test_nothing_to_learn_gives_zero_and_zero_gradients(kind: str) -> None:
    channels = 1 if kind in ("boundary", "detail") else 4
    logits = torch.randn(2, channels, 12, 15, requires_grad=True)
    loss = aux_loss(kind, plain)(logits, torch.full((2, 12, 15), 255))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


@pytest.mark.parametrize("kind", ["boundary", "detail", "presence"])
def test_right_answers_cost_least(kind: str, labels: torch.Tensor) -> None:
    draw = torch.Generator().manual_seed(1)
    logits = (0.1 * torch.randn(2, 1 if kind != "presence" else 4, *labels.shape[1:], generator=draw)).requires_grad_()
    if kind == "presence":
        logits = (0.1 * torch.randn(2, 4, 1, 1, generator=draw)).requires_grad_()
    before = {"boundary": boundary, "detail": detail, "presence": presence}[kind](logits, labels)
    before.backward()
    better = logits.detach() - 5 * logits.grad / logits.grad.abs().max()
    assert {"boundary": boundary, "detail": detail, "presence": presence}[kind](better, labels) < before


def test_every_kind_that_a_network_names_has_a_loss() -> None:
    for family in ("pidnet", "stdc", "msfnet", "lightnet_mobilenet", "lightnet_encoding"):
        for name in list_models():
            if model_info(name).family == family:
                with torch.device("meta"):
                    model = create_model(name, num_classes=3)
                assert all(callable(aux_loss(kind, plain)) for kind in model.aux_kinds)


@pytest.mark.parametrize("name", ["pidnet_s", "stdc1_seg", "msfnet", "mobilenetv2exfuse"])
def test_networks_with_such_heads_train(name: str) -> None:
    model = create_model(name, num_classes=3).train()
    criterion = make_loss("ohem", {}, None, model.aux_weights, model.aux_kinds)
    labels = torch.randint(0, 3, (2, 64, 96))
    loss = criterion(model(torch.randn(2, 3, 64, 96)), labels)
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
