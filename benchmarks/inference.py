"""A JPEG on the disk to a label PNG on the disk: swath against the same network run the usual way, and against others.

    python benchmarks/inference.py                       every network of CSFCN and EdgeAI-Lite, two threads
    python benchmarks/inference.py csfcn_tiny --threads 1
    python benchmarks/inference.py --other ~/side/bin/python    and those of transformers, segmentation_models.pytorch
                                                         and ultralytics that this Python has
    python benchmarks/inference.py --page                only writes benchmarks/inference.md

Figures are kept in benchmarks/inference.json, a network and size at a time, so that a run can be left and gone on with.
Each way runs in a process of its own (inference_way.py), whose highest memory is told; all ways of a network take
turns. Weights are random. The ways:

  usual      OpenCV, floats in numpy, the network in eager torch as it is built, logits enlarged to the picture's size,
             argmax, Pillow: as the projects' own scripts do it
  ENGINE     `swath predict --write labels` by this engine; the PNG is forced to the disk, which no other way does
  default    of these, the one that `swath predict` itself takes for a thousand such pictures, having measured here
  others     as their documentation shows them, a label PNG being written in the end
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from inference_page import CLASSES, write_page

from swath.bench.manifest import manifest
from swath.bench.paying import Work, best_engine
from swath.bench.run import street
from swath.bench.timing import in_turns
from swath.data import read_label_raw
from swath.errors import SwathError
from swath.inference import Views
from swath.inference.runtimes.engines import present
from swath.networks import create_model
from swath.networks.registry import FAMILIES
from swath.weights import load_weights, save_weights

HERE = Path(__file__).parent
SIZES = ((512, 1024), (1024, 2048))  # height, width
OTHERS = ("transformers", "transformers pipeline", "smp Segformer", "smp Unet", "ultralytics")
BESIDE = ("csfcn", "csfcn_tiny", "fpn_lite_mobilenetv2")  # ours that take turns with the others
LEAST = 5  # calls of the slowest, from whose times percentiles can hardly be told
MANY = 1000  # pictures


class Way:
    """A process that goes from file to file when it is told to."""

    def __init__(self, python: str, **asked: Any):
        self.labels = Path(asked["labels"])
        script = str(HERE / "inference_way.py")
        quiet = None if os.environ.get("VERBOSE") else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [python, "-P", script, json.dumps(asked)],  # -P: a file beside it is no module of theirs
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=quiet,
            text=True,
        )
        self.failed: str | None = None
        self.version = ""

    def open(self) -> None:
        """Wait until it has gone around once."""
        found = self._answer()
        self.failed, self.version = found.get("failed"), found.get("version", "")

    def ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"failed": f"ended with status {self._process.wait()}"}


def measure(name: str, size: tuple[int, int], asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A network the usual way and by each engine."""
    weights = saved(name, folder)
    if isinstance(weights, str):
        return {"failed": weights, "name": name}
    default = fastest(weights, size)
    settings = common(size, asked.threads, folder)
    ways = {"usual": partial(Way, sys.executable, way="usual", weights=str(weights), **settings)}
    for engine in present(".safetensors", "cpu"):
        if engine != "compiled":  # which is chosen by name only: it compiles for minutes, again for every size
            ways[engine] = partial(Way, sys.executable, way="swath", engine=engine, weights=str(weights), **settings)
    found = timed(ways, asked, folder, stages=True)
    return {"default": default, **found}


def measure_others(size: tuple[int, int], asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Other projects' ways and some networks by ours."""
    settings = common(size, asked.threads, folder)
    ways = {way: partial(Way, asked.other, way=way, **settings) for way in OTHERS}
    defaults = {}
    for name in BESIDE:
        weights = saved(name, folder)
        assert isinstance(weights, Path)
        defaults[name] = fastest(weights, size)
        ways[name] = partial(Way, sys.executable, way="swath", engine=defaults[name], weights=str(weights), **settings)
    return {"defaults": defaults, **timed(ways, asked, folder, stages=False)}


def saved(name: str, folder: Path) -> Path | str:
    """Its weights in a file; or why it makes no label maps of pictures alone."""
    torch.manual_seed(0)
    network = create_model(name, num_classes=CLASSES).drop_aux().eval()
    if list(network.inputs) != ["image"] or "segmentation" not in network.tasks:
        return f"takes {' and '.join(network.inputs)}, answers {' and '.join(network.tasks)}"
    path = folder / f"{name}.safetensors"
    classes = [f"class {index}" for index in range(CLASSES)]
    colors = [(index * 13, index * 7, 255 - index * 13) for index in range(CLASSES)]
    save_weights(path, network, classes=classes, colors=colors)
    return path


def fastest(weights: Path, size: tuple[int, int]) -> str:
    """The engine that `swath predict` takes for many pictures: it measures once, and remembers for the next run."""
    found = best_engine(load_weights(weights), "cpu", Work(MANY, size), Views())
    return found[0] if found else "torch"


def common(size: tuple[int, int], threads: int, folder: Path) -> dict[str, Any]:
    picture = folder / f"{size[1]}x{size[0]}.jpg"
    if not picture.exists():
        cv2.imwrite(str(picture), street(size, 3)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return {"picture": str(picture), "threads": threads}


def timed(ways: dict[str, Any], asked: argparse.Namespace, folder: Path, stages: bool) -> dict[str, Any]:
    """Open all, let them take turns, ask each for its memory and its stages."""
    opened: dict[str, Way] = {}
    failed: dict[str, str] = {}
    for name, start in ways.items():
        way = opened[name] = start(labels=str(folder / f"{name.replace(' ', '_')}.png"))
        way.open()
        if way.failed is not None:
            failed[name] = way.failed
            opened.pop(name).close()
    try:
        began = time.perf_counter()
        for way in opened.values():
            way.ask("call")
        once = time.perf_counter() - began
        count = max(LEAST, min(asked.calls, int(asked.seconds / once)))
        times = in_turns([partial(way.ask, "call") for way in opened.values()], count, 1, "cpu")
        peaks = {name: way.ask("peak")["peak"] for name, way in opened.items()}
        parts = {name: way.ask("stages")["stages"] for name, way in opened.items()} if stages else {}
        differ = difference({name: way.labels for name, way in opened.items()}) if stages else {}
        versions = {name: way.version for name, way in opened.items() if way.version}
    finally:
        for way in opened.values():
            way.close()
    ms = {name: told(each) for name, each in zip(opened, times)}
    load = round(os.getloadavg()[0], 1)
    told_all = {"count": count, "ms": ms, "peak": peaks, "stages": parts, "differ": differ, "failed": failed}
    return {**told_all, "versions": versions, "load": load}


def difference(files: dict[str, Path]) -> dict[str, float]:
    """The share of pixels that have another label than the usual way gives them."""
    labels = {name: read_label_raw(path) for name, path in files.items()}
    return {name: float((each != labels["usual"]).mean()) for name, each in labels.items()}


def told(milliseconds: list[float]) -> dict[str, float]:
    p50, p90, p99 = (round(float(value), 2) for value in np.percentile(milliseconds, (50, 90, 99)))
    return {"p50": p50, "p90": p90, "p99": p99}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", default="", metavar="WxH,...", help="default: 1024x512,2048x1024")
    parser.add_argument("--other", metavar="PYTHON", help="measures only the others, and ours beside them")
    parser.add_argument("--calls", type=int, default=40, help="at most, of each way")
    parser.add_argument("--seconds", type=float, default=60, help="for a network at a size, to choose the calls by")
    parser.add_argument("--again", action="store_true", help="measure also what has figures")
    parser.add_argument("--minutes", type=float, help="begin nothing after that long")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(asked.threads)
    file = HERE / "inference.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    subjects = ["others"] if asked.other else asked.networks or [*FAMILIES["csfcn"], *FAMILIES["edgeai_lite"]]
    sizes = [tuple(map(int, each.split("x")))[::-1] for each in asked.sizes.split(",") if each] or SIZES
    kept.setdefault("figures", {})
    folder = Path(tempfile.gettempdir()) / "swath-inference"
    folder.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder)  # networks converted once; what is measured here is remembered here
    began = time.monotonic()
    for number, name in enumerate([] if asked.page else subjects, 1):
        keys = {f"{name} {size[1]}x{size[0]} {asked.threads}": size for size in sizes}
        missing = {key: size for key, size in keys.items() if asked.again or key not in kept["figures"]}
        if missing and asked.minutes and time.monotonic() - began > 60 * asked.minutes:
            print(f"time is over; {len(subjects) - number + 1} are left, the same command goes on with them")
            break
        for key, size in missing.items():
            try:
                found = measured(name, size, asked, folder)
            except SwathError as error:
                found = {"failed": str(error), "name": name}
            kept["figures"][key] = found
            kept["manifest"] = manifest("cpu")
            file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
            print(f"{number}/{len(subjects)} {key}: {summary(found)}", flush=True)
    write_page()


def measured(name: str, size: tuple[int, int], asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    return (measure_others(size, asked, folder) if name == "others" else measure(name, size, asked, folder)) | {
        "size": [size[1], size[0]],
        "threads": asked.threads,
        "name": name,
    }


def summary(found: dict[str, Any]) -> str:
    if not found.get("ms"):
        return str(found["failed"])
    ms = {way: each["p50"] for way, each in found["ms"].items()}
    if "default" in found:
        default = found["default"]
        return f"usual {ms['usual']:.0f} ms, {default} {ms[default]:.0f} ms, {ms['usual'] / ms[default]:.2f}x"
    return ", ".join(f"{way} {value:.0f} ms" for way, value in ms.items())


if __name__ == "__main__":
    main()
