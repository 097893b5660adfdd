"""An archive of small pictures, and a cluster that is this process: actors one after the other, who may die."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest

import tiny
from swath.cluster import pipeline
from swath.cluster.archive import predict_archive
from swath.cluster.ledger import write_trouble
from swath.cluster.machine import Crew, Node, Trial
from swath.cluster.pipeline import Came
from swath.cluster.worker import Job, Worker
from swath.errors import SwathError

PICTURES = 21


class Death(BaseException):
    """The process is gone: nothing in it can hold this up."""


class Here:
    """What stands for Ray."""

    def __init__(self) -> None:
        self.passes = 0
        self.parts: list[int] = []  # that actors were given
        self.stop_after: int | None = None  # parts; then somebody presses Ctrl-C

    def put(self, job: Job) -> Job:
        return job

    @contextlib.contextmanager
    def connected(self, address: str | None) -> Iterator[Here]:
        yield self

    def nodes(self, ray: Here) -> list[Node]:
        return [Node(2, 0, 8e9)]

    def tried_out(self, ray: Here, job: Job, device: str, names: Sequence[str], batch: int | None) -> Trial:
        return Trial(tiny.NAMES, "torch", batch or 2, "not tried", int(1e9), 0.01)

    def run_pass(
        self, ray: Here, job: Job, batch: int, crew: Crew, listing: Any, numbers: Sequence[int]
    ) -> Iterator[Came]:
        self.passes += 1
        worker = Worker(job, batch, 1)
        left = list(numbers)
        while left:
            if self.stop_after == 0:
                raise KeyboardInterrupt
            if self.stop_after is not None:
                self.stop_after -= 1
            self.parts.append(left[0])
            try:
                yield Came(left[0], worker.part(listing.part(left[0])))
            except SwathError as error:
                yield Came(left[0], error=str(error))
            except (Death, RuntimeError) as error:  # the same part by another actor
                write_trouble(worker.place, str(error))
                continue
            left.pop(0)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    cluster = Here()
    for name in ("connected", "nodes", "tried_out", "run_pass"):
        monkeypatch.setattr(pipeline, name, getattr(cluster, name))
    return cluster


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """w.safetensors, and in/ with pictures in two folders, one of them broken."""
    fill(tmp_path, PICTURES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: Path, pictures: int) -> None:
    tiny.weights(folder / "w.safetensors")
    for index in range(pictures):
        file = folder / "in" / ("a", "b/c")[index % 2] / f"p{index:03}.{('png', 'jpg')[index % 3 == 0]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), tiny.picture(index % 5, 48 + 8 * (index % 2), 64)[:, :, ::-1])
    (folder / "in/a/broken.jpg").write_bytes(b"nothing")


def go(out: str = "out", kind: str = "png", **more: Any) -> Any:
    return predict_archive(
        "w.safetensors", "in", out, kind, **{"each": 4, "batch": 2, "tell": lambda line: None} | more
    )


def files(folder: str | Path) -> dict[str, bytes]:
    """What a person sees of the output."""
    root = Path(folder)
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith("_swath") and name != "summary.json"}
