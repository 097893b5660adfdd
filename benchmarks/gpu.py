"""All that wants a GPU, as parts of at most ten minutes each; figures and weights come into one folder.

    python benchmarks/gpu.py FOLDER                                        checks, ceilings, finish, zoo
    python benchmarks/gpu.py FOLDER --parts training,weights --camvid PACKED
    python benchmarks/gpu.py FOLDER --device cpu --quick                   does the script itself run?

  checks    the tests that skip without a GPU, and whether fp16 in CUDA graphs answers as float32 on the CPU does
  ceilings  what the device can do at all: copies, and matrix products in fp16 and float32
  finish    swath's kernel against interpolate + argmax and + max, and against the time that its bytes need
  zoo       benchmarks/zoo.py --device cuda: every network at its authors' size, against eager float32
  training  benchmarks/training.py --device cuda: pictures a second against a plain loop
  weights   training of the networks that ship on CamVid, packed (`swath pack camvid --format jpeg`), as many at a time
            as there are recipes; each leaves its weights and scores

FOLDER/PART.json or PART.log holds what a part found. A part that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from swath.bench.timing import synchroniser
from swath.finish import labels
from swath.finish.labels import reference_labels

HERE = Path(__file__).parent
SHIPPED = ("contextnet14_160", "contextnet14", "fpn_lite_mobilenetv2", "csfcn_tiny")
FINISHES = ((19, 8, 1024, 2048), (19, 16, 1024, 2048), (19, 8, 1080, 1920), (11, 8, 720, 960), (150, 8, 512, 512))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", default="checks,ceilings,finish,zoo", help="with commas (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all parts together (default: %(default)s)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--camvid", type=Path, help="packed CamVid, for the part weights")
    parser.add_argument(
        "--recipes",
        default=",".join(f"{name}-camvid" for name in SHIPPED),
        help="of the part weights (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="sizes and counts so small that figures mean nothing")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * arguments.minutes
    parts = {
        "checks": checks,
        "ceilings": ceilings,
        "finish": finish,
        "zoo": zoo,
        "training": training,
        "weights": weights,
    }
    for name in arguments.parts.split(","):
        left = until - time.monotonic()
        began = time.monotonic()
        print(f"--- {name}, {left:.0f} s left", flush=True)
        try:
            parts[name](arguments, left)
        except Exception as error:  # whatever it was, the minutes that are left belong to the others
            print(f"{name} failed: {type(error).__name__}: {error}", flush=True)
        print(f"--- {name} took {time.monotonic() - began:.0f} s", flush=True)


def checks(arguments: argparse.Namespace, left: float) -> None:
    tests = ["tests/finish", "tests/evaluation/test_confusion.py", "tests/inference/test_engines.py"]
    tests += ["tests/training/test_jitter.py", "tests/training/test_graphs_cuda.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--maxfail", "20"]
    logged(arguments, "checks", [*command, *tests], min(left, 150))


def ceilings(arguments: argparse.Namespace, left: float) -> None:
    device, side = arguments.device, 512 if arguments.quick else 8192
    count = side * side
    found: dict[str, float | str] = {"device": name_of(device), "torch": torch.__version__}
    source = torch.empty(4 * count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    ms = median(lambda: target.copy_(source), device)
    found["copy, GB/s read and written"] = 2 * source.numel() / ms / 1e6
    for dtype in (torch.float16, torch.float32):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        ms = median(lambda a=a, b=b: a @ b, device, 10)
        found[f"matrix product, {str(dtype)[6:]}, TFLOP/s"] = 2 * side**3 / ms / 1e9
    save(arguments, "ceilings", found)


def finish(arguments: argparse.Namespace, left: float) -> None:
    """`wrong` counts labels that are not those of the definition; a few of a million may, where two classes tie."""
    rows = []
    for classes, stride, height, width in FINISHES[: 1 if arguments.quick else None]:
        size = (height, width)
        small = F.interpolate(torch.randn(1, classes, height // stride // 8, width // stride // 8), scale_factor=8.0)
        logits = (4 * small + torch.randn_like(small)).to(arguments.device)
        if arguments.device != "cpu":
            logits = logits.half()

        def full(logits: torch.Tensor = logits, size: tuple[int, int] = size) -> torch.Tensor:
            return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)

        ways: dict[str, Callable[[], object]] = {
            "swath": lambda logits=logits, size=size: labels(logits, size),
            "interpolate + argmax": lambda full=full: full().argmax(1),
            "interpolate + max": lambda full=full: full().max(1).indices,
        }
        ms = {way: median(call, arguments.device) for way, call in ways.items()}
        wrong = int((labels(logits, size) != reference_labels(logits, size)).sum())
        moved = logits.numel() * logits.element_size() + height * width
        rows.append({"classes": classes, "stride": stride, "size": size, "ms": ms, "wrong": wrong, "bytes": moved})
        print(classes, stride, size, {way: round(value, 4) for way, value in ms.items()}, "wrong", wrong, flush=True)
    save(arguments, "finish", rows)


def zoo(arguments: argparse.Namespace, left: float) -> None:
    command = [sys.executable, str(HERE / "zoo.py"), "--device", arguments.device, "--out", str(arguments.folder)]
    command += ["--rounds", "40", "--minutes", str(max(0.5, (left - 40) / 60))]
    command += ["--only", "contextnet14_160", "--rounds", "3"] if arguments.quick else []
    logged(arguments, "zoo", command, left)


def training(arguments: argparse.Namespace, left: float) -> None:
    logged(arguments, "training", [sys.executable, str(HERE / "training.py"), "--device", arguments.device], left)


def weights(arguments: argparse.Namespace, left: float) -> None:
    """One process a recipe, all at once: a light network alone leaves most of a large GPU idle. A run that is not done
    in time is told to stop, saves itself, and leaves the best that it had."""
    if arguments.camvid is None:
        raise SystemExit("the part weights needs --camvid PACKED")
    runs: dict[str, subprocess.Popen[bytes]] = {}
    for recipe in arguments.recipes.split(","):
        name = Path(recipe).stem
        folder = arguments.folder / "runs" / name
        command = [sys.executable, "-m", "swath", "train"]
        if (folder / "checkpoints").is_dir():
            command += ["--resume", str(folder)]
        else:
            command += [
                recipe,
                "--data.root",
                str(arguments.camvid),
                "--device",
                arguments.device,
                "--out",
                str(folder),
            ]
            command += ["--epochs", "1"] if arguments.quick else []
        with (arguments.folder / f"{name}.log").open("wb") as log:
            runs[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    until = time.monotonic() + left - 20
    while time.monotonic() < until and any(run.poll() is None for run in runs.values()):
        time.sleep(1)
    for run in runs.values():
        if run.poll() is None:
            run.send_signal(signal.SIGTERM)
    for name, run in runs.items():
        run.wait()
        best = arguments.folder / "runs" / name / "best.safetensors"
        if best.exists():
            (arguments.folder / f"{name}.safetensors").write_bytes(best.read_bytes())
        print(name, "ended with", run.returncode, flush=True)


def logged(arguments: argparse.Namespace, name: str, command: list[str], seconds: float) -> None:
    with (arguments.folder / f"{name}.log").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=max(seconds, 10), cwd=HERE.parent)
    lines = (arguments.folder / f"{name}.log").read_text().splitlines()
    print("\n".join(lines[-12:]), f"\n{name}: exit status {done.returncode}", flush=True)


def save(arguments: argparse.Namespace, name: str, found: object) -> None:
    text = json.dumps(found, indent=1)
    (arguments.folder / f"{name}.json").write_text(text + "\n")
    print(text, flush=True)


def median(call: Callable[[], object], device: str, count: int = 30) -> float:
    """Milliseconds of a call, waited for."""
    wait = synchroniser(device)
    for _ in range(3):
        call()
    wait()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        wait()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


if __name__ == "__main__":
    main()
