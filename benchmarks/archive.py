"""What an archive costs: pictures a second of a core, by size and output, and the price of Ray around it.

    python benchmarks/archive.py     writes benchmarks/archive.md

*A core*: the work of one actor (reading, network, writing) in this process, without Ray: processor time, which others
on the machine lengthen least. Medians of repeats.
*Around it*: the same pictures through

  swath         `predict_archive`: Ray Data over parts, an actor does a whole part
  plain actors  the same actors and parts, handed out by a queue of a dozen lines, without Ray Data
  rows          the usual pipeline: Ray Data over pictures, reading tasks, then actors (it writes no markers)

Each with one actor a core. "start" is until the first part (or picture) has come, "then" is the rate from there to the
last; both from one run of each. contextnet14 with 19 classes and random weights: speed does not depend on their values.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch

import swath
from swath.cards import load_card
from swath.cluster import pipeline, predict_archive
from swath.cluster.listing import Listing, write_listing
from swath.cluster.places import Folder
from swath.cluster.sources import entries, origin_of
from swath.cluster.worker import Job, Model, Worker
from swath.data.images import decode_image
from swath.data.streets import Streets
from swath.inference import Views

NETWORK, CLASSES = "contextnet14", 19
SIZES = {"512x256": (256, 512, 24), "1024x512": (512, 1024, 12), "2048x1024": (1024, 2048, 6)}  # and how many
KINDS = ("png", "parquet", "stats")
REPEATS = 5
PICTURES, PART = 960, 16  # of the runs on Ray, 512 x 256
ARCHIVE, PRICE = 100_000_000, 0.04  # pictures; money a core and hour: replace it by your own


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="swath-archive-") as name:
        folder = Path(name)
        weights = folder / "w.safetensors"
        swath.save(
            weights,
            swath.create_model(NETWORK, num_classes=CLASSES).eval(),
            classes=[f"c{i}" for i in range(CLASSES)],
            colors=[(i, i, i) for i in range(CLASSES)],
        )
        core = {size: draw(folder / size, *shape) and alone(folder, size, weights) for size, shape in SIZES.items()}
        draw(folder / "many", 256, 512, 24, copies=PICTURES // 24)
        around = {way: run(folder, weights) for way, run in WAYS.items()}
    write(core, around)


def draw(folder: Path, height: int, width: int, count: int, copies: int = 1) -> bool:
    """JPEGs of streets, as cameras make them."""
    folder.mkdir()
    streets = Streets(load_card("streets"), "val", count=count, size=(height, width))
    for index in range(count):
        data = cv2.imencode(".jpg", streets.image(index)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        for copy in range(copies):
            (folder / f"{index:03}-{copy:03}.jpg").write_bytes(data)
    return True


def alone(folder: Path, size: str, weights: Path) -> dict[str, float]:
    """Milliseconds a picture of one core, by output."""
    found = {}
    for kind in KINDS:
        times = []
        for repeat in range(REPEATS + 1):
            job, listing = job_of(folder / size, folder / f"{size}-{kind}-{repeat}", weights, kind, 1000)
            if repeat == 0:
                worker = Worker(job, 1, 1)
            worker.place.root = job.out
            began = time.process_time()
            done = worker.part(listing.part(0))
            times.append((time.process_time() - began) / done.pictures)
        found[kind] = 1000 * statistics.median(times[1:])  # the first warms up
        print(f"{size} {kind}: {found[kind]:.1f} ms", flush=True)
    return found


def job_of(source: Path, out: Path, weights: Path, kind: str, each: int) -> tuple[Job, Listing]:
    place = Folder(str(out))
    names = entries(origin_of(str(source)), str(out))
    listing = write_listing(names, place, "_swath/listing.txt", str, each=each)
    return Job(Model.of(weights), None, "cpu", Views(), None, kind, str(source), str(out), "benchmark"), listing


def ours(folder: Path, weights: Path) -> tuple[float, float]:
    came: list[tuple[float, int]] = []
    began = time.perf_counter()

    def watch(step: Any) -> None:
        if step.now and (not came or step.now > came[-1][1]):
            came.append((time.perf_counter() - began, step.now))

    source, out = str(folder / "many"), folder / "out-swath"
    with pipeline.connected("local"):
        predict_archive(weights, source, out, "parquet", each=PART, batch=1, watch=watch, tell=lambda line: None)
    return told("swath", came)


def plain(folder: Path, weights: Path) -> tuple[float, float]:
    """Actors and a queue."""
    job, listing = job_of(folder / "many", folder / "out-plain", weights, "parquet", PART)
    came: list[tuple[float, int]] = []
    began = time.perf_counter()
    with pipeline.connected("local") as ray:
        shared = ray.put(job)
        actors = [ray.remote(num_cpus=1)(Plain).remote(shared) for _ in range(os.cpu_count() or 1)]
        left = list(range(len(listing.ends)))
        busy = {actor.part.remote(listing.part(left.pop(0))): actor for actor in actors}
        done = 0
        while busy:
            (ready,), _ = ray.wait(list(busy))
            actor = busy.pop(ready)
            done += ray.get(ready)
            came.append((time.perf_counter() - began, done))
            if left:
                busy[actor.part.remote(listing.part(left.pop(0)))] = actor
    return told("plain actors", came)


class Plain:
    def __init__(self, job: Any) -> None:
        self.worker = Worker(job, 1, 1)

    def part(self, part: Any) -> int:
        return self.worker.part(part).pictures


def rows(folder: Path, weights: Path) -> tuple[float, float]:
    """Pictures as rows: decoded by tasks, segmented by actors."""
    job, _ = job_of(folder / "many", folder / "out-rows", weights, "parquet", PART)
    names = [{"path": str(path)} for path in sorted((folder / "many").iterdir())]
    came: list[tuple[float, int]] = []
    began = time.perf_counter()
    with pipeline.connected("local") as ray:
        ray.data.DataContext.get_current().enable_progress_bars = False
        cores = os.cpu_count() or 1
        data = (
            ray.data.from_items(names, override_num_blocks=PICTURES // PART)
            .map(decoded)
            .map_batches(
                Segmented,
                batch_size=PART,
                fn_constructor_args=(ray.put(job),),
                compute=ray.data.ActorPoolStrategy(size=cores),
                num_cpus=max(0.5, (cores - 1) / cores),
            )
        )
        for done, _ in enumerate(data.iter_rows(), 1):
            came.append((time.perf_counter() - began, done))
    return told("rows", came)


def decoded(row: dict[str, Any]) -> dict[str, Any]:
    return {"path": row["path"], "picture": decode_image(Path(row["path"]).read_bytes(), row["path"])}


class Segmented:
    def __init__(self, job: Any) -> None:
        import ray

        self.worker = Worker(ray.get(job), 1, 1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        counts = []
        for path, picture in zip(batch["path"], batch["picture"]):
            (answer,) = self.worker.segmenter.answers([np.ascontiguousarray(picture)])
            row = self.worker.kind.picture(str(path), answer, np.zeros(CLASSES, np.int64))
            counts.append("|".join(row["counts"]))
        return {"path": batch["path"], "counts": np.array(counts)}


WAYS: dict[str, Callable[[Path, Path], tuple[float, float]]] = {"swath": ours, "plain actors": plain, "rows": rows}


def told(way: str, came: list[tuple[float, int]]) -> tuple[float, float]:
    """(seconds until something came, pictures a second from there on)."""
    (first, few), (last, all_of_them) = came[0], came[-1]
    found = first, (all_of_them - few) / (last - first)
    print(f"{way}: start {found[0]:.1f} s, then {found[1]:.1f} pictures/s", flush=True)
    return found


def write(core: dict[str, dict[str, float]], around: dict[str, tuple[float, float]]) -> None:
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    cores = os.cpu_count() or 1
    best = 1000 / core["512x256"]["parquet"]
    Path(__file__).with_suffix(".md").write_text("\n".join([*page(core, around, load, cores, best), ""]))


def page(
    core: dict[str, dict[str, float]], around: dict[str, tuple[float, float]], load: str, cores: int, best: float
) -> Iterator[str]:
    yield "# An archive of pictures on a cluster"
    yield ""
    yield f"`python benchmarks/archive.py`: {NETWORK}, {CLASSES} classes, float32, JPEGs of synthetic streets;"
    yield f"torch {torch.__version__}, Python {platform.python_version()}, {cores} cores, load at the end {load}."
    yield ""
    yield "Processor time a picture (reading, network, writing; no Ray):"
    yield ""
    kinds = " | ".join(f"{kind}, ms" for kind in KINDS)
    yield f"| pictures | {kinds} | a second (parquet) | 100 million, core hours | at {PRICE} a core hour |"
    yield f"|---|{'---:|' * (len(KINDS) + 3)}"
    for size, found in core.items():
        hours = ARCHIVE * found["parquet"] / 1000 / 3600
        each = " | ".join(f"{found[kind]:.1f}" for kind in KINDS)
        yield f"| {size} | {each} | {1000 / found['parquet']:.1f} | {hours:,.0f} | {hours * PRICE:,.0f} |"
    yield ""
    yield f"{PICTURES} pictures of 512x256 in parts of {PART}, by {cores} actors on {cores} cores;"
    yield f"the share is of {cores} times the rate of one core above ({best:.1f} a second):"
    yield ""
    yield "| way | start, s | then, pictures/s | share |"
    yield "|---|---:|---:|---:|"
    for way, (start, rate) in around.items():
        yield f"| {way} | {start:.1f} | {rate:.1f} | {rate / (cores * best):.0%} |"


if __name__ == "__main__":
    main()
