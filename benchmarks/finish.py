"""From logits to labels: swath's finish, in each of its ways, against `interpolate` + `argmax`.

    python benchmarks/finish.py [ROUNDS]     writes benchmarks/finish.md

"lifelike": labels of the synthetic streets, averaged over each logit's pixels, blurred and with noise; "noise": every
logit drawn by itself, so that every cell is mixed. All ways take turns, so that a busy machine slows all alike; times
are medians, and the least in brackets. Every way must label as the first one does (a pixel in 100,000 may be a tie), or
the script stops. The floor reads the logits once and writes the labels once. numba takes part where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import swath
from swath.cards import load_card
from swath.data.streets import Streets
from swath.finish import confident, labels, way

CASES = (  # classes, stride, height, width
    (19, 8, 1024, 2048),
    (19, 16, 1024, 2048),
    (19, 4, 1024, 2048),
    (19, 1, 512, 1024),
    (11, 8, 360, 480),
)
NAMES = {"c": "swath, compiled C", "numba": "swath, numba", "torch": "swath, plain torch"}
Job = Callable[[], Tensor | None]


def lifelike(classes: int, stride: int, size: tuple[int, int]) -> Tensor:
    truth = Streets(load_card("streets"), "val", size=size).labels(3)
    shares = F.avg_pool2d(F.one_hot(torch.from_numpy(truth).long() % classes, classes).permute(2, 0, 1).float(), stride)
    blurred = F.avg_pool2d(shares[None], 3, 1, 1, count_include_pad=False)
    return 8 * blurred + 0.3 * torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))


def mixed(logits: Tensor) -> float:
    """Share of cells whose corners do not agree."""
    best = logits.argmax(1)[0]
    here = best[:-1, :-1]
    return float(((here != best[:-1, 1:]) | (here != best[1:, :-1]) | (here != best[1:, 1:])).float().mean())


def ways() -> list[str]:
    return [name for name in NAMES if name == "torch" or name == way() or (name == "numba" and has_numba())]


def has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def chosen(name: str, job: Job) -> Job:
    def run() -> Tensor | None:
        os.environ["SWATH_FINISH"] = name
        try:
            return job()
        finally:
            del os.environ["SWATH_FINISH"]

    return run


def jobs(logits: Tensor, size: tuple[int, int]) -> dict[str, Job]:
    out = torch.empty(size, dtype=torch.uint8)

    def full() -> Tensor:
        return F.interpolate(logits, size=size, mode="bilinear")

    def floor() -> None:
        logits.sum()
        out.fill_(1)

    return {
        "interpolate + argmax(1)": lambda: full().argmax(1),
        "interpolate + max(1)": lambda: full().max(1).indices,
        **{NAMES[name]: chosen(name, lambda: labels(logits, size)) for name in ways()},
        "with confidence and margin: interpolate + softmax + topk": lambda: full().softmax(1).topk(2, 1).indices[:, 0],
        **{
            f"with confidence and margin: {NAMES[name]}": chosen(name, lambda: confident(logits, size).labels)
            for name in ways()
            if name != "numba"
        },
        "floor: logits read, labels written": floor,
    }


def measured(todo: dict[str, Job], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a call. Quick ways are called several times in each of their turns, or they would mostly be paying
    for the caches that the way before them emptied."""
    times: dict[str, list[float]] = {name: [] for name in todo}
    calls: dict[str, int] = {}
    wanted = None
    for name, job in todo.items():
        answer = job()
        began = time.perf_counter()
        job()
        calls[name] = max(1, min(20, int(0.02 / (time.perf_counter() - began))))
        if answer is not None:
            wanted = answer if wanted is None else wanted
            differ = int((answer != wanted).sum())
            if differ > wanted.numel() / 100_000:
                sys.exit(f"{name}: {differ} of {wanted.numel()} pixels differ")
    for _ in range(rounds):
        for name, job in todo.items():
            for _ in range(calls[name]):
                began = time.perf_counter()
                job()
                times[name].append(1e3 * (time.perf_counter() - began))
    return times


def table(title: str, times: dict[str, list[float]]) -> list[str]:
    middle = {name: statistics.median(each) for name, each in times.items()}
    lines = [f"### {title}", "", "| way | ms (least) | times faster than argmax | than max |", "|---|---:|---:|---:|"]
    for name, each in times.items():
        ratios = [f"{middle[base] / middle[name]:.1f}" for base in list(middle)[:2]]
        lines.append(f"| {name} | {middle[name]:.2f} ({min(each):.2f}) | {' | '.join(ratios)} |")
    return [*lines, ""]


def start_up() -> list[str]:
    """What each way costs before the first label: in a process with an empty cache, and in the next one."""
    code = (
        "import time, torch; from swath.finish import labels; z = torch.randn(1, 19, 8, 8)\n"
        "began = time.perf_counter(); labels(z, (64, 64)); print(time.perf_counter() - began)"
    )
    inductor = (
        "import time, torch; began = time.perf_counter()\n"
        "from torch._inductor.codecache import CppCodeCache\n"
        "CppCodeCache.load('extern \"C\" int f(int x) { return x + 1; }'); print(time.perf_counter() - began)"
    )
    lines = ["| way | to install | first use ever, s | first use in a process, s |", "|---|---:|---:|---:|"]
    compiler = "0 (a C compiler must be there)"
    asked = [(NAMES[name], name, code, {"c": compiler, "torch": "0", "numba": installed()}[name]) for name in ways()]
    asked.append(("an empty C++ function through torch's inductor, for comparison", "torch", inductor, compiler))
    for title, name, program, size in asked:
        with tempfile.TemporaryDirectory() as cache:
            folders = dict.fromkeys(("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"), cache)
            seconds = []
            for _ in range(2):
                done = subprocess.run(
                    [sys.executable, "-c", program],
                    env={**os.environ, "SWATH_FINISH": name, **folders},
                    capture_output=True,
                    text=True,
                )
                seconds.append(f"{float(done.stdout):.2f}" if done.returncode == 0 else "it cannot be had here")
        lines.append(f"| {title} | {size} | {seconds[0]} | {seconds[1]} |")
    return [*lines, ""]


def installed() -> str:
    sizes = 0
    for package in ("numba", "llvmlite"):
        found = importlib.util.find_spec(package)
        if found and found.origin:
            folders = [Path(found.origin).parent, *Path(found.origin).parent.parent.glob(f"{package}.libs")]
            sizes += sum(each.stat().st_size for folder in folders for each in folder.rglob("*") if each.is_file())
    return f"{sizes / 1e6:.0f} MB"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((each.split(":")[1].strip() for each in lines if each.startswith("model name")), platform.processor())


def main(rounds: int) -> None:
    threads = sorted({1, torch.get_num_threads(), os.cpu_count() or 1})
    tables: list[str] = []
    for classes, stride, height, width in CASES:
        noise = torch.randn(1, classes, height // stride, width // stride, generator=torch.Generator().manual_seed(1))
        for kind, logits in (("lifelike", lifelike(classes, stride, (height, width))), ("noise", noise)):
            for count in threads:
                torch.set_num_threads(count)
                title = (
                    f"1x{classes}x{logits.shape[2]}x{logits.shape[3]} to {height}x{width}, {kind} "
                    f"({100 * mixed(logits):.0f} % of the cells mixed), {count} thread{'s' * (count > 1)}"
                )
                lines = table(title, measured(jobs(logits, (height, width)), rounds))
                print("\n".join(lines), flush=True)
                tables += lines
    version = ""
    if shutil.which("cc"):
        version = subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    head = [
        "# Finish: logits to labels",
        "",
        f"`python benchmarks/finish.py {rounds}`: {rounds} rounds, all ways in turn, median (least). swath "
        f"{swath.__version__}, torch {torch.__version__}, numpy {np.__version__}, {version or 'no C compiler'}, "
        f"Python {platform.python_version()}, {processor()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the end (1 a thread that works; more: other processes were running).",
        "",
    ]
    starts = ["### Before the first label", "", *start_up()]
    print("\n".join(starts))
    Path(__file__).with_suffix(".md").write_text("\n".join([*head, *tables, *starts]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
