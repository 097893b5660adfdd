"""Times of single calls, waited for, and what to say about them."""

from __future__ import annotations

import gc
from collections.abc import Callable
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


def measure(call: Callable[[], object], iterations: int, warmup: int, device: str) -> list[float]:
    """Milliseconds of each of `iterations` calls after `warmup` unmeasured ones. Every call is waited for."""
    wait = synchroniser(device)
    for _ in range(warmup):
        call()
    wait()
    gc.collect()
    times = []
    for _ in range(iterations):
        start = perf_counter_ns()
        call()
        wait()
        times.append((perf_counter_ns() - start) / 1e6)
    return times


def synchroniser(device: str) -> Callable[[], None]:
    """Waits until the device has done what it was given."""
    kind = torch.device(device).type
    if kind == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if kind == "mps":
        return torch.mps.synchronize
    return lambda: None
