"""Time networks side by side, stage by stage."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from swath.bench.macs import macs
from swath.bench.manifest import NAMES, STAGES, manifest
from swath.bench.memory import peak_memory
from swath.bench.targets import Target, open_targets
from swath.bench.timing import Latency, in_turns
from swath.errors import SwathError
from swath.inference import Segmenter
from swath.inference.fastest import Figure, Measurement, remember
from swath.inference.runtimes.engines import CONVERTED

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to time. `size` is (height, width)."""

    size: tuple[int, int] = (1024, 2048)
    seen: tuple[int, int] | None = None  # what the network is shown of it; none: the picture as it is
    options: dict[str, Any] = field(default_factory=dict)  # of the builders of networks by name
    device: str = "cpu"
    iterations: int = 100
    warmup: int = 5
    batch: int = 1
    num_classes: int = 19  # of networks by name; files know theirs
    dtype: str = "float32"
    stages: tuple[str, ...] = tuple(STAGES)
    engines: tuple[str, ...] = ()  # for each network and file; none: the one of its ending; "all": all that are here
    memory: bool = True


@dataclass(frozen=True, kw_only=True)
class Result:
    """The figures of one network, run by one engine."""

    name: str
    network: str
    engine: str
    engine_key: str  # as --engine calls it
    finish: str
    num_classes: int
    parameters: int
    macs: int
    peak_memory: int | None
    score: dict[str, Any]
    start: float  # seconds from opening to the first labels
    convert: float  # seconds to make the file that the engine runs; 0 where it was there, or is not needed
    latency: dict[str, Latency] = field(default_factory=dict)  # by stage


@dataclass
class Watch:
    """Called as it goes on; and what became of engines that could not run a network."""

    doing: Callable[[str, int], None] = lambda text, total: None  # what, and how many steps of it are to come
    step: Callable[[], None] = lambda: None
    failures: dict[str, str] = field(default_factory=dict)  # what became of it -> why


def benchmark(names: list[str], settings: Settings, watch: Watch | None = None) -> list[Result]:
    """One result a network and engine. All are opened before the first is timed, so that a mistake shows at once; then
    they take turns."""
    watch = watch or Watch()
    targets: list[Target] = []
    watch.doing("opening", len(names))
    for name in names:
        opened, failures = open_targets(
            name,
            settings.engines,
            num_classes=settings.num_classes,
            device=settings.device,
            dtype=settings.dtype,
            seen=settings.seen,
            options=settings.options,
        )
        for target in opened:
            _check_fits(target, settings)
        targets += opened
        watch.failures.update({f"{name}, {engine}, left out": reason for engine, reason in failures.items()})
        watch.step()
    with tempfile.TemporaryDirectory(prefix="swath-benchmark-") as folder:
        starts = [_first(target, settings, watch) for target in targets]
        latencies = _time(targets, settings, Path(folder), watch)
    results = []
    watch.doing("memory", len(targets))
    for target, start, latency in zip(targets, starts, latencies):
        results.append(_result(target, settings, start, latency))
        watch.step()
    try:
        _remember(targets, results, settings)
    except SwathError as error:  # a cache folder that is full or closed must not cost the figures
        watch.failures["measured, but not remembered"] = str(error)
    return results


def as_json(results: list[Result], settings: Settings) -> dict[str, Any]:
    """Everything that was measured, with the manifest."""
    told = {**asdict(settings), "size": f"{settings.size[1]}x{settings.size[0]}"}
    told["seen"] = settings.seen and f"{settings.seen[1]}x{settings.seen[0]}"
    return {"manifest": manifest(settings.device), "settings": told, "results": [asdict(each) for each in results]}


def _first(target: Target, settings: Settings, watch: Watch) -> float:
    """Seconds until the first labels; of torch.compile, that is the compiling."""
    watch.doing(f"first picture, {target.segmenter.runtime.engine}", 1)
    pixels = torch.from_numpy(street(settings.size, target.segmenter.description.channels)[None])
    start = perf_counter()
    target.segmenter.labels(pixels).cpu()
    watch.step()
    return target.opening + perf_counter() - start


def _time(targets: list[Target], settings: Settings, folder: Path, watch: Watch) -> list[dict[str, Latency]]:
    """Latencies by stage, of each target."""
    found: list[dict[str, Latency]] = [{} for _ in targets]
    for stage in settings.stages:
        # No file format holds pictures of other than 3 channels.
        able = [i for i, each in enumerate(targets) if stage != "file" or each.segmenter.description.channels == 3]
        if not able:
            continue
        calls = [_call(stage, targets[index].segmenter, settings, folder / f"{index}") for index in able]
        watch.doing(NAMES[stage], len(able) * settings.iterations)
        measured = in_turns(calls, settings.iterations, settings.warmup, settings.device, watch.step)
        for index, times in zip(able, measured):
            found[index][stage] = Latency.of(times, 1 if stage == "file" else settings.batch)
    return found


def _result(target: Target, settings: Settings, start: float, latency: dict[str, Latency]) -> Result:
    keys = ("size", "seen", "options", "batch", "num_classes", "device", "dtype")
    asked = {key: getattr(settings, key) for key in keys}
    # Compiling for the size is part of its first pass, and would be all that is seen.
    known = settings.memory and target.engine != "compiled"
    segmenter = target.segmenter
    return Result(
        name=target.name,
        network=segmenter.description.meta.network,
        engine=segmenter.runtime.engine,
        engine_key=target.engine,
        finish=segmenter.description.finish,
        num_classes=segmenter.num_classes,
        parameters=sum(each.numel() for each in target.shapes.parameters()),
        macs=macs(target.shapes, settings.seen or settings.size),
        peak_memory=peak_memory(target.name, {**asked, "engine": target.engine, "threads": torch.get_num_threads()})
        if known
        else None,
        score=target.score,
        start=start,
        convert=target.convert,
        latency=latency,
    )


def _remember(targets: list[Target], results: list[Result], settings: Settings) -> None:
    """Engines that ran side by side, one picture at a time, are known from now on (inference/fastest.py)."""
    if settings.batch != 1 or settings.dtype != "float32" or "mask" not in settings.stages:
        return
    for name in dict.fromkeys(target.name for target in targets):
        group = [(target, result) for target, result in zip(targets, results) if target.name == name]
        if len(group) > 1:
            converts: dict[str, float] = {}  # engines that run the same file need it made only once
            for _, result in group:
                kind = CONVERTED.get(result.engine_key, "")
                converts[kind] = max(result.convert, converts.get(kind, 0.0))
            figures = {
                result.engine_key: Figure(
                    ms=result.latency["mask"].p50,
                    start=result.start,
                    convert=converts[CONVERTED.get(result.engine_key, "")],
                )
                for _, result in group
            }
            remember(group[0][0].subject, settings.device, Measurement(settings.seen or settings.size, figures))


def _call(stage: str, segmenter: Segmenter, settings: Settings, folder: Path) -> Callable[[], object]:
    """What is called again and again for a stage."""
    picture = street(settings.size, segmenter.description.channels)
    pixels = torch.from_numpy(np.repeat(picture[None], settings.batch, axis=0))
    if stage == "network":
        resident = segmenter.prepare(pixels).to(settings.device)
        return lambda: segmenter.runtime.run(resident)
    if stage == "mask":
        return lambda: segmenter.labels(pixels).cpu()
    folder.mkdir()
    source, result = folder / "picture.jpg", folder / "labels.png"
    cv2.imwrite(str(source), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return lambda: segmenter(source).save(result)


def street(size: tuple[int, int], channels: int) -> Array:
    """A synthetic street at `size`; noise where the network does not take colour pictures."""
    if channels != 3:
        return np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    return np.asarray(cv2.resize(_street(), size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


@functools.cache
def _street() -> Array:
    from swath.cards import load_card

    return load_card("streets").open("val").image(0)


def _check_fits(target: Target, settings: Settings) -> None:
    description, size = target.segmenter.description, settings.seen or settings.size
    low = description.min_size
    if size[0] < low[0] or size[1] < low[1]:
        flag = "--seen" if settings.seen else "--size"
        raise SwathError(
            f"{target.name} needs at least {low[1]}x{low[0]} pixels (width x height), {flag} is {size[1]}x{size[0]}"
        )
    if description.shape not in (None, size):
        only = f"{description.shape[1]}x{description.shape[0]}"  # type: ignore[index]
        raise SwathError(f"{target.name}: was exported for pictures of {only} (width x height) only; use --size {only}")
    if description.channels != 3 and settings.stages == ("file",):
        raise SwathError(
            f"{target.name} takes {description.channels} channels, which no picture file holds; time network,mask"
        )
