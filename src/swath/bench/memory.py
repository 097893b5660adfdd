"""The most memory that one pass needs beyond the loaded network.

On a GPU torch counts it. On a CPU nobody does: tracemalloc sees Python's objects only, torch's profiler not what oneDNN
or ONNX Runtime allocate. So a fresh process loads the network, notes its resident memory, does one pass (pixels to
labels) and asks the system for the highest resident memory in between. A fresh one, because memory that an earlier pass
has freed stays resident and would be used again unseen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def peak_memory(target: str, settings: dict[str, Any]) -> int | None:
    """Bytes, measured in a process of its own; None where the system does not tell (only Linux does so exactly)."""
    if not _STATUS.exists():
        return None
    question = json.dumps({"target": target, **settings})
    answer = subprocess.run(
        [sys.executable, "-m", "swath.bench.memory"], input=question, capture_output=True, text=True, check=False
    )
    try:
        return int(json.loads(answer.stdout.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        return None


def _measure(
    target: str,
    size: tuple[int, int],
    batch: int,
    num_classes: int,
    device: str,
    dtype: str,
    threads: int,
    engine: str | None = None,
    seen: tuple[int, int] | None = None,
    options: dict[str, Any] | None = None,
) -> int:
    from swath.bench.targets import open_target

    torch.set_num_threads(threads)
    asked = {"num_classes": num_classes, "device": device, "dtype": dtype, "options": options}
    seen = (seen[0], seen[1]) if seen else None  # JSON knows no tuples
    segmenter = open_target(target, engine, seen=seen, **asked).segmenter
    pixels = torch.randint(0, 256, (batch, *size, segmenter.description.channels), dtype=torch.uint8)
    small = (1, *(segmenter.description.shape or segmenter.description.min_size), segmenter.description.channels)
    segmenter.labels(torch.zeros(small, dtype=torch.uint8))  # code and thread pools are loaded at the first pass
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        segmenter.labels(pixels)
        return int(torch.cuda.max_memory_allocated(device)) - before
    before = _kilobytes("VmRSS")
    _CLEAR.write_text("5")  # start the high-water mark anew
    segmenter.labels(pixels)
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(entry: str) -> int:
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(entry + ":"))


if __name__ == "__main__":
    print(json.dumps(_measure(**json.loads(sys.stdin.read()))))
