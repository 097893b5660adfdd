"""How processes find each other, and part again: in order, or because one has died."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from swath.errors import SwathError
from swath.training.display import duration
from swath.training.distributed import ALONE, Processes, SaidElsewhere
from swath.training.launch import Place, find_place
from swath.training.lookout import Lookout

PATIENCE = timedelta(minutes=30)  # with a process that neither answers nor dies


@contextmanager
def join() -> Iterator[Processes]:
    """Find the other processes, if there are any, and part from them in order."""
    place = find_place()
    if place.world == 1:
        yield ALONE
        return
    processes = _meet(place)
    lookout = processes.lookout
    assert lookout
    said = True
    try:
        yield processes
        said = False
    except SaidElsewhere:
        raise
    except SwathError as error:
        if processes.leads:
            raise
        raise SwathError(f"process {place.rank} of {place.world}, on {socket.gethostname()}: {error}") from error
    except RuntimeError as error:
        if lookout.has_lost(seconds=5):
            processes.end()
        if any(word in str(error).lower() for word in ("timed out", "timeout")):
            waited = duration(PATIENCE.total_seconds())
            raise SwathError(f"a process has not answered for {waited}{processes.advice()}") from error
        raise
    finally:
        lookout.leave(said)
    dist.destroy_process_group()


def _meet(place: Place) -> Processes:
    os.environ.setdefault("MASTER_ADDR", place.address)
    os.environ.setdefault("MASTER_PORT", str(place.port))
    try:
        store = next(iter(rendezvous("env://", place.rank, place.world, timeout=PATIENCE)))[0]
        store = dist.PrefixStore(_gather_round(store, place), store)  # type: ignore[attr-defined]
        dist.init_process_group(_backend(), store=store, rank=place.rank, world_size=place.world, timeout=PATIENCE)
        processes = Processes(place)
        processes.hosts = processes.all(socket.gethostname())
        processes.lookout = Lookout(place.rank, place.world, place.address, processes.told)
    except (RuntimeError, ValueError) as error:
        raise SwathError(
            f"process {place.rank} of {place.world} does not find the others at {place.address}:{place.port} "
            f"({str(error).splitlines()[0]}); see that all are started and that no firewall is between"
        ) from error
    processes.lookout.on_loss = processes.end
    return processes


def _gather_round(store: Any, place: Place) -> str:
    """A word that the processes of this start alone have. torchrun starts workers anew on the store in which those that
    died have left their addresses, and says nowhere which start it is when machines come or go."""
    mine = secrets.token_hex(8)
    if place.rank:
        store.set(f"swath/hello/{place.rank}", mine)
        word: str = store.get(f"swath/answer/{mine}").decode()  # waits
        store.set(f"swath/heard/{word}/{place.rank}", "")
        return word
    missing = set(range(1, place.world))
    end = time.monotonic() + PATIENCE.total_seconds()
    while missing:
        for rank in sorted(missing):
            if store.check([f"swath/heard/{mine}/{rank}"]):
                missing.discard(rank)
            elif store.check([f"swath/hello/{rank}"]):
                store.set(f"swath/answer/{store.get(f'swath/hello/{rank}').decode()}", mine)
        if time.monotonic() > end:
            raise RuntimeError(f"{len(missing)} have not come")
        time.sleep(0.02)
    return mine


def _backend() -> str:
    """NCCL for what is on GPUs, gloo for all the rest: numbers, objects, and networks on the CPU."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
