"""A run that dies at any moment and is resumed ends with the bits of one that did not."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from swath.training import checkpoint, loop, resume, start

KILLED = -signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], int]) -> int | None:
    """The exit status of `work` in a forked process, which has torch loaded already."""

    def body() -> None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        torch.set_num_threads(1)
        os._exit(work())

    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    process.join(120)
    return process.exitcode


def results(run: Path) -> dict[str, bytes]:
    return {
        name: (run / name).read_bytes() for name in ("last.safetensors", "best.safetensors", "metrics.csv", "steps.csv")
    }


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert start(str(shapes / "tiny.yaml"), out=run) == 0
    return results(run)


def before_optimiser_step(number: int) -> None:
    inner, seen = loop.FiniteLoss.see, []

    def see(self: loop.FiniteLoss, *rest: object) -> None:
        seen.append(1)
        if len(seen) == number:
            die()
        inner(self, *rest)  # type: ignore[arg-type]

    loop.FiniteLoss.see = see  # type: ignore[method-assign,assignment]


def while_writing_checkpoint(number: int) -> None:
    """Half of the bytes are in the temporary file, nothing is in its place."""
    inner, seen = checkpoint.atomic_write, []

    class Half:
        def __init__(self, file: object):
            self.file = file

        def write(self, data: memoryview) -> None:
            self.file.write(data[: len(data) // 2])  # type: ignore[attr-defined]
            self.file.flush()  # type: ignore[attr-defined]
            die()

    from contextlib import contextmanager

    @contextmanager
    def write(path: Path):  # type: ignore[no-untyped-def]
        seen.append(1)
        with inner(path) as file:
            yield Half(file) if len(seen) == number else file

    checkpoint.atomic_write = write


def between_checkpoint_and_tables(number: int) -> None:
    seen: list[int] = []
    inner = loop.Journal.write

    def write(self: loop.Journal) -> None:
        seen.append(1)
        if len(seen) == number:
            die()
        inner(self)

    loop.Journal.write = write  # type: ignore[method-assign]


def in_validation(number: int) -> None:
    seen: list[int] = []
    inner = loop.evaluate

    def evaluate(model, source, watch):  # type: ignore[no-untyped-def]
        def watched(done: int, total: int, counts: object) -> None:
            seen.append(1)
            if len(seen) == number:
                die()
            watch(done, total, counts)

        return inner(model, source, watch=watched)

    loop.evaluate = evaluate


def after_best_weights(number: int) -> None:
    seen: list[int] = []
    inner = loop.save_weights

    def save(*rest: object, **more: object) -> None:
        inner(*rest, **more)  # type: ignore[arg-type]
        seen.append(1)
        if len(seen) == number:
            die()

    loop.save_weights = save


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (before_optimiser_step, 1),
        (before_optimiser_step, 6),
        (before_optimiser_step, 12),
        (while_writing_checkpoint, 3),
        (between_checkpoint_and_tables, 4),
        (in_validation, 5),
        (in_validation, 12),
        (after_best_weights, 1),
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

    def doomed() -> int:
        moment(number)
        return start(str(shapes / "tiny.yaml"), out=run)

    assert in_child(doomed) == KILLED
    assert in_child(lambda: resume(run)) == 0
    assert results(run) == undisturbed
    assert not list((run / "checkpoints").glob(".*")), "what an interrupted write left is cleared away"


def test_killed_again_and_again_and_with_other_workers(
    shapes: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """Three deaths, and a resume with two worker processes."""
    run = tmp_path / "run"

    def doomed(work: Callable[[], int]) -> Callable[[], int]:
        def body() -> int:
            before_optimiser_step(4)
            return work()

        return body

    assert in_child(doomed(lambda: start(str(shapes / "tiny.yaml"), out=run))) == KILLED
    for _ in range(2):
        assert in_child(doomed(lambda: resume(run))) == KILLED
    assert in_child(lambda: resume(run, [("data.workers", ["2"])])) == 0
    assert results(run) == undisturbed


def test_damaged_checkpoint_is_passed_over(
    shapes: Path, tmp_path: Path, undisturbed: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def doomed() -> int:
        before_optimiser_step(10)
        return start(str(shapes / "tiny.yaml"), out=run)

    assert in_child(doomed) == KILLED
    newest = checkpoint.checkpoints(run / "checkpoints")[0]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert resume(run) == 0
    shown = capsys.readouterr().out.replace("\n", "")
    assert f"{newest.name}: is damaged" in shown and "passed over" in shown
    assert results(run) == undisturbed


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
    assert results(run) == undisturbed


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert start(str(shapes / "tiny.yaml"), [("epochs", ["1"])], out=run) == 0
    before = results(run)
    assert resume(run) == 0
    assert results(run) == before
