"""Where the time of a frame goes: percentiles of every stage, in memory that does not grow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

STAGES = ("decode", "pre", "network", "finish", "draw", "encode")
_LEAST = 1e-6  # seconds; the histogram begins here
_STEP = math.log(1.01)  # its bins are one per cent wide
_BINS = 2000  # up to some minutes


@dataclass(frozen=True)
class Line:
    """One line of the table, in seconds."""

    name: str
    mean: float
    p50: float
    p90: float
    p99: float
    max: float
    late: float | None  # the share beyond the deadline


class Times:
    """How long something took, many times over: a histogram, exact to one per cent; its mean and maximum are exact."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.max = 0.0
        self.late = 0
        self._bins = np.zeros(_BINS, np.int64)

    def add(self, seconds: float, deadline: float | None) -> None:
        place = int(math.log(max(seconds, _LEAST) / _LEAST) / _STEP)
        self._bins[min(place, _BINS - 1)] += 1
        self.count += 1
        self.sum += seconds
        self.max = max(self.max, seconds)
        self.late += deadline is not None and seconds > deadline

    def percentile(self, percent: float) -> float:
        """Seconds that so many of a hundred do not exceed (the middle of their bin)."""
        place = int(np.searchsorted(np.cumsum(self._bins), max(1.0, percent / 100 * self.count)))
        return min(self.max, _LEAST * math.exp((place + 0.5) * _STEP))


class Budget:
    """Times of stages, whole frames and, of live sources, from the camera to the result. `deadline` in seconds."""

    def __init__(self, deadline: float | None = None):
        self.deadline = deadline
        self.frames = 0
        self._stages: dict[str, Times] = {}  # each is written by one thread only
        self._whole, self._latency = Times(), Times()
        self._start = self._end = perf_counter()

    def start(self) -> None:
        self._start = perf_counter()

    def end(self) -> None:
        self._end = perf_counter()

    def add(self, stage: str, seconds: float) -> None:
        self._stages.setdefault(stage, Times()).add(seconds, self.deadline)

    def frame(self, spent: float, latency: float) -> None:
        """A frame has come out."""
        self.frames += 1
        self._whole.add(spent, self.deadline)
        self._latency.add(latency, self.deadline)

    def elapsed(self) -> float:
        """Seconds since the start, while it runs."""
        return perf_counter() - self._start

    @property
    def seconds(self) -> float:
        """From the start to the end."""
        return self._end - self._start

    @property
    def rate(self) -> float:
        """Frames a second that came out."""
        return self.frames / self.seconds if self.seconds else 0.0

    def slowest(self) -> Line | None:
        """The stage that takes longest, which no pipeline can be faster than."""
        return max(self.stages(), key=lambda line: line.mean, default=None)

    def stages(self) -> list[Line]:
        known = [name for name in STAGES if name in self._stages]
        known += [name for name in list(self._stages) if name not in STAGES]
        return [self._line(name, self._stages[name]) for name in known]

    def whole(self) -> Line:
        """The work on a frame, all stages together."""
        return self._line("all together", self._whole)

    def latency(self) -> Line:
        """From the moment a frame was there to the moment its result was."""
        return self._line("latency", self._latency)

    def as_dict(self) -> dict[str, Any]:
        """Milliseconds, for JSON."""
        lines = [*self.stages(), self.whole(), self.latency()]
        table = {
            line.name: {
                **{f"{key}_ms": round(1000 * getattr(line, key), 4) for key in ("mean", "p50", "p90", "p99", "max")},
                "late": line.late,
            }
            for line in lines
        }
        deadline = None if self.deadline is None else 1000 * self.deadline
        return {"frames": self.frames, "frames_per_second": self.rate, "deadline_ms": deadline, "times": table}

    def _line(self, name: str, times: Times) -> Line:
        if not times.count:
            return Line(name, 0.0, 0.0, 0.0, 0.0, 0.0, None)
        late = None if self.deadline is None else times.late / times.count
        p50, p90, p99 = (times.percentile(each) for each in (50, 90, 99))
        return Line(name, times.sum / times.count, p50, p90, p99, times.max, late)
