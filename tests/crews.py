"""Several processes that train together, forked from this one, which has torch loaded already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from swath.errors import SwathError


@dataclass(frozen=True)
class End:
    """How one process ended: its exit status (negative: the signal) and all that it said."""

    status: int | None
    said: str


def crew(world: int, folder: Path, work: Callable[[int], int | None]) -> list[End]:
    """`work(rank)` in each of `world` processes, as torchrun would start them on one machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    members = [context.Process(target=_body, args=(work, rank, world, port, folder)) for rank in range(world)]
    for each in members:
        each.start()
    for each in members:
        each.join(120)
        if each.exitcode is None:
            each.kill()
    return [End(each.exitcode, (folder / f"said{rank}").read_text()) for rank, each in enumerate(members)]


def _body(work: Callable[[int], int | None], rank: int, world: int, port: int, folder: Path) -> None:
    file = os.open(folder / f"said{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    named = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in named.items()}, MASTER_ADDR="127.0.0.1")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    status = 1
    try:
        status = work(rank) or 0
    except SwathError as error:
        print(f"swath: {error}", file=sys.stderr)
        status = 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
