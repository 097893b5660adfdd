"""Sums over the processes of torch.distributed (`torchrun`), exact for whole numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch
import torch.distributed as dist

from swath.errors import SwathError

Shard = tuple[int, int]  # (rank, world): this process takes every world-th picture, from `rank` on


def sum_over_processes(*arrays: npt.NDArray[Any]) -> None:
    """Replace each array by its sum over all processes; all of them must call this, with arrays of the same shapes."""
    if not (dist.is_available() and dist.is_initialized()):
        raise SwathError("there are no other processes to add up with; start them with torchrun, or leave this out")
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    for array in arrays:
        tensor = torch.from_numpy(array).to(device)
        dist.all_reduce(tensor)
        array[...] = tensor.cpu().numpy()


@contextmanager
def torchrun(device: str) -> Iterator[tuple[Shard | None, str]]:
    """The share and the device of this process: as torchrun says, or None and the device as it is without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield None, device
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield (dist.get_rank(), world), device
    finally:
        dist.destroy_process_group()


def joined_up() -> bool:
    """Whether there are several processes that can add up their sums."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def check_shard(shard: Shard) -> Shard:
    """The share, unless there is no such."""
    rank, world = shard
    if not 0 <= rank < world:
        raise SwathError(f"shard ({rank}, {world}): the first number counts from 0 and stays below the second")
    return shard
