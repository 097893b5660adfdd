"""What a training costs on 1, 8 and 64 GPUs: a calculation, and a small curve that its formula is held against.

    python benchmarks/scaling.py     writes benchmarks/scaling.md

The formula (docs/scaling.md has it in words):

    step = max(data, max(arithmetic, launches) + synchronised norms + exchange of gradients)

*Measured here*: the same step by 1 and 2 processes with gloo on the CPU, one thread each; the parts of the formula, one
by one; windows that a core cuts from pictures as large as Mapillary's. *Calculated*: everything with a GPU in it, from
the assumptions below, which were not measured.
"""

from __future__ import annotations

import json
import math
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import swath
from swath.bench.macs import macs
from swath.cards import load_card
from swath.data import Source, Windows, WindowSpec
from swath.data.packed import pack, plan_packing

# Mapillary Vistas, training split; crops; what the calculation is for
PICTURES, EPOCHS, SIDE, CLASSES = 18_000, 1000, 1024, 65
WAYS = ((1, 64), (8, 64), (64, 64), (64, 512))  # GPUs, batch over all of them
PICTURE = (2448, 3264)  # height and width: 8 megapixels, as most of them have
NETWORKS = ("contextnet14", "csfcn")

# Assumptions, none of them measured here: a GPU of the class of an A100 in machines of eight.
PEAK = 312e12  # multiplications and additions a second in bfloat16, as its maker says
SHARE = 0.35  # of the peak, that convolutions of many channels reach
MEMORY = 2.0e12 * 0.7  # bytes a second, and the share of it that is reached
TOUCHES = 5  # times that an activation is read or written in a step: forwards 2, backwards 3
LAUNCH = 6e-6  # seconds to start a kernel
KERNELS = 4  # started for a layer in a step: 1 forwards, 2 backwards, 1 for the optimiser and the average
CORES = 16  # processor cores a GPU
INSIDE = 200e9  # bytes a second of a ring inside a machine (NVLink), and
OUTSIDE = 25e9  # between machines: one network adapter of 200 Gbit/s each
HOP_INSIDE, HOP_OUTSIDE = 5e-6, 15e-6  # seconds from one to the next


@dataclass(frozen=True)
class Facts:
    """What a network is, as far as a step's time goes by it."""

    macs: int
    parameters: int
    norms: int
    layers: int
    activations: int  # numbers that all layers answer with, for one crop


def facts(name: str) -> Facts:
    with torch.device("meta"):
        model = swath.create_model(name, num_classes=CLASSES).eval()
    layers = [each for each in model.modules() if not list(each.children())]
    counted = [0]

    def count(_: Any, __: Any, answer: Any) -> None:
        counted[0] += answer.numel() if isinstance(answer, torch.Tensor) else 0

    for each in layers:
        each.register_forward_hook(count)
    cost = macs(model, (SIDE, SIDE))
    norms = sum(isinstance(each, torch.nn.BatchNorm2d) for each in layers)
    return Facts(cost, sum(p.numel() for p in model.parameters()), norms, len(layers), counted[0])


def calculate(fact: Facts, gpus: int, batch: int, core: float) -> dict[str, float]:
    """Seconds of a step and of its parts; `core`: seconds in which one core cuts a window."""
    share, machines = batch / gpus, -(-gpus // 8)
    arithmetic = share * max(3 * 2 * fact.macs / (PEAK * SHARE), 2 * TOUCHES * fact.activations / MEMORY)
    hops = 2 * math.log2(min(gpus, 8)) * HOP_INSIDE + 2 * math.log2(machines) * HOP_OUTSIDE  # up a tree, and down
    exchanged = 4 * fact.parameters * 2
    exchange = hops + exchanged * (min(gpus, 8) - 1) / min(gpus, 8) / INSIDE
    exchange += exchanged * (machines - 1) / machines / OUTSIDE
    parts = {
        "data": share * core / CORES,
        "arithmetic": arithmetic,
        "launches": KERNELS * fact.layers * LAUNCH,
        "norms": 2 * fact.norms * hops if gpus > 1 else 0.0,
        "exchange": exchange if gpus > 1 else 0.0,
    }
    rest = max(parts["arithmetic"], parts["launches"]) + parts["norms"] + parts["exchange"]
    return {**parts, "step": max(parts["data"], rest)}


# Measured: one step by one and by two processes


def process(network: str, batch: int, out: Path) -> None:
    """One of the processes: medians of its step, of the step without exchange, and of the exchange alone."""
    from swath.training import load_recipe
    from swath.training.distributed import without_exchange
    from swath.training.machine import settle
    from swath.training.meeting import join
    from swath.training.sources import open_stages
    from swath.training.stage import StageRun
    from swath.training.tasks import build_network

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    given = {
        "network": network,
        "batch": str(batch),
        "device": "cpu",
        "class_weights": "none",
        "data.workers": "0",
        "data.train_options.count": str(2 * batch),
        "data.val_options.count": "1",
    }
    recipe = load_recipe("streets", [(key, [value]) for key, value in given.items()])
    settle(recipe)
    with join() as processes:
        (source, _), *_ = open_stages(recipe)
        torch.manual_seed(0)
        model = build_network(recipe, source.card, 0)
        run = StageRun(recipe, 0, model, source, torch.device("cpu"), True, processes)
        run.optimiser.set_rate(0.0)
        parts = [next(iter(run.stream.batches(0, 1)))]

        def step() -> None:
            run.optimiser.zero_grad()
            run.learn(parts, 0)
            run.optimiser.step()

        def compute() -> None:
            run.optimiser.zero_grad()
            with without_exchange(run.shared, last=False):
                run.loss(run.on_device(parts[0]), 0).backward()
            run.optimiser.step()

        gradients = [torch.zeros(sum(p.numel() for p in model.parameters()))]
        works = {"step": step, "compute": compute, "exchange": lambda: processes.sums(gradients)}
        told = medians(works, processes)
        slowest = dict(zip(told, processes.largest(*told.values())))
        if processes.leads:
            out.write_text(json.dumps(slowest))


def medians(works: dict[str, Callable[[], object]], processes: Any) -> dict[str, float]:
    """In turns, so that others on the machine disturb all alike. Processes begin together, as they do in a training."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(11):
        for name, work in works.items():
            processes.largest(0)
            began = time.perf_counter()
            work()
            if turn > 1:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in times.items()}


def measure(network: str, batch: int, world: int) -> dict[str, float]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "told.json"
        command = [sys.executable, __file__, "--process", network, str(batch), str(out)]
        place = {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
        started = []
        for rank in range(world):
            mine = {name: str(value) for name, value in {**place, "RANK": rank, "LOCAL_RANK": rank}.items()}
            environment = {**os.environ, **mine, "MASTER_ADDR": "127.0.0.1"}
            started.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        if sum(each.wait() for each in started):
            raise SystemExit(f"{network}, {world} processes: failed")
        told: dict[str, float] = json.loads(out.read_text())
    return told


# Measured: windows of large pictures


def cutting(folder: Path, count: int = 4) -> tuple[dict[str, float], float]:
    """Seconds of one core for a window, by how the pictures lie on the disk; and megabytes of a file of pixels."""
    streets = load_card("streets")
    drawn = streets.open("train", count=count, size=PICTURE)
    noise = np.random.default_rng(0)
    for kind in ("train", "train-labels"):
        (folder / kind).mkdir()
    for index in range(count):
        image = np.rint(drawn.image(index) + noise.normal(0, 4, (*PICTURE, 3))).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"train/{index}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        cv2.imwrite(str(folder / f"train-labels/{index}.png"), drawn.labels(index))
    text = (
        f"name: large\nclasses: [{', '.join(streets.class_names)}]\nimages: 'train/{{id}}.jpg'\n"
        "labels: 'train-labels/{id}.png'\nlabel_values: {0-10: in order, 255: ignore}\nsplits: [train]\n"
    )
    (folder / "card.yaml").write_text(text)
    card = load_card(str(folder / "card.yaml"))
    size = statistics.mean(path.stat().st_size for path in (folder / "train").iterdir()) / 1e6
    found = {"files (JPEG, PNG)": seconds_a_window(card.open("train", str(folder)), count)}
    pack(plan_packing(card, folder / "packed", folder), 1)
    found["`swath pack`, raw"] = seconds_a_window(card.open("train", str(folder / "packed")), count)
    return found, size


def seconds_a_window(source: Source, count: int) -> float:
    windows = Windows(source, WindowSpec(size=(SIDE, SIDE), scale=(0.5, 2.0), jitter=0.5, brightness=0.1))
    windows[0, 0]
    began = time.process_time()
    for epoch in range(1, 6):
        for index in range(count):
            windows[epoch, index]
    return (time.process_time() - began) / (5 * count)


# The page


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    load = os.getloadavg()[0]
    lines = [
        "# Scaling",
        "",
        f"`python benchmarks/scaling.py` on {os.cpu_count()} shared cores of {processor()}, load at the start "
        f"{load:.1f}, torch {torch.__version__}, Python {platform.python_version()}, swath {swath.__version__}.",
        "",
        "## Measured: one step by one and by two processes",
        "",
        "Crops of 384x192, gloo, one thread a process, float32; ms, medians of 9, of the slower process. "
        '"Alone": the step of one process that has the machine for itself. "Beside": without exchange, while the '
        'other one computes as well. "Calculated": beside + exchange.',
        "",
        "| network | batch | alone, batch | alone, half | beside, half | exchange | calculated | measured | off |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, batch in (("contextnet14", 8), ("contextnet14", 16), ("csfcn", 4)):
        whole, half, two = measure(name, batch, 1), measure(name, batch // 2, 1), measure(name, batch, 2)
        guess = two["compute"] + two["exchange"]
        times = (whole["step"], half["step"], two["compute"], two["exchange"], guess, two["step"])
        row = " | ".join(f"{1000 * each:.0f}" for each in times)
        lines.append(f"| {name} | {batch} | {row} | {100 * (guess / two['step'] - 1):+.0f} % |")
        print(lines[-1], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cut, size = cutting(Path(folder))
    lines += [
        "",
        "## Measured: windows a core",
        "",
        f"Crops of {SIDE}x{SIDE} at scales of 0.5 to 2 out of {PICTURE[1]}x{PICTURE[0]} (JPEG of {size:.1f} MB, drawn "
        "streets with noise), one core.",
        "",
        "| | ms | windows a second |",
        "|---|---:|---:|",
        *(f"| {how} | {1000 * each:.0f} | {1 / each:.1f} |" for how, each in cut.items()),
        "",
        "## Calculated, not measured",
        "",
        f"Mapillary Vistas: {PICTURES:,} pictures, {EPOCHS} epochs, crops of {SIDE}x{SIDE}. GPUs of the class of an "
        f"A100, eight a machine, {CORES} cores each; the batch is that of all GPUs. ms.",
        "",
        "| network | GPUs | batch | data, files | data, packed | arithmetic | launches | norms | exchange | "
        "step, files | step, packed | hours, files | hours, packed |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in NETWORKS:
        lines += [row_of(name, gpus, batch, *cut.values()) for gpus, batch in WAYS]
    told = [f"{name}: {described(facts(name))}" for name in NETWORKS]
    lines += ["", *(f"- {each}" for each in told)]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


def row_of(name: str, gpus: int, batch: int, files: float, packed: float) -> str:
    one, other = (calculate(facts(name), gpus, batch, core) for core in (files, packed))
    keys = ("arithmetic", "launches", "norms", "exchange")
    times = (one["data"], other["data"], *(one[key] for key in keys), one["step"], other["step"])
    hours = (PICTURES * EPOCHS / batch * each["step"] / 3600 for each in (one, other))
    cells = [*(f"{1000 * each:.1f}" for each in times), *(f"{each:.2f}" for each in hours)]
    return f"| {name} | {gpus} | {batch} | {' | '.join(cells)} |"


def described(fact: Facts) -> str:
    return (
        f"{fact.macs / 1e9:.1f} GMACs and {fact.activations / 1e6:.0f} million numbers in activations a crop, "
        f"{fact.parameters / 1e6:.2f} million parameters ({4 * fact.parameters / 1e6:.1f} MB of gradients), "
        f"{fact.norms} batch norms, {fact.layers} layers"
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        process(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
