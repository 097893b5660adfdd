"""The cluster's side: connecting, trying out a worker, and a pass of Ray Data over parts."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swath.cluster import ledger
from swath.cluster.listing import Listing, Part
from swath.cluster.machine import Crew, Node, Trial, try_out
from swath.cluster.places import open_place
from swath.cluster.worker import Job, Worker
from swath.errors import SwathError
from swath.quiet import silence

_OBJECTS = 200_000_000  # bytes that a cluster of this machine alone sets aside: parts and markers are small
_BLOCKS = 10_000  # of input; with more, Ray Data's own bookkeeping begins to cost
_BROKEN = 70  # exit status of an actor whose device does not work any more


@dataclass(frozen=True)
class Came:
    """What came of a part: its marker, or what stops the whole run."""

    number: int
    done: ledger.Done | None = None
    error: str = ""


def import_ray() -> Any:
    """Ray, with its data library; quiet."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # deaths of machines are told by what follows from them
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its coming default; else it warns
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SwathError(f"--engine ray needs Ray ({error}); pip install 'swath[ray]'") from error
    return ray


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """A cluster: the one at the address, the one that runs on this machine, or one of this machine alone."""
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        try:
            with silence():  # its log begins before any setting is heard
                ray.init(address or "auto", **quiet)
        except ConnectionError as error:
            if address:
                raise SwathError(
                    f"{address}: no Ray cluster answers there ({_line(error)}); `ray start` begins one"
                ) from error
            with silence():
                ray.init("local", include_dashboard=False, object_store_memory=_OBJECTS, **quiet)
        yield ray
    finally:
        ray.shutdown()


def nodes(ray: Any) -> list[Node]:
    """The machines that answer."""
    alive = [each["Resources"] for each in ray.nodes() if each["Alive"]]
    return [Node(each.get("CPU", 0), each.get("GPU", 0), each.get("memory", 0)) for each in alive]


def tried_out(ray: Any, job: Any, device: str, names: Sequence[str], batch: int | None) -> Trial:
    """`try_out` on a worker; its complaints are ours."""
    gpus = 1 if device == "cuda" else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=2)(_try_out)
    try:
        trial: Trial = ray.get(task.remote(job, list(names), batch))
        return trial
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SwathError):
            raise SwathError(str(error.cause)) from None
        raise


def run_pass(ray: Any, job: Any, batch: int, crew: Crew, listing: Listing, numbers: Sequence[int]) -> Iterator[Came]:
    """Parts as they are done. What is lost on its way to here is for the next pass."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = 10
    context.execution_no_progress_timeout_s = -1  # a part of large pictures on a slow machine takes its time
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    rows = [vars(listing.part(number)) for number in numbers]
    data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS)).map_batches(
        Actor,
        batch_size=1,
        fn_constructor_args=(job, batch, crew.threads),
        # An actor that dies is started again, with its parts, where there is room: at once, when a machine joins, or
        # when the others have nothing left to do.
        compute=ray.data.ActorPoolStrategy(size=min(crew.actors, len(rows)), max_tasks_in_flight_per_actor=2),
        num_cpus=crew.cpus,
        num_gpus=crew.gpus or None,
    )
    try:
        for row in data.iter_rows():
            done = ledger.Done(**json.loads(row["done"])) if row["done"] else None
            yield Came(row["number"], done, row["error"])
    except ray.exceptions.RayError as error:
        ledger.write_trouble(open_place(ray.get(job).out), _line(error))


class Actor:
    """A Worker, as Ray Data sees it."""

    def __init__(self, job: Any, batch: int, threads: int) -> None:
        import ray

        node = f"{platform.node()} {ray.get_runtime_context().get_node_id()}"
        self.worker = Worker(ray.get(job), batch, threads, node)

    def __call__(self, parts: Any) -> Any:
        number, offset, length = (int(parts[key][0]) for key in ("number", "offset", "length"))
        return {key: [value] for key, value in self._part(Part(number, offset, length)).items()}

    def _part(self, part: Part) -> dict[str, Any]:
        try:
            done = json.dumps(vars(self.worker.part(part)))
            return {"number": part.number, "done": done, "error": ""}
        except SwathError as error:  # nothing can be written, say: no other part would fare better
            return {"number": part.number, "done": "", "error": str(error)}
        except Exception:
            # A device that failed fails again in this process: Ray begins another, with the same part.
            ledger.write_trouble(self.worker.place, traceback.format_exc(limit=-3))
            os._exit(_BROKEN)


def _try_out(job: Job, names: list[str], batch: int | None) -> Trial:
    return try_out(job, names, batch)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
