"""The engines of `Segmenter` side by side: pixels to labels on this processor, by two threads and by one.

    python benchmarks/engines.py [--quick] [NETWORK ...]     writes benchmarks/engines.md

Every network has random weights (what it computes does not depend on them, though label maps are more ragged than a
trained network's, so that finishing takes longer). All engines of a network take turns, so that what else the machine
does hits all alike; each turn begins with a call that is not counted. What stands in the table is the median of all
calls, uint8 pixels in host memory to uint8 labels in host memory, and how many times as fast as eager torch that is.
Each engine and network also has to give the labels of eager torch; the share of pixels that differ (ties) is told.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch

import swath
from swath.bench.manifest import cpu_name
from swath.bench.run import street
from swath.bench.timing import in_turns
from swath.inference.runtimes.engines import engine_name, present

NETWORKS = ("contextnet14", "csfcn_tiny", "fpn_lite_mobilenetv2", "bisenetv2", "ddrnet23_slim", "rf_lw_mobilenetv2")
SIZES = ((512, 1024), (1024, 2048))  # height, width
SECONDS = 6.0  # a network, size and number of threads, for each engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls, the smaller size, one thread")
    parser.add_argument("--engines", default="", help="with commas (default: all that are here)")
    asked = parser.parse_args()
    engines = asked.engines.split(",") if asked.engines else present(".safetensors", "cpu")
    lines = head(engines, asked.quick)
    for threads in (1,) if asked.quick else (2, 1):
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        for size in SIZES[:1] if asked.quick else SIZES:
            lines += ["", f"## {size[1]}x{size[0]}, {threads} thread{'s' if threads > 1 else ''}", ""]
            lines += ["| network | " + " | ".join(engine_name(each) for each in engines) + " | labels that differ |"]
            lines += ["| --- |" + " ---: |" * (len(engines) + 1)]
            for name in asked.networks or NETWORKS:
                lines.append(row(name, engines, size, 0.1 if asked.quick else 1.0))
                print(lines[-1], flush=True)
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")


def head(engines: list[str], quick: bool) -> list[str]:
    load = os.getloadavg()[0]
    note = f" Provisional: the load of the machine was {load:.1f} when it began." if quick or load > 0.7 else ""
    return [
        "# Engines",
        "",
        f"`python benchmarks/engines.py{' --quick' if quick else ''}`, {datetime.now(UTC).date()}, {cpu_name()}, "
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; random weights, 19 classes; median milliseconds "
        f"from pixels to labels, and times as fast as the first column.{note}",
    ]


def row(name: str, engines: list[str], size: tuple[int, int], share: float) -> str:
    torch.manual_seed(0)
    network = swath.create_model(name, num_classes=19).drop_aux().eval()
    pixels = torch.from_numpy(np.ascontiguousarray(street(size, 3)))[None]
    segmenters: dict[str, swath.Segmenter | None] = {}
    for engine in engines:
        try:
            segmenters[engine] = swath.Segmenter(network, engine=engine)
        except swath.SwathError as error:
            print(f"{name}, {engine}: {error}", file=sys.stderr)
            segmenters[engine] = None
    able = {engine: each for engine, each in segmenters.items() if each is not None}
    labels = {engine: each.labels(pixels) for engine, each in able.items()}  # the first call: compiles, plans
    expected = next(iter(labels.values()))
    differ = max(float((each != expected).float().mean()) for each in labels.values())
    began = time.perf_counter()
    for each in able.values():
        each.labels(pixels)
    once = (time.perf_counter() - began) / len(able)
    calls = max(3, min(60, int(share * SECONDS / once)))
    timed = in_turns([lambda each=each: each.labels(pixels) for each in able.values()], calls, 1, "cpu")
    medians = dict(zip(able, (statistics.median(each) for each in timed)))
    first = medians[next(iter(able))]
    best = min(medians.values())
    cells = [cell(medians.get(engine), first, best) for engine in engines]
    return f"| {name} | " + " | ".join(cells) + f" | {differ:.4%} |"


def cell(ms: float | None, first: float, best: float) -> str:
    if ms is None:
        return "-"
    text = f"{ms:.0f} ({first / ms:.2f}x)" if ms >= 10 else f"{ms:.1f} ({first / ms:.2f}x)"
    return f"**{text}**" if ms == best else text


if __name__ == "__main__":
    main()
