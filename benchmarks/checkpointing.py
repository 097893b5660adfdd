"""What activation checkpointing saves on LightNet networks: memory held for the backward pass, and its price in time.

    python benchmarks/checkpointing.py [NETWORK ...]     writes benchmarks/checkpointing.md

One training step, float32 on the CPU, batch 2 of 256 x 512, in the same process with and without. "peak" is the most
memory that the process held during the step beyond what it held before; times are medians of three steps.
Scratch memory of convolutions counts too and differs with the threads, and so does the ratio: one thread gave
0.79, 0.80, 0.81 at this size.
"""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from pathlib import Path

import torch

import swath

NETWORKS = ("mixscale_densenet", "mobilenetv2plus", "rf_shufflenetplus")


def step(model: torch.nn.Module, pictures: torch.Tensor) -> None:
    torch.stack([output.square().mean() for output in model(pictures)]).sum().backward()


def peak(model: torch.nn.Module, pictures: torch.Tensor) -> float:
    """MiB of the process beyond what it held before the step (Linux keeps the high-water mark)."""
    model.zero_grad()
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else freed memory, still the process's own, would hide the step's
    Path("/proc/self/clear_refs").write_text("5")  # the mark starts anew
    before = status("VmRSS")
    step(model, pictures)
    return (status("VmHWM") - before) / 1024


def status(entry: str) -> int:
    """Kilobytes from the system's record of this process."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(entry))
    return int(line.split()[1])


def seconds(model: torch.nn.Module, pictures: torch.Tensor) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        step(model, pictures)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main(names: list[str]) -> None:
    torch.set_num_threads(2)
    pictures = torch.randn(2, 3, 256, 512)
    lines = [
        "# Activation checkpointing",
        "",
        "`python benchmarks/checkpointing.py`: one training step, batch 2 of 512x256, float32, two CPU threads, "
        f"torch {torch.__version__}.",
        "",
        "| network | peak, MiB | checkpointed | ratio | step, s | checkpointed | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names or NETWORKS:
        figures = []
        for checkpointing in (False, True):
            torch.manual_seed(0)
            model = swath.create_model(name, checkpointing=checkpointing).train()
            step(model, pictures)
            figures.append((peak(model, pictures), seconds(model, pictures)))
        (m0, s0), (m1, s1) = figures
        row = f"| {name} | {m0:.0f} | {m1:.0f} | {m1 / m0:.2f} | {s0:.2f} | {s1:.2f} | {s1 / s0:.2f} |"
        print(row)
        lines.append(row)
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
