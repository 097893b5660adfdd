"""One thread owns the network; pictures of one size that wait together go through it together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from swath.errors import SwathError
from swath.inference import Answer, Segmenter
from swath.serve.limits import Limits
from swath.serve.metrics import Metrics

Array = NDArray[np.uint8]
LOG = logging.getLogger("swath.serve")


@dataclass(eq=False)
class _Job:
    image: Array
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]
    arrived: float = field(default_factory=perf_counter)


class Batcher:
    """`answer` may be awaited by many; whoever is cancelled while waiting leaves the queue."""

    def __init__(self, segmenter: Segmenter, limits: Limits, metrics: Metrics):
        self.segmenter = segmenter
        self.limits = limits
        self.metrics = metrics
        self.waiting: deque[_Job] = deque()
        self.changed = threading.Condition()
        self.closing = False
        self.thread = threading.Thread(target=self._work, name="network", daemon=True)
        self.thread.start()

    async def answer(self, image: Array) -> Answer:
        loop = asyncio.get_running_loop()
        job = _Job(image, loop, loop.create_future())
        with self.changed:
            self.waiting.append(job)
            self.changed.notify()
        try:
            return await job.answer
        finally:
            if job.answer.cancelled():
                with self.changed, contextlib.suppress(ValueError):  # it may be in the network already
                    self.waiting.remove(job)

    def close(self, seconds: float) -> bool:
        """Finish what waits; whether that was done in time."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def _work(self) -> None:
        while jobs := self._next():
            now = perf_counter()
            for job in jobs:
                self.metrics.stage("wait", now - job.arrived)
            self.metrics.batch(len(jobs))
            self._run(jobs)
            self.metrics.stage("network", perf_counter() - now)
            del jobs  # else the pictures would stay until the next batch comes

    def _next(self) -> list[_Job]:
        """The oldest picture and those of its size, once they are enough or it has waited long; at the end none."""
        with self.changed:
            while True:
                if not self.waiting:
                    if self.closing:
                        return []
                    self.changed.wait()
                    continue
                first = self.waiting[0]
                most = max(1, min(self.limits.batch, self.limits.pixels // self._pixels(first.image)))
                same = [job for job in self.waiting if job.image.shape == first.image.shape][:most]
                left = first.arrived + self.limits.wait - perf_counter()
                if len(same) == most or left <= 0 or self.closing:
                    for job in same:
                        self.waiting.remove(job)
                    return same
                self.changed.wait(left)

    def _pixels(self, image: Array) -> int:
        """How many the network sees of a picture at once, at the least its own."""
        height, width = image.shape[:2]
        own: int = height * width
        try:
            return max(own, *(rows * columns for rows, columns in self.segmenter.views.sizes(height, width)))
        except SwathError:  # it is told when its turn comes
            return own

    def _run(self, jobs: Sequence[_Job]) -> None:
        try:
            answers = self.segmenter.answers([job.image for job in jobs], self.segmenter.unsure is not None)
        except Exception as error:
            if len(jobs) > 1:  # not all engines take several pictures at once, nor has every machine the memory for it
                for job in jobs:
                    self._run([job])
                return
            if not isinstance(error, SwathError):
                LOG.exception("the network failed")
            _tell(jobs[0], error)
            return
        for job, answer in zip(jobs, answers):
            _tell(job, answer)


def _tell(job: _Job, result: Answer | Exception) -> None:
    def settle() -> None:
        if job.answer.done():
            return
        if isinstance(result, Exception):
            job.answer.set_exception(result)
        else:
            job.answer.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        job.loop.call_soon_threadsafe(settle)


class Budget:
    """So many pixels may be held at once; others wait their turn, first come, first served."""

    def __init__(self, total: int):
        self.free = total
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((amount, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self.free += amount
            self._admit()

    def _admit(self) -> None:
        while self.waiting and (self.waiting[0][1].cancelled() or self.waiting[0][0] <= self.free):
            amount, turn = self.waiting.popleft()
            if not turn.cancelled():
                self.free -= amount
                turn.set_result(None)
