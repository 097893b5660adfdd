"""Every registered network by one protocol: how fast it is here, against the usual way, and what its authors claim.

    python benchmarks/zoo.py                        measures on this CPU what is missing, then writes docs/benchmarks.md
    python benchmarks/zoo.py --device cuda          the same on a GPU: fp16 in CUDA graphs, at the authors' sizes
    python benchmarks/zoo.py --only 'pidnet*' --again
    python benchmarks/zoo.py --pages                only writes the page and its pictures

Figures are kept in benchmarks/zoo-cpu.json and zoo-cuda.json, a network at a time, so that a run can be left and gone
on with. All ways of one network take turns. They begin with uint8 pixels in host memory and end with labels there:

  usual      the network in eager float32 as it is built, pixels normalised in torch, `model(x)` (logits enlarged to the
             picture's size, as other libraries give them), `argmax(1)`
  network    swath's engine from pixels to logits at the network's own stride
  mask       the same and swath's finish
  int8       (CPU, the networks of INT8) as mask, of the network in 8 bits

Weights are random, so the label maps are ragged, which makes the finish slower than a trained network's. How much int8
costs in accuracy is for benchmarks/int8.py, with trained ones.
"""

from __future__ import annotations

import argparse
import fnmatch
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from zoo_page import write_page

from swath.bench import macs
from swath.bench.manifest import manifest
from swath.bench.run import street
from swath.bench.timing import in_turns
from swath.errors import SwathError
from swath.inference import Segmenter
from swath.networks import Network, create_model, list_models, model_info

HERE = Path(__file__).parent
CLASSES = 19
ON_CPU = (512, 1024)  # height, width: one size for all; their authors' sizes would take hours
ENGINES = {"cpu": ("torch", "onnxruntime", "openvino"), "cuda": ("graphs",)}
INT8 = (  # those that run on small devices, and one at least of each way to build a network
    "contextnet14",
    "fastscnn",
    "bisenetv2",
    "ddrnet23_slim",
    "pidnet_s",
    "stdc1_seg",
    "pp_liteseg_t",
    "regseg",
    "csfcn_tiny",
    "sfanet",
    "swiftnet_resnet18",
    "erfnet",
    "rf_lw_mobilenetv2",
    "deeplabv3plus_lite_mobilenetv2",
    "unet_lite_mobilenetv2",
    "fpn_lite_mobilenetv2",
)
IN_8_BITS = ("onnxruntime", "openvino")


def usual(network: Network, device: str) -> Callable[[Tensor], Tensor]:
    """As the projects' own scripts and most libraries' examples do it."""
    normalise = network.preprocess.module().to(device)

    @torch.inference_mode()
    def call(pixels: Tensor) -> Tensor:
        answer = network(normalise(pixels.to(device).permute(0, 3, 1, 2).float()))
        logits = answer["segmentation"] if isinstance(answer, dict) else answer
        return logits.argmax(1).to(torch.uint8).cpu()

    return call


def in_8_bits(network: Network, pixels: Tensor) -> dict[str, Segmenter]:
    """The network as 8-bit integers, its ranges from one picture, in each engine that runs them."""
    from swath.deploy import export
    from swath.quantise import calibrate

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{network.name}.onnx"
        export(calibrate(network, [pixels], bias_correction=False), file, "onnx")
        return {engine: Segmenter(file, engine=engine) for engine in IN_8_BITS}


def fitting(network: Network, size: tuple[int, int]) -> tuple[int, int]:
    """The next larger size that the network takes without padding, so that all ways see the same pixels."""
    multiple = network.preprocess.multiple
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def measure(name: str, device: str, rounds: int) -> dict[str, Any]:
    """The figures of one network."""
    info = model_info(name)
    torch.manual_seed(0)
    network = create_model(name, num_classes=CLASSES).drop_aux().eval()
    if list(network.inputs) != ["image"] or "segmentation" not in network.tasks:
        return {"failed": f"takes {' and '.join(network.inputs)}, answers {' and '.join(network.tasks)}"}
    size = fitting(network, ON_CPU if device == "cpu" else info.size)
    pixels = torch.from_numpy(np.ascontiguousarray(street(size, network.inputs["image"])))[None]
    dtype = "float32" if device == "cpu" else "float16"
    plain = network.to(device)
    ways: dict[str, Callable[[], object]] = {"usual": lambda: reference(pixels)}
    reference = usual(plain, device)
    absent: dict[str, str] = {}
    opened: dict[str, Segmenter] = {}
    for engine in ENGINES[device]:
        try:
            opened[engine] = Segmenter(plain, device, engine=engine, dtype=dtype)
            opened[engine].labels(pixels)
        except SwathError as error:
            absent[engine] = str(error)
            opened.pop(engine, None)
    expected = reference(pixels)
    differ = {}
    for engine, segmenter in opened.items():
        ready = segmenter.prepare(pixels).to(device)
        ways[f"{engine} network"] = lambda run=segmenter.runtime.run, ready=ready: run(ready)
        ways[f"{engine} mask"] = lambda segmenter=segmenter: segmenter.labels(pixels).cpu()
        differ[engine] = float((segmenter.labels(pixels).cpu() != expected).float().mean())
    if device == "cpu" and name in INT8:
        for engine, segmenter in in_8_bits(plain, pixels).items():
            ways[f"{engine} int8"] = lambda segmenter=segmenter: segmenter.labels(pixels)
    began = time.perf_counter()
    ways["usual"]()
    once = time.perf_counter() - began
    count = max(3, min(rounds, int(20 / max(once, 1e-3))))  # of the slowest, fewer
    times = in_turns(list(ways.values()), count, 1 if device == "cpu" else 5, device)
    return {
        "size": list(size),
        "count": count,
        "parameters": sum(each.numel() for each in network.parameters()),
        "macs": macs(create_on_meta(name), size),
        "ms": {way: told(found) for way, found in zip(ways, times)},
        "differ": differ,
        "absent": absent,
    }


def create_on_meta(name: str) -> Network:
    with torch.device("meta"):
        return create_model(name, num_classes=CLASSES).drop_aux().eval()


def told(milliseconds: list[float]) -> dict[str, float]:
    p50, p90, p99 = (round(float(value), 3) for value in np.percentile(milliseconds, (50, 90, 99)))
    return {"p50": p50, "p90": p90, "p99": p99, "min": round(min(milliseconds), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=ENGINES, default="cpu")
    parser.add_argument("--only", default="*", metavar="PATTERN")
    parser.add_argument("--again", action="store_true", help="measure also what has figures")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="begin no network after that long")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the figures")
    parser.add_argument("--pages", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = arguments.out / f"zoo-{arguments.device}.json"
    kept = json.loads(file.read_text()) if file.exists() else {"networks": {}}
    began = time.monotonic()
    names = [] if arguments.pages else fnmatch.filter(list_models(), arguments.only)
    for number, name in enumerate(names, 1):
        if name in kept["networks"] and not arguments.again:
            continue
        if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
            print(f"time is over; {len(names) - number + 1} networks are left, the same command goes on with them")
            break
        try:
            kept["networks"][name] = measure(name, arguments.device, arguments.rounds)
        except torch.OutOfMemoryError:
            kept["networks"][name] = {"failed": "out of memory"}
        about = manifest(arguments.device)
        for key in ("protocol", "stages", "memory"):  # of `swath benchmark`; this one's protocol is above
            about.pop(key, None)
        kept["manifest"] = {**about, "threads": arguments.threads}
        file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        print(f"{number}/{len(names)} {name}: {summary(kept['networks'][name])}", flush=True)
        gc.collect()
        if arguments.device == "cuda":
            torch.cuda.empty_cache()
    if arguments.out == HERE:
        write_page()


def summary(found: dict[str, Any]) -> str:
    if "failed" in found:
        return str(found["failed"])
    ms = {way: each["p50"] for way, each in found["ms"].items()}
    masks = {way: value for way, value in ms.items() if way.endswith("mask")}
    best = min(masks, key=masks.__getitem__)
    spread = statistics.mean(each["p90"] / each["p50"] for each in found["ms"].values())
    gain = ms["usual"] / masks[best]
    integers = [value for way, value in ms.items() if way.endswith("int8")]
    told = f", int8 {min(integers):.1f} ms" if integers else ""
    return f"usual {ms['usual']:.1f} ms, {best} {masks[best]:.1f} ms{told}, {gain:.1f}x (p90/p50 {spread:.2f})"


if __name__ == "__main__":
    main()
