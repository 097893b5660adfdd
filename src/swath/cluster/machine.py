"""How many actors, of what size, with what batch: measured on a worker, counted from the cluster."""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from swath.cluster.sources import Reader
from swath.cluster.worker import Array, Job, open_segmenter
from swath.data.images import decode_image
from swath.errors import SwathError
from swath.inference import Segmenter

_MOST = {"cpu": 8, "cuda": 128}  # pictures at once that are tried
_GAIN = 0.95  # a larger batch is worth its memory below this share of the time a picture
_OF_MEMORY = 0.6  # of a device's; pictures may be larger than those that were tried


@dataclass(frozen=True)
class Node:
    """What a machine of the cluster has."""

    cpus: float
    gpus: float
    memory: float  # bytes


@dataclass(frozen=True)
class Trial:
    """What was seen on a worker."""

    class_names: list[str]
    engine: str
    batch: int
    why: str
    memory: int  # bytes of the process
    seconds: float | None  # a picture; nothing is known where none could be read


@dataclass(frozen=True)
class Crew:
    """Actors, what each reserves of its machine, and its threads."""

    actors: int
    cpus: float
    gpus: int
    threads: int
    why: str


def try_out(job: Job, names: Sequence[str], batch: int | None) -> Trial:
    """Open the model, read some pictures, and find the batch that is fastest a picture."""
    segmenter = open_segmenter(job, 1)
    pictures = _readable(job, names)
    if not pictures:
        batch, why, seconds = batch or 1, "none of the pictures that were tried can be read", None
    else:
        # The largest decides: what it allows is allowed for all.
        picture = max(pictures, key=lambda each: each.size)
        batch, why, seconds = _measured(segmenter, picture, job.device, batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    engine = f"{segmenter.runtime.engine} on {segmenter.runtime.device}"
    return Trial(segmenter.class_names, engine, batch, why, peak, seconds)


def crew(nodes: Sequence[Node], trial: Trial, wanted: int | None, gpu: bool) -> Crew:
    """One actor a GPU; or one a core, as far as memory goes."""
    some = [node for node in nodes if (node.gpus if gpu else node.cpus) >= 1]
    if not some:
        raise SwathError(f"this cluster has no {'GPU' if gpu else 'processor'} for an actor")
    if gpu:
        actors = wanted or int(sum(node.gpus for node in some))
        share = min((node.cpus - 1) / node.gpus for node in some)
        cpus = _share(max(share, 0.5))
        return Crew(actors, cpus, 1, max(1, int(cpus)), f"a GPU each, {_counted(len(some), 'machine')}")
    # A whole processor is left to Ray Data's own tasks: where actors hold all of them, it waits for ever.
    cores = sum(node.cpus for node in some)
    fit = sum(max(1, min(int(node.cpus), int(_OF_MEMORY * node.memory / trial.memory))) for node in some)
    actors = wanted or fit
    cpus = _share(min(1.0, max(cores - 1, 0.5) / actors))
    threads = max(1, int(cores // actors))
    memory = f"{trial.memory / 1e9:.1f} GB each of {sum(node.memory for node in some) / 1e9:.0f}"
    return Crew(
        actors, cpus, 0, threads, f"{_counted(int(cores), 'core')} on {_counted(len(some), 'machine')}, {memory}"
    )


def _readable(job: Job, names: Sequence[str]) -> list[Array]:
    read = Reader(job.root)
    found = []
    for name in names:
        try:
            found.append(decode_image(read(name), name))
        except SwathError:
            continue
    return found


def _measured(segmenter: Segmenter, picture: Array, kind: str, batch: int | None) -> tuple[int, str, float]:
    """(batch, why, seconds a picture)."""
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    if batch:
        return batch, "as told", _seconds(segmenter, picture, batch, kind)
    tried = {1: _seconds(segmenter, picture, 1, kind)}
    best = size_now = 1
    while size_now < _MOST.get(kind, 8):
        size_now *= 2
        if not _fits(size_now, kind):
            return best, f"{_told(tried, size)}; {size_now} may not fit the memory", tried[best]
        tried[size_now] = _seconds(segmenter, picture, size_now, kind)
        if tried[size_now] > _GAIN * tried[best]:
            break
        best = size_now
    return best, _told(tried, size), tried[best]


def _told(tried: dict[int, float], size: str) -> str:
    # The last two tell why: the one that was better, and the one that was not.
    last = list(tried.items())[-2:]
    return f"{size}: " + ", ".join(f"{1000 * seconds:.3g} ms a picture in batches of {n}" for n, seconds in last)


def _fits(batch: int, kind: str) -> bool:
    """Whether twice what the last batch took is there."""
    if kind != "cuda":
        return True
    import torch

    return 2 * torch.cuda.max_memory_allocated() < _OF_MEMORY * torch.cuda.get_device_properties(0).total_memory


def _seconds(segmenter: Segmenter, picture: Array, batch: int, kind: str) -> float:
    """A picture, the median of three; answers lie in the processor's memory, so the device has finished."""
    segmenter.answers([picture] * batch)
    times = []
    for _ in range(3):
        began = perf_counter()
        segmenter.answers([picture] * batch)
        times.append(perf_counter() - began)
    return statistics.median(times) / batch


def _share(cpus: float) -> float:
    return max(0.01, int(100 * cpus) / 100)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
