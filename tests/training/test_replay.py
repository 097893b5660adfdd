"""A training whose numbers go wrong stops before the step and leaves what `swath replay` repeats."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from swath.cli.main import main
from swath.errors import SwathError
from swath.training import loop, stage, start
from swath.training.checkpoint import checkpoints
from swath.training.replay import replay


def run_and_fail(shapes: Path, run: Path, *overrides: tuple[str, list[str]]) -> str:
    with pytest.raises(SwathError) as raised:
        start(str(shapes / "tiny.yaml"), overrides, out=run)
    return str(raised.value)


def test_a_rate_that_is_far_too_high(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights explode by themselves: no number is planted."""
    run = tmp_path / "run"
    said = run_and_fail(shapes, run, ("lr", ["1e30"]), ("clip", ["none"]), ("optimiser", ["sgd"]), ("ema", ["none"]))
    (file,) = run.glob("replay-*.pt")
    assert f"swath replay {file}` repeats" in said and "stopped before the optimiser's step" in said and "p0" in said
    found = replay(file)
    assert found.reproduced and f"iteration {found.number} is" in said
    assert len(found.names) == 4 and all(name in said for name in found.names)
    capsys.readouterr()
    assert main(["replay", str(file)]) == 1
    shown = capsys.readouterr().out
    assert f"iteration {found.number}: loss" in shown and found.names[0] in shown


def test_the_layer_is_named(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight is broken between two iterations, as a flipped bit would."""
    inner = loop.Trainer._step

    def step(self, run, batch) -> None:  # type: ignore[no-untyped-def]
        if self.position.total == 5:
            with torch.no_grad():
                self.model.context[3].body[1][0].weight[0, 0, 0, 0] = math.inf
        inner(self, run, batch)

    monkeypatch.setattr(loop.Trainer, "_step", step)
    said = run_and_fail(shapes, tmp_path / "run")
    assert "iteration 6" in said
    monkeypatch.undo()
    found = replay(next((tmp_path / "run").glob("replay-*.pt")))
    assert found.number == 6 and found.layer == "context.3.body.1.0" and found.reason.startswith("its input was finite")
    assert found.parameters == ["context.3.body.1.0.weight"]


def test_a_gradient_alone_is_enough(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The square root of exactly zero has a finite value and an infinite slope."""
    inner = stage.StageRun.loss

    def loss(self, batch, step):  # type: ignore[no-untyped-def]
        value = inner(self, batch, step)
        return value + (self.model.detail[0][0].weight.sum() * 0).sqrt() if step == 2 else value

    monkeypatch.setattr(stage.StageRun, "loss", loss)
    said = run_and_fail(shapes, tmp_path / "run")
    assert "the gradient of iteration 3 is nan" in said
    found = replay(next((tmp_path / "run").glob("replay-*.pt")))
    assert found.reproduced and math.isfinite(found.loss) and found.layer is None
    monkeypatch.undo()
    assert not replay(next((tmp_path / "run").glob("replay-*.pt"))).reproduced


FLOAT = [("class_weights", ["log"]), ("loss", ["cross-entropy"])]
INT8 = [("quantise.scheme", ["int8"]), ("network_options.width", ["0.25"])]


@pytest.mark.parametrize("overrides", [FLOAT, INT8], ids=["float", "int8"])
def test_what_is_repeated_is_the_iteration_to_the_bit(
    overrides: list[tuple[str, list[str]]], shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout, windows and class weights included, and ranges of 8 bits, which the iteration itself has moved: the loss
    is the one that the run saw."""
    if overrides is INT8:
        pytest.importorskip("torchao")
    seen: list[tuple[float, float]] = []
    inner = loop.Finite.see

    def see(self, value, gradient, number, optimiser) -> None:  # type: ignore[no-untyped-def]
        seen.append((value.item(), gradient.item()))
        inner(self, value if number < 4 else value * math.nan, gradient, number, optimiser)

    monkeypatch.setattr(loop.Finite, "see", see)
    run_and_fail(shapes, tmp_path / "run", *overrides)
    monkeypatch.undo()
    found = replay(next((tmp_path / "run").glob("replay-*.pt")))
    assert found.number == 4 and (found.loss, found.gradient) == seen[3] and not found.reproduced


def test_other_files_are_refused(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(str(shapes / "tiny.yaml"), out=tmp_path / "run") == 0
    (newest, *_) = checkpoints(tmp_path / "run" / "checkpoints")
    capsys.readouterr()
    assert main(["replay", str(newest)]) == 2
    assert "is a checkpoint, not an iteration to repeat" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "none.pt")]) == 2
