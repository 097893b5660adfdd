"""The endless row of batches of a stage, which can be entered at any place (stack.md: exact resume)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from swath.data import Source
from swath.data.mixed import Mixed
from swath.data.windows import Windows
from swath.errors import SwathError

# image uint8 N x 3 x H x W, what is to become of its colors (jitter.py), labels uint8 N x H x W, maps that a network
# needs, index N
Batch = dict[str, Any]


def batches_an_epoch(source: Source, batch: int) -> int:
    """Whole batches; the last, incomplete one is dropped, for it would count more than the others."""
    if len(source) < batch:
        raise SwathError(
            f"{source.card.name}: the training split has {len(source)} pictures, "
            f"fewer than one batch of {batch}; give a smaller --batch"
        )
    return len(source) // batch


class Stream:
    """Batch n is a function of (seed, n): the order of an epoch of (seed, epoch), a window of (seed, epoch, index).

    So one number says where a training stands, and the workers, and how far they have read ahead, do not matter.
    A batch is cut into `parts` of equal size, of which this process takes `mine`, one after the other: the batches
    themselves do not depend on how many processes share them.
    """

    def __init__(
        self,
        windows: Windows,
        batch: int,
        seed: int,
        workers: int = 0,
        pin: bool = False,
        parts: int = 1,
        mine: range = range(1),
    ):
        self.windows, self.batch, self.seed, self.workers, self.pin = windows, batch, seed, workers, pin
        self.part, self.mine = batch // parts, mine
        self.batches_an_epoch = batches_an_epoch(windows.source, batch)

    def order(self, epoch: int) -> list[int]:
        """The pictures of an epoch, shuffled; in place of some of them, where the source has such, those of others."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order: list[int] = torch.randperm(len(self.windows), generator=generator).tolist()
        source = self.windows.source
        return source.mix(order, generator) if isinstance(source, Mixed) else order

    def keys(self, first: int, end: int) -> Iterator[list[tuple[int, int]]]:
        """(epoch, index) of the pictures of our parts of the batches from `first` to before `end`."""
        order: list[int] = []
        for number in range(first, end):
            epoch, place = divmod(number, self.batches_an_epoch)
            if not order or place == 0:
                order = self.order(epoch)
            for part in self.mine:
                start = place * self.batch + part * self.part
                yield [(epoch, index) for index in order[start : start + self.part]]

    def batches(self, first: int, end: int) -> Generator[Batch, None, None]:
        """The parts themselves; workers live on from epoch to epoch."""
        loader: DataLoader[Any] = DataLoader(
            self.windows,  # type: ignore[arg-type]  # a map from (epoch, index), not from a number
            batch_sampler=_Keys(self, first, end),
            num_workers=self.workers,
            pin_memory=self.pin,
            worker_init_fn=alone,
            generator=torch.Generator().manual_seed(self.seed),  # else starting workers would draw from the global one
        )
        return in_own_words(iter(loader))


class _Keys:
    """What a loader asks for: an object that iterates and knows its length."""

    def __init__(self, stream: Stream, first: int, end: int):
        self.stream, self.first, self.end = stream, first, end

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return self.stream.keys(self.first, self.end)

    def __len__(self) -> int:
        return (self.end - self.first) * len(self.stream.mine)


def in_own_words(batches: Iterator[Any]) -> Generator[Any, None, None]:
    """What a loader gives. Where a worker met a person's mistake, the mistake alone: torch sends it on as a page of
    text that ends with it. However it ends, so do the workers, which a SIGTERM alone does not end (`alone`)."""
    try:
        yield from batches
    except SwathError as error:
        name = f"{SwathError.__module__}.{SwathError.__name__}: "
        raise SwathError(str(error).rpartition(name)[2].strip()) from error
    finally:
        if hasattr(batches, "_shutdown_workers"):  # not left to the garbage: a traceback may hold it until the end
            batches._shutdown_workers()


def worker_lost(error: RuntimeError) -> SwathError | None:
    """The error for a worker that the system has ended, which torch raises at whatever moment."""
    found = re.search(r"DataLoader worker \(pid.*?(killed by signal: \w+|exited unexpectedly)", str(error))
    if not found:
        return None
    why = f"{found[1]}; mostly because memory ran out"
    return SwathError(f"a process that reads pictures was lost ({why}), take fewer of them: --data.workers")


def alone(_: int) -> None:
    """A worker is one of many: one thread is its share. Ctrl-C is for the main process, which ends its workers; so is
    the first SIGTERM, which torchrun and SLURM send to workers too: what is saved then needs no more pictures, but the
    iteration that goes on does."""
    import signal

    def wait_for_the_second(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, wait_for_the_second)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
