"""The pipeline: every stage has a thread of its own, so that a frame is decoded while others are segmented and written.

OpenCV, torch and numpy let go of Python's lock while they work, so threads are enough. Between two stages lie two
frames at most: memory does not grow with the length of the video.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from torch import Tensor

from swath.inference.segmentation import Segmentation
from swath.inference.streams.budget import Budget
from swath.inference.streams.frame import Array, Frame, Source
from swath.inference.streams.lane import Ended, Lane

ROOM = 2  # frames between two stages
_LOOK = 0.1  # seconds between two looks at whether to stop
_GRACE = 2.0  # seconds for threads to end; a camera that hangs in its driver is left behind


@dataclass(eq=False)
class Work:
    """A frame on its way, with what the stages have made of it."""

    frame: Frame
    spent: float = 0.0  # seconds of work, without waiting
    pixels: Tensor | None = None  # as the network takes them
    answer: Tensor | None = None  # of the network
    result: Segmentation | None = None
    drawn: dict[str, Array] = field(default_factory=dict)  # kind of picture -> RGB


Stage = tuple[str, Callable[[Work], None]]


class Pipeline:
    """Iterate to let every frame of `source` pass the stages, in order; each stage's seconds go to `budget`.

    Files keep every frame: who is faster waits. Live sources keep the newest: what the first stage is too slow for is
    dropped before it cost anything, and counted. When a stage fails, what is already behind it is still delivered,
    then its exception is raised. Once `stopping` is set (a signal's handler may do that) nothing more is read, and
    frames on their way are still delivered.
    """

    def __init__(
        self, source: Source, stages: Sequence[Stage], budget: Budget, stopping: threading.Event | None = None
    ):
        self.source = source
        self.budget = budget
        self.stages = stages
        self._lanes: list[Lane[Work]] = [Lane(1, newest=True) if source.live else Lane(ROOM)]
        self._lanes += [Lane(1 if source.live else ROOM) for _ in stages]
        self._failure: BaseException | None = None
        self._stopping = stopping or threading.Event()

    @property
    def dropped(self) -> int:
        """Frames that came too fast."""
        return self._lanes[0].dropped

    def __iter__(self) -> Iterator[Work]:
        threads = [threading.Thread(target=self._read, name="swath-decode", daemon=True)]
        for place, stage in enumerate(self.stages):
            threads.append(
                threading.Thread(target=self._work, args=(place, *stage), name=f"swath-{stage[0]}", daemon=True)
            )
        self.budget.start()
        for thread in threads:
            thread.start()
        try:
            yield from self._results()
        finally:
            self.source.stop()
            for lane in self._lanes:
                lane.close()
            until = perf_counter() + _GRACE
            for thread in threads:
                thread.join(max(0.0, until - perf_counter()))
            self.budget.end()
        if self._failure:
            raise self._failure

    def _results(self) -> Iterator[Work]:
        stopped = False
        while True:
            if self._stopping.is_set() and not stopped:
                stopped = True
                self.source.stop()
                self._lanes[0].finish()
            try:
                work = self._lanes[-1].get(_LOOK)
            except TimeoutError:
                continue
            except Ended:
                return
            self.budget.frame(work.spent, perf_counter() - work.frame.since)
            yield work

    def _read(self) -> None:
        lane = self._lanes[0]
        try:
            for frame in self.source:
                self.budget.add("decode", frame.seconds)
                if not lane.put(Work(frame, frame.seconds)):
                    break
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            lane.finish()

    def _work(self, place: int, name: str, work_on: Callable[[Work], None]) -> None:
        before, after = self._lanes[place], self._lanes[place + 1]
        try:
            while True:
                work = before.get()
                start = perf_counter()
                work_on(work)
                seconds = perf_counter() - start
                work.spent += seconds
                self.budget.add(name, seconds)
                if not after.put(work):
                    break
        except Ended:
            pass
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            # Whoever gives to this stage stops, back to the source; whoever takes from it finishes what is there.
            before.close()
            after.finish()
