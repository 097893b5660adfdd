"""Packing: parts are written by all processors, each whole or not at all, and what lists them last."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from swath.data.packed.manifest import NAME, Manifest, read_manifest, write_manifest
from swath.data.packed.part import ENDING, Read, write_part
from swath.data.packed.plan import Job, Plan, SplitPlan, described
from swath.errors import SwathError
from swath.files import make_folder, write_error

_BUSY = ".packing"  # who packs into this folder just now
_begun: tuple[Path, Mapping[str, SplitPlan]] | None = None  # of a worker process


def pack(plan: Plan, jobs: int | None = None, told: Callable[[int], None] | None = None) -> Manifest:
    """Write what is missing, with `jobs` processes (all processors); `told` hears how many pictures were written."""
    plan.check_room()
    make_folder(plan.out)
    with _alone(plan.out):
        _remove(plan.out, lambda name: name.startswith(".") and name.endswith((ENDING, ".json")))
        jobs = min(jobs or os.cpu_count() or 1, max(len(plan.todo), 1))
        done = 0
        for count in _here(plan) if jobs == 1 else _in_processes(plan, jobs):
            done += count
            if told:
                told(done)
        splits = dict(plan.old.splits) if plan.old else {}
        splits |= {each.name: each.finished(plan.out) for each in plan.splits}
        write_manifest(plan.out, Manifest(plan.card.name, tuple(plan.card.class_names), splits))
        named = {part.file for split in splits.values() for part in split.parts}
        _remove(plan.out, lambda name: name.endswith(ENDING) and name not in named)
    return read_manifest(plan.out)


def _here(plan: Plan) -> Iterator[int]:
    splits = {each.name: each for each in plan.splits}
    for name, job in plan.todo:
        yield _write(plan.out, splits[name], job)


def _in_processes(plan: Plan, jobs: int) -> Iterator[int]:
    # Not fork: a copy of a process that runs threads (OpenCV, the progress bar) can stand still for ever.
    how = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(how)
    if how == "forkserver":
        context.set_forkserver_preload([__name__])
    splits = {each.name: each for each in plan.splits}
    with ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(plan.out, splits)) as pool:
        try:
            for future in as_completed([pool.submit(_work, name, job) for name, job in plan.todo]):
                yield future.result()
        except BrokenProcessPool as error:
            raise SwathError(
                "a process that packed was killed, probably because the memory is full; run it again with fewer of "
                "them (--jobs 1): what is packed already is not packed again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(out: Path, splits: Mapping[str, SplitPlan]) -> None:
    """Once in each worker: one thread, and no life of its own. Ctrl-C is for the main process."""
    global _begun
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _begun = (out, splits)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # it was killed: nobody waits for what is written here


def _work(name: str, job: Job) -> int:
    assert _begun is not None
    out, splits = _begun
    return _write(out, splits[name], job)


def _write(out: Path, split: SplitPlan, job: Job) -> int:
    def pictures() -> Iterator[Read]:
        for index, files in described(job, split):
            yield split.source.name(index), files, split.read(index)

    write_part(out / job.file, split.kinds, pictures())
    return len(job.indices)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One packing at a time in a folder: a second would take away what the first has begun."""
    path = out / _BUSY
    me = f"{socket.gethostname()} {os.getpid()}"
    with contextlib.suppress(OSError, ValueError):
        host, number = path.read_text().split()
        if host == socket.gethostname() and int(number) != os.getpid() and _lives(int(number)):
            raise SwathError(f"{out}: is being packed into by process {number}; wait for it, or delete {path}")
    try:
        path.write_text(me)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(out: Path, wanted: Callable[[str], bool]) -> None:
    for path in out.iterdir():
        if wanted(path.name) and path.name != NAME:
            path.unlink(missing_ok=True)
