"""What a service counts, in the text format that Prometheus reads."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)
STAGES = ("read", "decode", "wait", "network", "encode", "total")


class _Histogram:
    def __init__(self, bounds: Sequence[float]):
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: str = "") -> list[str]:
        comma = "," if labels else ""
        buckets = zip([*map(str, self.bounds), "+Inf"], accumulate(self.counts))
        ending = f"{{{labels}}}" if labels else ""
        return [
            *(f'{name}_bucket{{{labels}{comma}le="{bound}"}} {count}' for bound, count in buckets),
            f"{name}_sum{ending} {self.sum:.6f}",
            f"{name}_count{ending} {sum(self.counts)}",
        ]


class Metrics:
    """Counted from the event loop and from the network's thread alike."""

    def __init__(self, facts: dict[str, str], gauges: dict[str, tuple[str, Callable[[], float]]] | None = None):
        self.facts = facts
        self.gauges = gauges or {}  # name -> what it is, and how to ask for it
        self.started = time.time()
        self.lock = threading.Lock()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.cut: Counter[str] = Counter()
        self.stages = {name: _Histogram(_SECONDS) for name in STAGES}
        self.batches = _Histogram(_PICTURES)

    def request(self, path: str, status: int, seconds: float) -> None:
        with self.lock:
            self.requests[path, status] += 1
            if path == "/segment":
                self.stages["total"].add(seconds)

    def stage(self, name: str, seconds: float) -> None:
        with self.lock:
            self.stages[name].add(seconds)

    def batch(self, pictures: int) -> None:
        with self.lock:
            self.batches.add(pictures)

    def connection_cut(self, reason: str) -> None:
        with self.lock:
            self.cut[reason] += 1

    def text(self) -> str:
        with self.lock:
            lines = [*_head("swath_info", "gauge", "what runs here"), f"swath_info{{{_labels(self.facts)}}} 1"]
            lines += _head("swath_requests_total", "counter", "answered requests")
            for (path, status), count in sorted(self.requests.items()):
                lines.append(f'swath_requests_total{{path="{path}",status="{status}"}} {count}')
            lines += _head("swath_connections_cut_total", "counter", "connections of clients too slow or too many")
            for reason, count in sorted(self.cut.items()):
                lines.append(f'swath_connections_cut_total{{reason="{reason}"}} {count}')
            lines += _head("swath_stage_seconds", "histogram", "time of each stage of /segment")
            for name, histogram in self.stages.items():
                lines += histogram.lines("swath_stage_seconds", f'stage="{name}"')
            lines += _head("swath_batch_pictures", "histogram", "pictures that went through the network together")
            lines += self.batches.lines("swath_batch_pictures")
        for name, (about, ask) in self.gauges.items():
            lines += [*_head(name, "gauge", about), f"{name} {ask():g}"]
        lines += _head("process_start_time_seconds", "gauge", "seconds since 1970")
        lines.append(f"process_start_time_seconds {self.started:.2f}")
        resident = resident_bytes()
        if resident is not None:
            lines += _head("process_resident_memory_bytes", "gauge", "memory that the process holds")
            lines.append(f"process_resident_memory_bytes {resident}")
        return "\n".join(lines) + "\n"


def resident_bytes() -> int | None:
    """Memory of this process; only Linux says it without help."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _labels(entries: dict[str, str]) -> str:
    escaped = {key: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", " ") for key, value in entries.items()}
    return ",".join(f'{key}="{value}"' for key, value in escaped.items())
