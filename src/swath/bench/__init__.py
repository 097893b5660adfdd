"""How fast a network is, measured so that somebody else gets the same figures."""

from __future__ import annotations

from swath.bench.macs import macs
from swath.bench.run import Result, Settings, benchmark
from swath.bench.timing import Latency

__all__ = ["Latency", "Result", "Settings", "benchmark", "macs"]
