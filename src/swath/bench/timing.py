"""Times of single calls, waited for, and what to say about them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
import torch


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call (a batch), and pictures a second."""

    mean: float
    std: float
    min: float
    p50: float
    p90: float
    p99: float
    max: float
    throughput: float

    @classmethod
    def of(cls, milliseconds: list[float], batch: int = 1) -> Latency:
        times = np.asarray(milliseconds)
        p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
        mean = float(times.mean())
        low, high = float(times.min()), float(times.max())
        return cls(mean, float(times.std()), low, p50, p90, p99, high, 1000 * batch / mean)


_ROUNDS = 10


def measure(
    call: Callable[[], object], iterations: int, warmup: int, device: str, watch: Callable[[], None] = lambda: None
) -> list[float]:
    """Milliseconds of each of `iterations` calls after `warmup` unmeasured ones. Every call is waited for."""
    (times,) = in_turns([call], iterations, warmup, device, watch)
    return times


def in_turns(
    calls: Sequence[Callable[[], object]],
    iterations: int,
    warmup: int,
    device: str,
    watch: Callable[[], None] = lambda: None,
) -> list[list[float]]:
    """The same for several calls side by side: they take turns, so that what else the machine does hits all alike. A
    turn begins with a call that is not counted, because the others have emptied the caches."""
    wait = synchroniser(device)
    gc.collect()
    for call in calls:
        for _ in range(warmup):
            call()
    wait()
    times: list[list[float]] = [[] for _ in calls]
    rounds = min(_ROUNDS, iterations) if len(calls) > 1 else 1
    for turn in range(rounds):
        count = iterations * (turn + 1) // rounds - iterations * turn // rounds
        for place in range(len(calls)):
            index = (place + turn) % len(calls)  # nobody is always first
            if len(calls) > 1:
                calls[index]()
                wait()
            for _ in range(count):
                start = perf_counter_ns()
                calls[index]()
                wait()
                times[index].append((perf_counter_ns() - start) / 1e6)
                watch()
    return times


def synchroniser(device: str) -> Callable[[], None]:
    """Waits until the device has done what it was given."""
    kind = torch.device(device).type
    if kind == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if kind == "mps":
        return torch.mps.synchronize
    return lambda: None
