"""Time networks, one after the other, stage by stage."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from swath.bench.macs import macs
from swath.bench.manifest import STAGES, manifest
from swath.bench.memory import peak_memory
from swath.bench.targets import Target, open_target
from swath.bench.timing import Latency, measure
from swath.errors import SwathError
from swath.inference import Segmenter

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to time. `size` is (height, width)."""

    size: tuple[int, int] = (1024, 2048)
    device: str = "cpu"
    iterations: int = 100
    warmup: int = 5
    batch: int = 1
    num_classes: int = 19  # of networks by name; files know theirs
    dtype: str = "float32"
    stages: tuple[str, ...] = tuple(STAGES)
    memory: bool = True


@dataclass(frozen=True, kw_only=True)
class Result:
    """The figures of one network."""

    name: str
    network: str
    engine: str
    finish: str
    num_classes: int
    parameters: int
    macs: int
    peak_memory: int | None
    score: dict[str, Any]
    latency: dict[str, Latency] = field(default_factory=dict)  # by stage


def benchmark(names: list[str], settings: Settings) -> Iterator[Result]:
    """One result a network, as they come. All are opened before the first is timed, so that a mistake shows at once."""
    targets = []
    for name in names:
        target = open_target(name, num_classes=settings.num_classes, device=settings.device, dtype=settings.dtype)
        _check_fits(target, settings)
        targets.append(target)
    for target in targets:
        yield _time(target, settings)


def as_json(results: list[Result], settings: Settings) -> dict[str, Any]:
    """Everything that was measured, with the manifest."""
    told = {**asdict(settings), "size": f"{settings.size[1]}x{settings.size[0]}"}
    return {"manifest": manifest(settings.device), "settings": told, "results": [asdict(each) for each in results]}


def _time(target: Target, settings: Settings) -> Result:
    segmenter = target.segmenter
    picture = street(settings.size, segmenter.description.channels)
    with tempfile.TemporaryDirectory(prefix="swath-benchmark-") as folder:
        latency = {
            stage: Latency.of(
                measure(
                    _call(stage, segmenter, picture, settings, Path(folder)),
                    settings.iterations,
                    settings.warmup,
                    settings.device,
                ),
                1 if stage == "file" else settings.batch,
            )
            for stage in settings.stages
            if stage != "file" or picture.shape[2] == 3  # no file format holds other pictures
        }
    asked = {key: getattr(settings, key) for key in ("size", "batch", "num_classes", "device", "dtype")}
    return Result(
        name=target.name,
        network=target.segmenter.description.meta.network,
        engine=segmenter.runtime.engine,
        finish=segmenter.description.finish,
        num_classes=segmenter.num_classes,
        parameters=sum(each.numel() for each in target.shapes.parameters()),
        macs=macs(target.shapes, settings.size),
        peak_memory=peak_memory(target.name, {**asked, "threads": torch.get_num_threads()})
        if settings.memory
        else None,
        score=target.score,
        latency=latency,
    )


def _call(stage: str, segmenter: Segmenter, picture: Array, settings: Settings, folder: Path) -> Callable[[], object]:
    """What is called again and again for a stage."""
    pixels = torch.from_numpy(np.repeat(picture[None], settings.batch, axis=0))
    if stage == "network":
        resident = segmenter.pad(pixels).to(settings.device)
        return lambda: segmenter.runtime.run(resident)
    if stage == "mask":
        return lambda: segmenter.labels(pixels).cpu()
    source, result = folder / "picture.jpg", folder / "labels.png"
    cv2.imwrite(str(source), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return lambda: segmenter(source).save(result)


def street(size: tuple[int, int], channels: int) -> Array:
    """A synthetic street at `size`; noise where the network does not take colour pictures."""
    if channels != 3:
        return np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    from swath.cards import load_card

    picture = load_card("streets").open("val").image(0)
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _check_fits(target: Target, settings: Settings) -> None:
    description, size = target.segmenter.description, settings.size
    low = description.min_size
    if size[0] < low[0] or size[1] < low[1]:
        raise SwathError(
            f"{target.name} needs at least {low[1]}x{low[0]} pixels (width x height), --size is {size[1]}x{size[0]}"
        )
    if description.channels != 3 and settings.stages == ("file",):
        raise SwathError(
            f"{target.name} takes {description.channels} channels, which no picture file holds; time network,mask"
        )
