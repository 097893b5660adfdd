"""Videos: how much of the stages' time overlaps, what smoothing buys and costs, and memory over an hour of frames.

    python benchmarks/streams.py WEIGHTS [--hour FRAMES]     writes benchmarks/streams.md

WEIGHTS were trained on the synthetic streets (`swath train streets`). One thread for torch and for OpenCV, so that the
stages have processors of their own where there are any. "Alone" is each stage by itself over the same frames, nothing
beside it; a pipeline cannot be faster than its slowest stage alone.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import torch

from swath import Segmenter
from swath.data.streets import video
from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.metrics import mean, ratios
from swath.inference.streams import (
    Budget,
    Flicker,
    Frame,
    Pipeline,
    Wishes,
    Work,
    network_stages,
    open_source,
    run_stream,
)
from swath.inference.streams.run import output_stages
from swath.inference.streams.writers import exact, video_file

KEPT = (0.0, 0.3, 0.5, 0.7, 0.85)
SEEDS = (101, 102, 103, 104)
FRAMES = 60
HOUR = 108_000  # at 30 frames a second


class Pictures:
    """Frames that are made up: for memory and for stages that only sleep."""

    name, live, total, returns, lost, broken = "pictures", False, None, 0, False, 0
    rate = 30.0

    def __init__(self, count: int, size: tuple[int, int], pause: float = 0.0):
        self.count, self.pause = count, pause
        draw = np.random.default_rng(0)
        self.images = [draw.integers(0, 256, (*size, 3), np.uint8) for _ in range(8)]

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.count):
            start = time.perf_counter()
            time.sleep(self.pause)
            yield Frame(number, number / self.rate, self.images[number % 8], time.perf_counter() - start)

    def stop(self) -> None:
        pass


def street(path: Path, size: tuple[int, int], frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (size[1], size[0]))
    for each in video(SEEDS[0], frames, size):
        writer.write(np.ascontiguousarray(each.image[:, :, ::-1]))
    writer.release()


def overlap(weights: str, folder: Path) -> list[str]:
    lines = ["## Overlap", "", "| video | stage by stage, alone, ms a frame | one after the other | pipeline | share |"]
    lines.append("|---|---|---:|---:|---:|")
    sleeps = {"decode": 0.010, "network": 0.020, "encode": 0.012}
    stages = [(name, lambda work, seconds=sleeps[name]: time.sleep(seconds)) for name in ("network", "encode")]
    budget = Budget()
    for _ in Pipeline(Pictures(200, (48, 64), sleeps["decode"]), stages, budget):
        pass
    lines.append(row("none: stages that only sleep", sleeps, budget.rate))
    for size in ((256, 512), (512, 1024)):
        path = folder / "street.mp4"
        street(path, size, 80)
        segmenter = Segmenter(weights)
        alone = each_alone(segmenter, path, folder)
        rates = []
        for _ in range(3):
            wishes = Wishes(videos={"overlay": folder / "out.mp4"})
            rates.append(run_stream(segmenter, open_source(path), wishes).budget.rate)
        lines.append(row(f"{size[1]}x{size[0]}", alone, statistics.median(rates)))
    return [*lines, ""]


def each_alone(segmenter: Segmenter, path: Path, folder: Path) -> dict[str, float]:
    """Seconds of each stage, stage after stage over all frames; of three rounds the median."""
    rounds: dict[str, list[float]] = {}
    for _ in range(3):
        start = time.perf_counter()
        works = [Work(frame) for frame in open_source(path)]
        rounds.setdefault("decode", []).append((time.perf_counter() - start) / len(works))
        with video_file(folder / "alone.mp4", 15.0) as file:
            wishes = Wishes(videos={"overlay": folder / "alone.mp4"})
            for name, stage in [*network_stages(segmenter), *output_stages(wishes, {"overlay": file})]:
                start = time.perf_counter()
                for work in works:
                    stage(work)
                rounds.setdefault(name, []).append((time.perf_counter() - start) / len(works))
    return {name: statistics.median(times) for name, times in rounds.items()}


def row(name: str, alone: dict[str, float], rate: float) -> str:
    parts = ", ".join(f"{stage} {1000 * seconds:.1f}" for stage, seconds in alone.items())
    text = f"| {name} | {parts} | {1 / sum(alone.values()):.1f}/s | {rate:.1f}/s | {rate * max(alone.values()):.2f} |"
    print(text, flush=True)
    return text


def smoothing(weights: str) -> list[str]:
    lines = ["## Smoothing", "", "| kept of earlier frames | flicker | mIoU |", "|---:|---:|---:|"]
    segmenter = Segmenter(weights)
    drives = [list(video(seed, FRAMES)) for seed in SEEDS]
    for keep in KEPT:
        matrix, changed, pixels = ConfusionMatrix(segmenter.num_classes), 0, 0
        for drive in drives:
            flicker = Flicker()
            for (_, result), truth in zip(segmenter.video(Drive(drive), smooth=keep), drive, strict=True):
                flicker.add(truth.labels, result.labels)
                matrix.update(truth.labels, result.labels)
            changed, pixels = changed + flicker.changed, pixels + flicker.pixels
        counts = matrix.counts
        iou = mean(ratios(np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)))
        lines.append(f"| {keep:g} | {changed / pixels:.2%} | {iou:.2%} |")
        print(lines[-1], flush=True)
    said = f"{len(SEEDS)} drives of {FRAMES} frames, 512x256 at 15 frames/s, that the weights never saw."
    told = "Flicker: pixels whose label changes from one frame to the next although the truth there does not."
    return [*lines, "", f"{said} {told}", ""]


class Drive(Pictures):
    """A synthetic drive as a source."""

    rate = 15.0

    def __init__(self, drive: list) -> None:  # type: ignore[type-arg]
        self.count, self.pause, self.images = len(drive), 0.0, [each.image for each in drive]

    def __iter__(self) -> Iterator[Frame]:
        for number, image in enumerate(self.images):
            yield Frame(number, number / self.rate, image)


def memory(weights: str, folder: Path, frames: int) -> list[str]:
    """The process's memory on the way through very many small frames."""
    segmenter = Segmenter(weights)
    marks = sorted({frames // 50, frames // 10, frames // 4, frames // 2, frames - 1})
    held: dict[int, float] = {}

    def watch(work: Work) -> None:
        if work.frame.number in marks:
            gc.collect()
            held[work.frame.number] = resident()

    start = time.perf_counter()
    with (folder / "l.jsonl").open("w") as lines:
        wishes = Wishes(videos={"overlay": folder / "hour.mp4"}, lines=lines, smooth=0.5)
        run_stream(segmenter, Pictures(frames, (32, 64)), wishes, watch)
    seconds = time.perf_counter() - start
    table = [f"| {mark + 1:,} | {held[mark]:.1f} |" for mark in marks]
    print(*table, sep="\n", flush=True)
    said = f"{frames:,} frames of 64x32 through every stage (an hour at 30 frames/s has {HOUR:,}), in {seconds:.0f} s."
    return ["## Memory", "", "| frames | MiB of the process |", "|---:|---:|", *table, "", said, ""]


def resident() -> float:
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--hour", type=int, default=HOUR, help="frames for the memory")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    load = os.getloadavg()[0]
    by = "PyAV (H.264)" if exact(Path("a.mp4")) else "OpenCV (MPEG-4)"
    parts: list[Callable[[Path], list[str]]] = [
        lambda folder: overlap(arguments.weights, folder),
        lambda folder: smoothing(arguments.weights),
        lambda folder: memory(arguments.weights, folder, arguments.hour),
    ]
    with tempfile.TemporaryDirectory() as name:
        lines = [line for part in parts for line in part(Path(name))]
    network = Segmenter(arguments.weights).description.meta.network
    head = [
        "# Streams",
        "",
        f"`python benchmarks/streams.py WEIGHTS`, {date.today()}: {network} trained on the synthetic streets, "
        f"torch {torch.__version__}, one thread, {os.cpu_count()} processors with a load of {load:.1f} from other "
        f"programs at the start, videos written by {by}.",
        "",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join([*head, *lines]).rstrip() + "\n")


if __name__ == "__main__":
    main()
