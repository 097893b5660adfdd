"""A run that dies at any moment and is resumed ends with the bits of one that did not."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import deaths
from swath.training import checkpoint, resume, start


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return deaths.whole(shapes / "tiny.yaml", tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (deaths.before_optimiser_step, 1),
        (deaths.before_optimiser_step, 6),
        (deaths.before_optimiser_step, 12),
        (deaths.while_writing_checkpoint, 3),
        (deaths.between_checkpoint_and_tables, 4),
        (deaths.in_validation, 5),
        (deaths.in_validation, 12),
        (deaths.after_best_weights, 1),
    ],
)
def test_sigkill_then_resume_is_bit_identical(
    moment: Callable[[int], None],
    number: int,
    shapes: Path,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
) -> None:
    run = tmp_path / "run"
    assert deaths.killed_and_resumed(shapes / "tiny.yaml", run, moment, number) == undisturbed
    assert not list((run / "checkpoints").glob(".*")), "what an interrupted write left is cleared away"


def test_killed_again_and_again_and_with_other_workers(
    shapes: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """Three deaths, and a resume with two worker processes."""
    run = tmp_path / "run"
    for work in (lambda: start(str(shapes / "tiny.yaml"), out=run), lambda: resume(run), lambda: resume(run)):
        deaths.killed(work, deaths.before_optimiser_step, 4)
    assert deaths.in_child(lambda: resume(run, [("data.workers", ["2"])])) == 0
    assert deaths.results(run) == undisturbed


def test_damaged_checkpoint_is_passed_over(
    shapes: Path, tmp_path: Path, undisturbed: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    deaths.killed(lambda: start(str(shapes / "tiny.yaml"), out=run), deaths.before_optimiser_step, 10)
    newest = checkpoint.checkpoints(run / "checkpoints")[0]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert resume(run) == 0
    shown = capsys.readouterr().out.replace("\n", "")
    assert f"{newest.name}: is damaged" in shown and "passed over" in shown
    assert deaths.results(run) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_says_how_to_go_on(
    number: signal.Signals, shapes: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """Through the command line, as a person does it; the signal comes at whatever moment it comes."""
    run = tmp_path / "run"
    words = ["train", str(shapes / "tiny.yaml"), "--out", str(run), "--checkpoint_iterations", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "swath", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 100
    while not list(run.glob("checkpoints/step-*.pt")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, out + err
    assert not err
    stopped_after = re.search(rf"stopped by {number.name} after iteration (\d+); everything is saved", out)
    assert stopped_after and f"resume with: swath train --resume {run}" in out
    assert checkpoint.checkpoints(run / "checkpoints")[0].name == f"step-{int(stopped_after[1]):09d}.pt"
    assert resume(run) == 0
    assert deaths.results(run) == undisturbed


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert start(str(shapes / "tiny.yaml"), [("epochs", ["1"])], out=run) == 0
    before = deaths.results(run)
    assert resume(run) == 0
    assert deaths.results(run) == before
