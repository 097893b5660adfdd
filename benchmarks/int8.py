"""What int8 costs in mIoU and gains in time and size, network by network, on synthetic streets.

    python benchmarks/int8.py [--folder runs/int8] [--networks fastscnn,erfnet] [--engines onnxruntime,openvino]

Each network is trained briefly, quantised as `swath quantize` does it with each engine (budget 0.5 points), and timed:
float and int8 in ONNX Runtime and OpenVINO in turns, pixels to logits. Everything is kept in the folder and not done
again, so that the script can be stopped and started; benchmarks/int8.md is written anew after each step, with all that
the folder holds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import swath
from swath.bench.manifest import cpu_name
from swath.bench.run import street
from swath.cards import load_card
from swath.deploy import export
from swath.quantise.engines import ENGINES, Settings, quantize, report
from swath.quantise.engines.processor import weight_range
from swath.quantise.engines.timing import RUNTIMES, Timing, timings

NETWORKS = (
    "contextnet14",
    "fastscnn",
    "pp_liteseg_t",
    "ddrnet23_slim",
    "fpn_lite_mobilenetv2",
    "bisenetv2",
    "csfcn_tiny",
    "stdc1_seg",
    "regseg",
    "rf_lw_mobilenetv2",
    "swiftnet_resnet18",
    "erfnet",
)
RATES = {"rf_lw_mobilenetv2": 1e-3}  # where the recipe's own is too high: its decoder has no norms
TIMED = "onnxruntime"  # whose file is timed, for both runtimes read it
SIZE = (512, 1024)
BUDGET = 0.5


def train(name: str, folder: Path, epochs: int) -> Path:
    """Weights of a short run; what matters is that ranges are those of a trained network."""
    weights = folder / name / "best.safetensors"
    if not (folder / name / "last.safetensors").is_file():
        words = ["--network", name, "--epochs", str(epochs), "--out", str(folder / name), "--overwrite"]
        words += ["--data.train_options", "{count: 160, size: 512x256}", "--tensorboard", "false"]
        words += ["--threads", str(torch.get_num_threads())]
        words += ["--lr", str(RATES[name])] if name in RATES else []
        subprocess.run([sys.executable, "-m", "swath", "train", "streets", *words], check=True)
    return weights


def quantise(name: str, engine: str, weights: Path, folder: Path) -> bool:
    """The figures of one engine as NAME-ENGINE.layers.json; the file too, over the budget or not. Whether it is new."""
    out = folder / f"{name}-{engine}{ENGINES[engine].ending}"
    if report.paths(out)[1].is_file():
        return False
    card = load_card("streets")
    settings = Settings(engine=engine, budget=BUDGET, pictures=48, subset=24)
    outcome = quantize(swath.load(weights), card.open("train"), card.open("val"), out, settings, force=True)
    report.write(outcome, out, {"weights": name})
    return True


def clock(name: str, weights: Path, folder: Path, again: bool) -> None:
    """Float and int8 in both engines, in one run, as NAME.timed.json."""
    out = folder / f"{name}.timed.json"
    if out.is_file() and not again:
        return
    plain = folder / f"{name}.onnx"
    if not plain.is_file():
        export(swath.load(weights), plain, "onnx")
    found: list[Timing] = []
    pixels = torch.from_numpy(street(SIZE, 3))[None]
    for _ in timings({"fp32": plain, "int8": folder / f"{name}-{TIMED}.onnx"}, pixels, found):
        pass
    load = os.getloadavg()[0]
    out.write_text(json.dumps({"of": TIMED, "load": load, "milliseconds": [asdict(each) for each in found]}))


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def lossy(name: str, engines: list[str], folder: Path) -> list[str]:
    """Of each engine: mIoU in float and in int8, what was lost, layers in float, file."""
    cells = []
    for engine in engines:
        told = read(folder / f"{name}-{engine}.layers.json")
        if not told:
            cells.append("")
            continue
        kept = sum(row["runs_in"] == "float" for row in told["layers"])
        cells.append(
            f"{100 * told['miou_float']:.2f} → {100 * told['miou_int8']:.2f}, "
            f"{told['lost']:+.2f}{'' if told['holds'] else ' (over)'}, {kept} of {len(told['layers'])} in float, "
            f"{told['bytes_float'] / told['bytes']:.1f}×"
        )
    return cells


def speed(name: str, folder: Path) -> list[str]:
    """Milliseconds, and how many times as fast as float int8 is in each engine."""
    told = read(folder / f"{name}.timed.json")
    by = {(each["runtime"], each["precision"]): each["ms"] for each in told.get("milliseconds", ())}
    cells = []
    for runtime in RUNTIMES:
        plain, ours = by.get((runtime, "fp32")), by.get((runtime, "int8"))
        cells.append(f"{plain:.1f} / {ours:.1f} = {plain / ours:.2f}" if plain and ours else "")
    floats, ints = ([ms for (_, kind), ms in by.items() if kind == precision] for precision in ("fp32", "int8"))
    return [*cells, f"{min(floats) / min(ints):.2f}" if by else "", f"{told['load']:.0f}" if told else ""]


def write(folder: Path, epochs: int) -> None:
    from importlib.metadata import version

    done = [path.name.removesuffix(".layers.json").rsplit("-", 1) for path in sorted(folder.glob("*-*.layers.json"))]
    names = sorted({name for name, _ in done}, key=lambda name: (name not in NETWORKS, [*NETWORKS, name].index(name)))
    engines = [engine for engine in ENGINES if any(engine == each for _, each in done)]
    packages = ", ".join(f"{each} {version(each)}" for each in ("torch", "onnxruntime", "openvino", "nncf", "torchao"))
    lines = [
        "# int8 in other engines",
        "",
        f"`python benchmarks/int8.py`: {cpu_name()}, {torch.get_num_threads()} thread(s), {packages}. "
        f"Here: {weight_range().why.partition(';')[0]}.",
        "",
        f"Trained for {epochs} epochs on 160 synthetic streets; mIoU (%) on all 64 of the validation split, in the "
        f"engine that the file is for; ranges from 48 pictures, budget {BUDGET} points. The last figure is how many "
        "times smaller the file is than the same network in float.",
        "",
        f"| network | {' | '.join(engines)} |",
        "|---|" + "---|" * len(engines),
        *(f"| {name} | {' | '.join(cells)} |" for name in names if any(cells := lossy(name, engines, folder))),
        "",
        f"Milliseconds, float / int8 = times as fast, {SIZE[1]}x{SIZE[0]}, pixels to logits, medians of calls in "
        f"turns; the file of {TIMED} in both engines. `best` is the faster float over the faster int8; `load` is "
        "the system's average while it was timed: above the number of cores, ratios are coarse and times long.",
        "",
        f"| network | {' | '.join(RUNTIMES.values())} | best | load |",
        "|---|" + "---|" * len(RUNTIMES) + "---:|---:|",
        *(f"| {name} | {' | '.join(cells)} |" for name in names if any(cells := speed(name, folder))),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/int8"))
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--engines", default="onnxruntime,openvino,torchao", help="those of " + TIMED + " are timed")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names, engines = arguments.networks.split(","), arguments.engines.split(",")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for engine in engines:  # one engine for all networks, then the next: a part of the table is of use too
        for name in names:
            weights = train(name, arguments.folder, arguments.epochs)
            new = quantise(name, engine, weights, arguments.folder)
            if engine == TIMED:
                clock(name, weights, arguments.folder, again=new)
            write(arguments.folder, arguments.epochs)
            print(name, *lossy(name, [engine], arguments.folder), *speed(name, arguments.folder), sep="  |  ")


if __name__ == "__main__":
    main()
