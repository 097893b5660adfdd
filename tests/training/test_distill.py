"""A larger network teaches: what is refused, what is written down, and that a resumed run ends with the same bits."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import swath
from deaths import results
from swath.errors import SwathError
from swath.training import checkpoint, resume, start
from swath.training.config import Distill
from swath.training.distill import Teacher
from swath.training.losses.distillation import channel_wise, of_logits

NAMES, COLORS = ["ground", "box", "disc"], [(90, 90, 90), (200, 40, 40), (40, 40, 200)]
SHORT = [("epochs", ["2"]), ("loss", ["cross-entropy"])]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ENet, whose logits have another stride and whose pictures another normalisation."""
    torch.manual_seed(5)
    model = swath.create_model("enet", num_classes=3)
    model.preprocess = swath.networks.Preprocess((0.5, 0.4, 0.3), (0.5, 0.5, 0.5), order="BGR")
    path = tmp_path_factory.mktemp("teacher") / "enet.safetensors"
    swath.save(path, model, classes=NAMES, colors=COLORS)
    return path


def train(shapes: Path, teacher: Path | str, out: Path, *more: tuple[str, Sequence[str]]) -> int:
    return start(str(shapes / "tiny.yaml"), [*SHORT, ("distill.teacher", [str(teacher)]), *more], out=out)


@pytest.fixture(scope="module")
def finished(shapes: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert train(shapes, teacher, run) == 0
    return run


@pytest.mark.parametrize(("name", "loss"), [("channel-wise", channel_wise), ("logits", of_logits)])
def test_the_teacher_sees_the_same_windows_in_its_own_way(teacher: Path, name: Any, loss: Any) -> None:
    g = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 40, 48), generator=g, dtype=torch.uint8)
    labels = torch.randint(0, 3, (2, 40, 48), generator=g, dtype=torch.uint8)
    labels[0, :9] = 255
    main = torch.randn(2, 3, 40, 48, generator=g, requires_grad=True)
    before = torch.get_rng_state()
    taught = Teacher(Distill(teacher=str(teacher), loss=name, weight=2, temperature=3), torch.device("cpu"))
    torch.set_rng_state(before)
    answers = swath.load(teacher)((image.flip(1) / 255.0 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / 0.5)
    wanted = 2 * loss(main, answers, labels, 3.0)
    for outputs in ([main, None], {"depth": [None], "segmentation": [main]}):
        got = taught(outputs, {"image": image, "labels": labels})
        assert torch.allclose(got, wanted, rtol=1e-5)
    got.backward()
    assert main.grad is not None and main.grad.any()
    assert not any(p.requires_grad for p in taught.model.parameters()) and not taught.model.training
    half: Tensor = taught([main.bfloat16()], {"image": image, "labels": labels})
    assert half.dtype == torch.float32 and torch.allclose(half, wanted, rtol=0.05)


def test_a_run_writes_down_who_taught_it(shapes: Path, teacher: Path, finished: Path, tmp_path: Path) -> None:
    (stage,) = yaml.safe_load((finished / "config.yaml").read_text())["stages"]
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert stage["distill"] == {
        "teacher": str(teacher), "loss": "channel-wise", "weight": 3.0, "temperature": 4.0, "sha256": digest,
    }  # fmt: skip
    state, _ = checkpoint.newest_checkpoint(finished / "checkpoints")
    assert state is not None and "criterion" not in state, "the teacher is in no checkpoint"
    assert start(str(shapes / "tiny.yaml"), SHORT, out=tmp_path / "alone") == 0
    assert results(tmp_path / "alone")["steps.csv"] != results(finished)["steps.csv"]
    assert start(str(finished / "config.yaml"), out=tmp_path / "again") == 0
    assert results(tmp_path / "again") == results(finished), "config.yaml alone repeats the run"


def test_stopped_and_resumed_it_ends_with_the_same_bits(
    shapes: Path, teacher: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, seen = Teacher.__call__, []

    def call(self: Teacher, *given: Any) -> Tensor:
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(self, *given)

    monkeypatch.setattr(Teacher, "__call__", call)
    own = tmp_path / "own.safetensors"
    own.write_bytes(teacher.read_bytes())
    run = tmp_path / "run"
    assert train(shapes, own, run) == 128 + signal.SIGTERM
    own.write_bytes(teacher.read_bytes() + b"\0")
    with pytest.raises(SwathError, match=r"own\.safetensors is another file than the run began with \(SHA-256"):
        resume(run)
    own.write_bytes(teacher.read_bytes())
    assert resume(run) == 0
    assert results(run) == results(finished)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([("distill.sha256", ["0" * 64])], "enet.safetensors is another file than the run began with"),
        ([("distill.teacher", ["nowhere.safetensors"])], "nowhere.safetensors cannot be read (No such file"),
        ([("distill.loss", ["chanel-wise"])], "did you mean 'channel-wise'?"),
        ([("distill.weight", ["0"])], "weight is 0.0, it must be above 0"),
        ([("distill.temperature", ["-1"])], "temperature is -1.0, it must be above 0"),
        ([("distill.heat", ["1"])], "unknown key 'stages.0.distill.heat'"),
    ],
)
def test_mistakes(shapes: Path, teacher: Path, tmp_path: Path, more: Any, message: str) -> None:
    with pytest.raises(SwathError) as error:
        train(shapes, teacher, tmp_path / "run", *more)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("network", "options", "names", "message"),
    [
        ("enet", {}, ["ground", "disc", "box"], "this teacher knows 'disc' where shapes has 'box'"),
        ("enet", {}, NAMES[:2], "this teacher knows 2 classes where shapes has 3"),
        ("rf_lw_mtl_mobilenetv2", {}, NAMES, "takes image and answers segmentation and depth"),
    ],
)
def test_teachers_of_something_else(
    shapes: Path, tmp_path: Path, network: str, options: dict[str, Any], names: list[str], message: str
) -> None:
    file = tmp_path / "other.safetensors"
    model = swath.create_model(network, num_classes=len(names), **options)
    swath.save(file, model, classes=names, colors=COLORS[: len(names)])
    with pytest.raises(SwathError, match=message):
        train(shapes, file, tmp_path / "run")
    assert not (tmp_path / "run").exists()
