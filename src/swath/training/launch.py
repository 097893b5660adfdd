"""Which of several processes this one is: what torchrun or SLURM's srun has put into its environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swath.files import atomic_write

_PORTS = 15_000, 20_000  # SLURM names no port: one that follows from the job's number, from the first on, so many


@dataclass(frozen=True)
class Place:
    """One process among `world`: its number in all, its number on its machine, and how many there are on that."""

    rank: int = 0
    world: int = 1
    local: int = 0
    neighbours: int = 1
    address: str = ""  # where process 0 is, host and port
    port: int = 0
    command: str = "swath"  # how such a process is started


def find_place(environment: Mapping[str, str] = os.environ) -> Place:
    """The place of this process; alone where nobody has started several."""
    if int(environment.get("WORLD_SIZE", "1")) > 1:
        return _torchrun(environment)
    # Of a step of srun alone: a batch script, too, has the number of tasks of its job, but runs once.
    if "RANK" not in environment and int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return _slurm(environment)
    return Place()


def _torchrun(environment: Mapping[str, str]) -> Place:
    rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    return Place(
        rank,
        world,
        int(environment.get("LOCAL_RANK", rank)),
        int(environment.get("LOCAL_WORLD_SIZE", world)),
        environment.get("MASTER_ADDR", "127.0.0.1"),
        int(environment.get("MASTER_PORT", "29500")),
        "torchrun … -m swath",
    )


def _slurm(environment: Mapping[str, str]) -> Place:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_NODELIST", "127.0.0.1")
    job = int(environment.get("SLURM_JOB_ID", "0"))
    here = int(environment.get("SLURM_NODEID", "0"))
    return Place(
        int(environment["SLURM_PROCID"]),
        int(environment["SLURM_STEP_NUM_TASKS"]),
        int(environment["SLURM_LOCALID"]),
        tasks_of_nodes(environment["SLURM_STEP_TASKS_PER_NODE"])[here],
        environment.get("MASTER_ADDR") or first_node(nodes),
        int(environment.get("MASTER_PORT", _PORTS[0] + job % _PORTS[1])),
        "srun … swath",
    )


def first_node(nodes: str) -> str:
    """The first of SLURM's list: gpu[003-006,9],login1 -> gpu003."""
    first = nodes.partition("[")
    if not first[1] or "," in first[0]:
        return nodes.partition(",")[0]
    inside, _, after = first[2].partition("]")
    return first[0] + re.split("[-,]", inside)[0] + after.partition(",")[0]


def tasks_of_nodes(text: str) -> list[int]:
    """Tasks of each node: 4(x2),3 -> 4, 4, 3."""
    counts: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        assert found, f"SLURM_STEP_TASKS_PER_NODE is {text}"
        counts += [int(found[1])] * int(found[2] or 1)
    return counts


class Launch:
    """What started this process, as far as it can start the same run again: after a death, after machines have come or
    gone, or after a SLURM job was taken back into the queue."""

    def __init__(self, environment: Mapping[str, str] = os.environ):
        count = max(int(environment.get(name, "0")) for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"))
        name = environment.get("TORCHELASTIC_RUN_ID", "none")
        self._again = count > 0
        self._name = "" if name == "none" else name  # torchrun's word for: was given none

    def sign(self, folder: Path) -> None:
        """Leave our name in the folder of a run. torchrun does not count it as a restart when machines come or go."""
        if self._name:
            with atomic_write(folder / "launch", "w") as file:
                file.write(self._name)

    def has_started(self, folder: Path) -> bool:
        """Whether the run that is in the folder may well be one that we have started before."""
        signed = folder / "launch"
        return self._again or bool(self._name and signed.is_file() and signed.read_text() == self._name)
