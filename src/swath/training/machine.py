"""What a recipe leaves to the machine: device, threads, workers. The choices are written into the run's config.yaml."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from collections.abc import Iterator

import torch

from swath.errors import SwathError
from swath.training.config import Recipe

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h


def settle(recipe: Recipe, neighbours: int = 1) -> None:
    """Fill what is left open, and refuse a device that is not there; `neighbours`: processes that share the machine."""
    if recipe.device == "auto":
        recipe.device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=recipe.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SwathError(
            f"device '{recipe.device}' cannot be used ({str(error).splitlines()[0]}); try --device cpu"
        ) from error
    for stage in recipe.stages:
        if stage.amp is None:
            stage.amp = recipe.device != "cpu" and stage.quantise is None
        if stage.graphs and not recipe.device.startswith("cuda"):
            raise SwathError(
                f"stage '{stage.name}': graphs needs a CUDA GPU, and this run is on {recipe.device}; --graphs false"
            )
    cores = max(1, available_cores() // neighbours)
    if recipe.threads is None:
        recipe.threads = min(cores, torch.get_num_threads())
    for data in recipe.all_data():
        if data.workers is None:
            data.workers = default_workers(recipe.device, cores, data.cache)


def default_workers(device: str, cores: int, cached: bool) -> int:
    """A GPU wants to be fed. On the CPU the network needs all cores; some for the data only where there are many."""
    if device != "cpu":
        return min(8, max(1, cores - 1))
    return 0 if cached or cores <= 2 else 2


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def kept_memory() -> Iterator[bool]:
    """Within, the process keeps the memory that it frees, and gives it back at the end. Each iteration on the CPU takes
    and frees the same blocks, and the system would clear them anew, page by page: up to half of an iteration
    (benchmarks/training.md). Only glibc can be told so; False where nothing changes."""
    if platform.libc_ver()[0] != "glibc":
        yield False
        return
    libc = ctypes.CDLL(None)
    told = libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield bool(told)
    finally:
        libc.mallopt(_MMAP_MAX, 65536)  # as glibc begins
        libc.mallopt(_TRIM_THRESHOLD, 128 * 1024)
        libc.malloc_trim(0)
