"""Pictures a second in training: swath against a plain loop on the same networks, from PNG, loading included.

    python benchmarks/training.py [--device cuda] [--cores 1 2] [--networks NAME ...]     writes benchmarks/training.md

The plain loop is what training scripts of this field look like (plain_loop.py): float32, NCHW, Pillow opens and
resizes the whole picture, crops, mirrors and jitters it, numpy normalises in the workers, a DataLoader with one of them
a core, torch's own SGD, `.item()` in each step. swath runs its own trainer's steps with the same network, first
weights, batch, window, loss and optimiser. Beside it stand runs of swath that lack one measure each.

Every way has a process of its own, which is stopped (SIGSTOP, its workers too) while another one has its turn. The
processor's time counts all workers; on a busy machine it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from plain_loop import DECAY, DEVIATION, JITTER, LR, MEAN, MOMENTUM, SCALE, Pictures, plain
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import swath
from swath.cards import load_card
from swath.data import Windows, WindowSpec
from swath.training import Data, Recipe, Stage
from swath.training.display import Display
from swath.training.loop import Trainer
from swath.training.machine import kept_memory, settle
from swath.training.sources import open_stages

NETWORKS = ["contextnet14", "csfcn", "fpn_lite_mobilenetv2"]
ON_CPU = ["plain", "swath", "NCHW", "plain optimiser", "floats from the loader", "memory given back"]
ON_GPU = ["plain", "swath", "NCHW", "plain optimiser", "floats from the loader", "look each step", "float32"]
ON_GPU += ["graphs", "compile"]
INTRODUCTION = """# Training

`python benchmarks/training.py`: pictures a second of swath's own training steps against a plain loop in the usual
style (float32, NCHW, Pillow in the workers, `.item()` in each step), loading from PNG included. "swath / this" compares
by the clock, "this / swath" by the processors' time, in which work of other programs does not count; lines below swath
lack one of its measures. How much it costs to give memory back to the system depends on the machine: a page that is
cleared anew costs several times more in a virtual machine than on bare metal.
"""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Job:
    network: str
    root: Path
    size: tuple[int, int]  # of the windows, height and width
    batch: int
    device: str
    cores: int


# --- swath ------------------------------------------------------------------------------------------------------------


class Floats(Windows):
    """Windows that are normalised before they leave the loader."""

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        parts = super().__getitem__(key)
        pixels = (parts["image"].astype(np.float32) / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]
        return {**parts, "image": pixels, "labels": parts["labels"].astype(np.int64)}


def ours(job: Job, without: str) -> Iterator[None]:
    spec = WindowSpec(job.size, SCALE, brightness=JITTER, contrast=JITTER, saturation=JITTER)
    stage = Stage(iterations=10**6, batch=job.batch, window=spec, optimiser="sgd", lr=LR)
    stage.momentum, stage.weight_decay = MOMENTUM, DECAY
    stage.channels_last = without != "NCHW"
    stage.compile, stage.graphs = without == "compile", without == "graphs"
    stage.amp = False if without == "float32" else None
    data = Data(card="cityscapes", root=str(job.root))
    recipe = Recipe(name="bench", network=job.network, data=data, stages=[stage], device=job.device, tensorboard=False)
    settle(recipe)
    torch.set_num_threads(recipe.threads or 1)
    kept = kept_memory()
    if without != "memory given back" and job.device == "cpu":
        kept.__enter__()
    trainer = Trainer(recipe, job.root, open_stages(recipe), Display(None))
    run = trainer._begin_stage(None)
    if without == "floats from the loader":
        run.stream.windows = Floats(run.stream.windows.source, spec)
        run.normalise = {"image": torch.nn.Identity()}
    if without == "plain optimiser":
        (made,) = run.optimiser.each
        ways = ("fused", "foreach")
        groups = [{key: group[key] for key in group if key not in ways} for group in made.param_groups]
        run.optimiser.each = [torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, foreach=False)]
    for parts in ([batch] for batch in run.stream.batches(0, run.steps)):
        trainer._step(run, parts)
        if without == "look each step":
            trainer.loss_sum.item()
        yield


# --- measuring --------------------------------------------------------------------------------------------------------


def take_turns(way: str, job: Job) -> None:
    """The body of a way's process: so many steps as a line on its input says, then a line with the seconds."""
    if job.device == "cpu":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.cores])
        torch.set_num_threads(job.cores)
    torch.manual_seed(1)
    if way == "plain":
        device = torch.device(job.device)
        steps = plain(job.network, job.root, job.size, job.batch, device, workers=job.cores or 8)
    else:
        steps = ours(job, way)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            next(steps)
        if job.device == "cuda":
            torch.cuda.synchronize()
        print(time.perf_counter() - began, flush=True)


class Way:
    """A way of training in a process group of its own, stopped between its turns."""

    def __init__(self, way: str, job: Job):
        words = [job.network, str(job.root), *map(str, job.size), str(job.batch), job.device, str(job.cores)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--way", way, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": str(job.cores)} if job.device == "cpu" else None,
        )

    def turn(self, steps: int) -> tuple[float, float]:
        """Seconds by the clock and of the processors."""
        assert self.process.stdin and self.process.stdout
        os.killpg(self.process.pid, signal.SIGCONT)
        before = self._cpu()
        print(steps, file=self.process.stdin, flush=True)
        took = float(self.process.stdout.readline() or "nan")
        cpu = self._cpu() - before
        os.killpg(self.process.pid, signal.SIGSTOP)
        return took, cpu

    def _cpu(self) -> float:
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            if int(fields[3]) == self.process.pid:
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def measure(ways: list[str], job: Job, rounds: int, steps: int) -> dict[str, tuple[float, float]]:
    """Pictures a second by the clock, and processor seconds a picture: medians over the rounds."""
    running = {way: Way(way, job) for way in ways}
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    try:
        for each in running.values():
            each.turn(2)
        for number in range(rounds):
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                taken[way].append(running[way].turn(steps))
    finally:
        for each in running.values():
            each.end()
    pictures = steps * job.batch
    return {
        way: (pictures / statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs) / pictures)
        for way, pairs in taken.items()
    }


# --- the bound --------------------------------------------------------------------------------------------------------


class Traffic(TorchDispatchMode):
    """Bytes that an iteration reads and writes, operation by operation, each from memory."""

    moved = 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        answer = function(*given, **(more or {}))
        if not function.is_view:
            for each in tree_leaves((given, answer)):
                if isinstance(each, torch.Tensor):
                    self.moved += each.numel() * each.element_size()
        return answer


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Seconds of the fastest time, after one that does not count."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def bounds(given: argparse.Namespace, folder: Path, cores: int) -> list[str]:
    """What an image costs at the least on the CPU, and what loading it costs: arithmetic and bytes by what this machine
    does in a product of matrices and in a copy, measured here."""
    torch.set_num_threads(cores)
    square, long = torch.randn(1024, 1024), torch.randn(16 << 20)
    rate = 2 * 1024**3 / best(lambda: square @ square, 30)
    target = torch.empty_like(long)
    flow = 2 * 4 * long.numel() / best(lambda: target.copy_(long))
    lines = [
        f"A product of matrices does {rate / 1e9:.0f} GFLOP/s here, a copy {flow / 1e9:.1f} GB/s. What an image costs "
        "at the least, forward and backward, by either; every operation reads and writes memory, which an ideal fusion "
        "would not. Loading: a window, in one process, on one core.",
        "",
        "| network | GFLOP | arithmetic, ms | MB moved | memory, ms | loading in swath, ms | in the plain loop, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    torch.set_num_threads(1)
    height, width = reversed(given.window)
    spec = WindowSpec((height, width), SCALE, brightness=JITTER, contrast=JITTER, saturation=JITTER)
    windows, pictures = Windows(load_card("cityscapes").open("train", folder), spec), Pictures(folder, (height, width))
    count = min(8, len(pictures))
    loading = [
        1e3 * best(lambda: [windows[0, i] for i in range(count)], 3) / count,
        1e3 * best(lambda: [pictures[i] for i in range(count)], 3) / count,
    ]
    for network in given.networks:
        model = swath.create_model(network, num_classes=19).train().to(memory_format=torch.channels_last)
        images = torch.randn(2, 3, height, width).contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(2, height, width, dtype=torch.long)
        with Traffic() as traffic:
            with FlopCounterMode(display=False) as counter:
                answers = model(images)
            torch.stack([F.cross_entropy(each, labels) for each in answers]).sum().backward()
        flops, moved = 3 * counter.get_total_flops() / 2, traffic.moved / 2  # backward: twice the forward's
        least = f"{flops / 1e9:.1f} | {1e3 * flops / rate:.0f} | {moved / 1e6:.0f} | {1e3 * moved / flow:.0f}"
        lines.append(f"| {network} | {least} | {loading[0]:.0f} | {loading[1]:.0f} |")
    return [*lines, ""]


def make_tree(root: Path, count: int, size: tuple[int, int]) -> None:
    """Streets in Cityscapes' layout, with the noise of a sensor: PNGs compress as little as real ones."""
    ids = np.array([23, 11, 17, 7, 8, 21, 20, 13, 26, 24, 33], np.uint8)
    rng = np.random.default_rng(0)
    for split, index in [*(("train", i) for i in range(count)), ("val", 0)]:
        source = load_card("streets").open(split, size=size, count=count)
        name = f"{split}/streets/streets_{index:06d}_000019"
        noisy = source.image(index) + rng.normal(0, 1, (*size, 3))
        for folder, end, pixels in (
            ("leftImg8bit", "leftImg8bit", np.clip(noisy, 0, 255).astype(np.uint8)),
            ("gtFine", "gtFine_labelIds", np.append(ids, np.zeros(245, np.uint8))[source.labels(index)]),
        ):
            path = root / folder / f"{name}_{end}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def table(figures: dict[str, dict[str, tuple[float, float]]]) -> list[str]:
    lines = [
        "| network | way | images/s | swath / this | CPU s an image | this / swath |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for network, ways in figures.items():
        speed, cpu = ways["swath"]
        for way, (mine, spent) in ways.items():
            ratios = f"{mine:.2f} | {speed / mine:.2f} | {spent:.3f} | {spent / cpu:.2f}"
            lines.append(f"| {network} | {NAMES[way]} | {ratios} |")
    return lines


NAMES = {
    "plain": "plain loop",
    "swath": "**swath**",
    "NCHW": "without channels_last",
    "plain optimiser": "without a fused optimiser",
    "floats from the loader": "normalised in the loader, float32 over the bus",
    "memory given back": "memory given back to the system when it is freed",
    "look each step": "with a look at the loss in each step",
    "float32": "without bfloat16",
    "graphs": "swath, graphs: true",
    "compile": "swath, compile: true",
}


def _size(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--ways", nargs="+", choices=list(NAMES), help="beside plain and swath (default: all)")
    parser.add_argument("--pictures", type=int, nargs=2, default=(1024, 512), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--window", type=int, nargs=2, default=(512, 256), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--count", type=int, default=24, help="pictures")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stopped processes would outlive this one
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder), given.count, tuple(reversed(given.pictures)))
        write(given, Path(folder))


def write(given: argparse.Namespace, folder: Path) -> None:
    file = Path(__file__).with_suffix(".md")
    text = file.read_text() if file.exists() else INTRODUCTION
    for cores in given.cores if given.device == "cpu" else [0]:
        load, figures = os.getloadavg()[0], {}
        least = bounds(given, folder, cores) if cores else []
        for network in given.networks:
            job = Job(network, folder, tuple(reversed(given.window)), given.batch, given.device, cores)
            ways = ON_CPU if given.device == "cpu" else ON_GPU
            ways = [way for way in ways if given.ways is None or way in ("plain", "swath", *given.ways)]
            figures[network] = measure(ways, job, given.rounds, given.steps)
            print("\n".join(table({network: figures[network]})), flush=True)
        where = f"{cores} core{'s' * (cores > 1)}" if cores else torch.cuda.get_device_name()
        head = f"## {where}"
        said = (
            f"{platform.processor() or platform.machine()}, torch {torch.__version__}; PNG of {_size(given.pictures)}, "
            f"windows of {_size(given.window)}, batch {given.batch}; {given.rounds} rounds of {given.steps} steps in "
            f"turns, medians; load of the machine {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end."
        )
        before, found, rest = text.partition(head + "\n")
        after = rest[rest.find("\n## ") + 1 :] if found and "\n## " in rest else ""
        text = "\n".join([before.rstrip(), "", head, "", said, "", *least, *table(figures), "", after]).rstrip() + "\n"
        file.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        way, network, root, height, width, batch, device, cores = sys.argv[2:]
        take_turns(way, Job(network, Path(root), (int(height), int(width)), int(batch), device, int(cores)))
    else:
        main()
