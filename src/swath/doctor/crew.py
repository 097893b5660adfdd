"""Worker processes that examine pairs, one thread each, and hand back their probes as they come."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from swath.data.pairs import Pair
from swath.doctor.examine import Examiner, Probe, Set, printed
from swath.errors import SwathError

Job = tuple[str, int, Pair]  # split, index in it, files

_CHUNK = 8
_AHEAD = 3  # chunks that wait for each worker
_examiner: Examiner | None = None  # of this worker


def probes(what: Set, jobs: Sequence[Job], workers: int) -> Iterator[Probe]:
    """Probes of all jobs, in the order in which they are done."""
    chunks = [jobs[at : at + _CHUNK] for at in range(0, len(jobs), _CHUNK)]
    workers = max(1, min(workers, len(chunks)))
    # Not fork: a copy of a process that runs threads (torch, OpenCV) can stand still for ever.
    how = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(how)
    if how == "forkserver":
        context.set_forkserver_preload(["swath.doctor.examine"])
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(what,)) as pool:
        waiting: set[Future[list[Probe]]] = set()
        rest = iter(chunks)
        try:
            while True:
                for chunk in rest:
                    waiting.add(pool.submit(_work, chunk))
                    if len(waiting) >= workers * _AHEAD:
                        break
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        except BrokenProcessPool as error:
            raise SwathError(
                "a worker process ended by itself: the memory is full (use fewer of them: --jobs 1), "
                'or a script calls check() without `if __name__ == "__main__":` before it'
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _begin(what: Set) -> None:
    """Once in each worker: one thread, and the decoders' complaints into a file that can be read."""
    import cv2

    global _examiner
    cv2.setNumThreads(0)
    noise = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
    os.dup2(noise.fileno(), 2)
    _examiner = Examiner(what, printed(2))


def _work(chunk: Sequence[Job]) -> list[Probe]:
    assert _examiner is not None
    return [_examiner.examine(*job) for job in chunk]
