"""Deaths of a training at chosen moments, in forked processes, and what is left of the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from swath.training import checkpoint, loop, resume, scoring, start

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


def whole(recipe: Path, run: Path) -> dict[str, bytes]:
    """What an undisturbed run leaves."""
    assert start(str(recipe), out=run) == 0
    return results(run)


def killed_and_resumed(recipe: Path, run: Path, moment: Callable[[int], None], number: int) -> dict[str, bytes]:
    """What is left of a run that dies when `moment` comes for the given time, and is resumed."""
    killed(lambda: start(str(recipe), out=run), moment, number)
    assert in_child(lambda: resume(run)) == 0
    return results(run)


def killed(work: Callable[[], int], moment: Callable[[int], None], number: int) -> None:
    """Do `work` in a process that dies at the moment."""

    def doomed() -> int:
        moment(number)
        return work()

    assert in_child(doomed) == KILLED


def before_optimiser_step(number: int) -> None:
    inner, seen = loop.Finite.see, []

    def see(self: loop.Finite, *rest: object) -> None:
        seen.append(1)
        if len(seen) == number:
            die()
        inner(self, *rest)  # type: ignore[arg-type]

    loop.Finite.see = see  # type: ignore[method-assign,assignment]


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
    inner = scoring.evaluate

    def evaluate(model, source, watch):  # type: ignore[no-untyped-def]
        def watched(done: int, total: int, counts: object) -> None:
            seen.append(1)
            if len(seen) == number:
                die()
            watch(done, total, counts)

        return inner(model, source, watch=watched)

    scoring.evaluate = evaluate


def after_best_weights(number: int) -> None:
    seen: list[int] = []
    inner = loop.save_weights

    def save(*rest: object, **more: object) -> None:
        inner(*rest, **more)  # type: ignore[arg-type]
        seen.append(1)
        if len(seen) == number:
            die()

    loop.save_weights = save
