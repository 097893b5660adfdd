"""A whole iteration, from the batch to the moving average, makes no host wait for a device, whatever the stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import swath
from swath.cards import load_card
from swath.training import load_recipe
from swath.training.losses import LOSSES
from swath.training.sources import open_stages
from swath.training.stage import StageRun
from swath.training.tasks import build_network
from waiting import NoWaiting

Overrides = Sequence[tuple[str, Sequence[str]]]
MULTITASK: Overrides = [
    *[(f"data.{split}_options.count", ["4"]) for split in ("train", "val")],
    *[(f"data.{split}_options.size", ["96x64"]) for split in ("train", "val")],
    ("batch", ["2"]),
    ("window.size", ["64x64"]),
    ("warmup", ["0"]),
]


def iterate(recipe: str, overrides: Overrides) -> None:
    """Two iterations; the first one, in which optimisers make their states, may do as it likes."""
    made = load_recipe(recipe, [*overrides, ("data.workers", ["0"]), ("device", ["cpu"])])
    ((source, _),) = open_stages(made)
    run = StageRun(made, 0, build_network(made, source.card, 0), source, torch.device("cpu"), load=True)
    for step, batch in enumerate(run.stream.batches(0, 2)):
        parts = [run.on_device(batch)] * made.stages[0].accumulate
        with NoWaiting(constants=step == 0):
            run.optimiser.set_rate(run.factor(step))
            loss = run.learn(parts, step)
            both = torch.stack([loss, run.gradient()])
            run.optimiser.step()
            if run.average:
                run.average.update(step)
        assert both.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss(loss: str, shapes: Path) -> None:
    iterate(str(shapes / "tiny.yaml"), [("loss", [loss])])


@pytest.mark.parametrize(
    "overrides",
    [
        [("optimiser", ["sgd"]), ("clip", ["none"])],
        [("optimiser", ["adam"]), ("accumulate", ["2"])],
        [("ema", ["none"]), ("swa", ["0.3"])],
        [("class_weights", ["log"]), ("class_weight_share", ["0.5"])],
        [("freeze", ["context"]), ("frozen_norms", ["true"]), ("ema", ["none"])],
        [("amp", ["true"])],
        [("network_options.aux", ["true"]), ("aux_loss", ["focal"])],
        [("network", ["pidnet_s"])],
    ],
    ids=lambda overrides: " ".join(key for key, _ in overrides),
)
def test_each_kind_of_stage(overrides: Overrides, shapes: Path) -> None:
    iterate(str(shapes / "tiny.yaml"), overrides)


def test_a_stage_with_8_bits(shapes: Path) -> None:
    pytest.importorskip("torchao")
    iterate(str(shapes / "tiny.yaml"), [("quantise.scheme", ["int8"]), ("network_options.width", ["0.25"])])


def test_a_stage_with_a_teacher(shapes: Path, tmp_path: Path) -> None:
    card = load_card(shapes / "card.yaml")
    teacher = tmp_path / "teacher.safetensors"
    swath.save(teacher, swath.create_model("enet", num_classes=3), classes=card.class_names, colors=card.colors)
    iterate(str(shapes / "tiny.yaml"), [("distill.teacher", [str(teacher)])])


@pytest.mark.parametrize("weights", ["learned", "gradients"])
def test_a_stage_of_several_tasks(weights: str) -> None:
    iterate("streets-multitask", [*MULTITASK, ("task_weights", [weights])])


def test_a_look_at_the_loss_would_be_found(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = StageRun.loss
    monkeypatch.setattr(StageRun, "loss", lambda *given: inner(*given) + float(inner(*given)))
    with pytest.raises(AssertionError, match="_local_scalar_dense waits for the device"):
        iterate(str(shapes / "tiny.yaml"), [])
