"""Several processes that train one network (torchrun or srun): what they share, agree upon and add up.

One process is the special case: every sum is its own, and nothing is waited for.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from swath.errors import SwathError
from swath.training.launch import Place
from swath.training.lookout import Lookout

T = TypeVar("T")
U = TypeVar("U")

LOST = 1  # the exit status where another process has died
_TALK = 1.0  # seconds between two agreements, about


class SaidElsewhere(Exception):
    """All processes end for the same reason, and another one says it."""


class Processes:
    """All processes of a run as one of them sees them."""

    def __init__(self, place: Place | None = None, hosts: Sequence[str] = ("",), lookout: Lookout | None = None):
        self.place = place or Place()
        self.rank, self.world = self.place.rank, self.place.world
        self.hosts = list(hosts)
        self.lookout = lookout
        self.advice: Callable[[], str] = str  # how to go on when a process is lost
        self.tell: Callable[[str], None] = lambda text: print(f"swath: {text}", file=sys.stderr)
        self._on_gpu = False

    @property
    def leads(self) -> bool:
        """Whether this one writes the files and speaks to the person."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.world > 1

    @property
    def shard(self) -> tuple[int, int] | None:
        """This process's share of the pictures to measure; None: all."""
        return (self.rank, self.world) if self.several else None

    def device(self, named: str) -> torch.device:
        """The device of this process; of several, each has a GPU of its own."""
        if not self.several or named == "cpu":
            return torch.device(named)
        if named != "cuda" or self.place.neighbours > torch.cuda.device_count():
            raise SwathError(
                f"device '{named}' with {self.place.neighbours} processes on a machine with "
                f"{torch.cuda.device_count()} GPUs: each process needs one; give --device cuda, or start fewer"
            )
        device = torch.device("cuda", self.place.local)
        torch.cuda.set_device(device)
        self._on_gpu = True
        return device

    def told(self, value: T, source: int = 0) -> T:
        """What process `source` has, on every process."""
        if self.several:
            box = [value]
            dist.broadcast_object_list(box, source)
            value = box[0]
        return value

    def led(self, work: Callable[[], tuple[T, U]]) -> tuple[T, U | None]:
        """What process 0 makes; the others get the first half of it. If it fails there, it fails everywhere."""
        if not self.leads:
            done: tuple[T] | None = self.told(None)
            if done is None:
                raise SaidElsewhere
            return done[0], None
        try:
            first, second = work()
        except SwathError:
            self.told(None)
            raise
        self.told((first,))
        return first, second

    def all(self, value: T) -> list[T]:
        """What every process has, in their order."""
        values: list[Any] = [value] * self.world
        if self.several:
            dist.all_gather_object(values, value)
        return values

    def largest(self, *values: float) -> list[float]:
        """The largest of each number."""
        numbers = torch.tensor(values, dtype=torch.float64)
        if self.several:
            dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return numbers.tolist()

    def mean(self, value: float) -> float:
        """The mean of a number."""
        return self.sums([torch.tensor([value], dtype=torch.float64)])[0].item() / self.world if self.several else value

    def sums(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of tensors of one kind, as one message."""
        whole = _flat(tensors)
        if self.several:
            dist.all_reduce(whole)
        return _parts(whole, tensors)

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Weights, statistics and the like as process 0 has them; one message for each kind of number."""
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for each in tensors if self.several else ():
            kinds.setdefault(each.dtype, []).append(each.detach())
        for these in kinds.values():
            whole = _flat(these)
            dist.broadcast(whole, 0)
            for each, part in zip(these, _parts(whole, these)):
                each.copy_(part)

    def average_statistics(self, layers: Sequence[Any]) -> None:
        """Norms that have counted a share of the pictures in each process: the mean of all."""
        if self.several and layers:
            tensors = [each for layer in layers for each in (layer.running_mean, layer.running_var)]
            for each, total in zip(tensors, self.sums(tensors)):
                each.copy_(total / self.world)

    def wrapped(self, module: nn.Module, unused: bool = False) -> nn.Module:
        """A module whose gradients are averaged over all processes; `unused`: some parameters take no part."""
        if not self.several:
            return module
        # A weight of 1 x 1 may come with its gradient in either layout of memory; torch warns of one and copies it.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        # Statistics of norms become those of process 0: on the CPU each sees its own share alone.
        return DistributedDataParallel(module, gradient_as_bucket_view=True, find_unused_parameters=unused)

    def sync_norms(self, model: nn.Module) -> dict[str, nn.Module]:
        """Make batch norms on GPUs see the batch of all processes; returns the layers that were there before, which
        share their tensors. There is no such norm for the CPU."""
        return sync_norms(model) if self._on_gpu else {}

    def end(self) -> None:
        """Another process is lost: say so, if it is ours to say, and be gone. Nothing of a broken group can be taken
        down in order."""
        assert self.lookout and self.lookout.lost is not None
        lost = self.lookout.lost
        advice = self.advice()
        if not self.lookout.silent and self.rank == int(lost == 0):  # process 0 speaks, or 1 where that is lost
            where = f"process {lost} of {self.world}, on {self.hosts[lost]}"
            self.tell(f"{where}, has died, and so all of them stop{advice}")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(LOST)


ALONE = Processes()


class Agreement:
    """A signal, or the clock of the checkpoints, strikes in one process; all must act on it after the same iteration.

    They talk about it once a second or so, not in every iteration: how many iterations that is, they agree upon too.
    """

    def __init__(self, processes: Processes):
        self.processes = processes
        self._span = self._left = 1
        self._since = time.monotonic()

    def reach(self, signal: int | None, due: bool) -> tuple[int | None, bool]:
        """The signal to stop at and whether to save, after one more iteration."""
        if not self.processes.several:
            return signal, due
        self._left -= 1
        if self._left:
            return None, False
        took = (time.monotonic() - self._since) / self._span
        first, second, slowest = self.processes.largest(signal or 0, due and self.processes.leads, took)
        self._span = self._left = max(1, min(100, int(_TALK / max(slowest, 1e-6))))
        self._since = time.monotonic()
        return int(first) or None, bool(second)


def without_exchange(module: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Around all but the last of the parts that an iteration takes one after the other: gradients are averaged once."""
    if last or not isinstance(module, DistributedDataParallel):
        return nullcontext()
    quiet: AbstractContextManager[None] = module.no_sync()
    return quiet


def sync_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Replace batch norms; returns those that were there."""
    before: dict[str, nn.Module] = {name: each for name, each in model.named_modules() if isinstance(each, _BatchNorm)}
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return before


def plain_norms(model: nn.Module, before: dict[str, nn.Module]) -> None:
    """Put them back: a stage has ended, and the next one may do anything with the network."""
    for name, norm in before.items():
        model.set_submodule(name, norm.train(model.training))


def spread_alarm(loss: Tensor, several: bool) -> Tensor | None:
    """What the backward pass begins with (None: 1). A loss that is no number makes every gradient none, in all
    processes, without anyone looking at it: all notice it in the same iteration."""
    if not several:
        return None
    return torch.where(torch.isfinite(loss.detach()), 1.0, float("nan")).to(loss.dtype)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.detach().reshape(-1) for each in tensors])


def _parts(whole: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    pieces = whole.split([each.numel() for each in like])
    return [piece.view(each.shape) for piece, each in zip(pieces, like)]
