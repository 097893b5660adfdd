"""What a recipe leaves to the machine: device, threads, workers. The choices are written into the run's config.yaml."""

from __future__ import annotations

import os

import torch

from swath.errors import SwathError
from swath.training.config import Recipe


def settle(recipe: Recipe) -> None:
    """Fill what is left open, and refuse a device that is not there."""
    if recipe.device == "auto":
        recipe.device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=recipe.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SwathError(
            f"device '{recipe.device}' cannot be used ({str(error).splitlines()[0]}); try --device cpu"
        ) from error
    for stage in recipe.stages:
        stage.amp = recipe.device != "cpu" if stage.amp is None else stage.amp
    cores = available_cores()
    if recipe.threads is None:
        recipe.threads = min(cores, torch.get_num_threads())
    if recipe.data.workers is None:
        recipe.data.workers = default_workers(recipe.device, cores, recipe.data.cache)


def default_workers(device: str, cores: int, cached: bool) -> int:
    """A GPU wants to be fed. On the CPU the network needs all cores; some for the data only where there are many."""
    if device != "cpu":
        return min(8, max(1, cores - 1))
    return 0 if cached or cores <= 2 else 2


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
