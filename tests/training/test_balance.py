"""Weights of tasks by their gradients: the rule by hand, a run and its resumption, networks that cannot."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import swath
from deaths import results
from swath.errors import SwathError
from swath.networks import Network
from swath.training import checkpoint, resume, start
from swath.training.balance import GradientBalance, task_branches

SIZE = [
    (f"data.{split}_options.{key}", [value])
    for split in ("train", "val")
    for key, value in (("count", "2"), ("size", "96x64"))
]
SHORT = [
    *SIZE,
    ("epochs", ["none"]),
    ("iterations", ["3"]),
    ("batch", ["2"]),
    ("window.size", ["64x64"]),
    ("threads", ["1"]),
    ("device", ["cpu"]),
    ("samples", ["0"]),
    ("tensorboard", ["false"]),
    ("data.workers", ["0"]),
    ("tasks.depth.weight", ["0.5"]),
    ("task_weights", ["gradients"]),
]


def train(out: Path, *more: tuple[str, Sequence[str]]) -> int:
    return start("streets-multitask", [*SHORT, *more], out=out)


class Two(Network):
    """A shared feature and a factor for each of two tasks."""

    def __init__(self) -> None:
        super().__init__(num_classes=1)
        self.tasks = {"a": 1, "b": 1}
        self.shared = torch.nn.Linear(3, 3)
        self.heads = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 1), "b": torch.nn.Linear(3, 1)})

    def forward_logits(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        feature = self.shared(inputs[0])
        return {name: head(feature) for name, head in self.heads.items()}


def test_the_rule() -> None:
    torch.manual_seed(0)
    model = Two()
    balance = GradientBalance(model, {"a": 1.0, "b": 3.0}, torch.device("cpu"))
    w = {"a": 0.5, "b": 1.5}
    pull: dict[str, float] = {}
    soon: dict[str, float] = {}
    late: dict[str, float] = {}
    for step in range(4):
        x = torch.randn(5, 3)
        answers = model.forward_logits(x)
        losses = {"a": answers["a"].square().mean(), "b": (answers["b"] - 9).abs().mean() * (step != 2)}
        total = sum((balance.weigh(name, loss) for name, loss in losses.items()), start=torch.zeros(()))
        assert total.item() == pytest.approx(sum(w[name] * loss.item() for name, loss in losses.items()), rel=1e-5)
        total.backward()
        feature = model.shared(x).detach().requires_grad_()
        again = {"a": model.heads["a"](feature).square().mean(), "b": (model.heads["b"](feature) - 9).abs().mean()}
        for name, loss in again.items():
            if name == "b" and step == 2:
                continue  # nothing was known of it
            norm = w[name] * torch.autograd.grad(loss, feature)[0].norm().item()
            pull[name] = pull.get(name, norm) + 1e-3 * (norm - pull.get(name, norm))
            soon[name] = soon.get(name, loss.item()) + 1e-3 * (loss.item() - soon.get(name, loss.item()))
            late[name] = late.get(name, loss.item()) + 1e-6 * (loss.item() - late.get(name, loss.item()))
        r = {name: soon[name] / (late[name] + 1e-6) for name in w}
        for name in w:
            target = sum(pull.values()) / 2 * (r[name] / sum(r.values())) ** 0.75
            w[name] += 1e-4 * w[name] * (target / (pull[name] + 1e-6) - 1)
        w = {name: 2 * value / sum(w.values()) for name, value in w.items()}
        assert balance.weights.tolist() == pytest.approx(list(w.values()), rel=1e-6)
        assert balance.pull.tolist() == pytest.approx(list(pull.values()), rel=1e-4)
    assert not math.isclose(w["a"], 0.5, rel_tol=1e-6)
    with torch.no_grad():
        model.forward_logits(x)
    del balance
    model.forward_logits(x)["a"].sum().backward()  # its hooks are still there and do nothing


@pytest.mark.parametrize("name", ["deeplabv3plus_lite_mobilenetv2_multitask", "rf_lw_mtl_mobilenetv2"])
def test_networks_with_several_tasks_have_branches(name: str) -> None:
    with torch.device("meta"):
        model = swath.create_model(name, num_classes=5)
    assert list(task_branches(model)) == list(model.tasks)
    with pytest.raises(SwathError, match="fastscnn has no branch for each task; use fixed or learned"):
        task_branches(swath.create_model("fastscnn", num_classes=3))


def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train(whole) == 0
    state, _ = checkpoint.newest_checkpoint(whole / "checkpoints")
    assert state is not None
    weights = state["criterion"]["balance.weights"]
    assert weights.sum().item() == pytest.approx(3) and weights.tolist() != pytest.approx([1.5, 0.75, 0.75], abs=1e-7)
    assert "weights segmentation 1.5 depth 0.75" in (whole / "log.txt").read_text()
    inner, seen = GradientBalance._move, []

    def move(self: GradientBalance, *given: Any) -> None:
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        inner(self, *given)

    monkeypatch.setattr(GradientBalance, "_move", move)
    assert train(run) == 128 + signal.SIGTERM
    assert resume(run) == 0
    assert results(run) == results(whole)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([("compile", ["true"])], "task_weights: gradients looks into the network, which compile closes"),
        ([("tasks.depth.weight", ["0"])], "it must be above 0"),
    ],
)
def test_mistakes(tmp_path: Path, more: Any, message: str) -> None:
    with pytest.raises(SwathError, match=message):
        train(tmp_path / "run", *more)
    assert not (tmp_path / "run").exists()
