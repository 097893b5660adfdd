"""What can be benchmarked: a network by name, weights, an exported file or bundle; each by one engine or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from swath.bench.typical import Typical
from swath.errors import SwathError
from swath.inference import Segmenter, Views
from swath.inference.runtimes import KINDS, converted, model_file
from swath.inference.runtimes.bundle import LIST
from swath.inference.runtimes.engines import CONVERTED, WEIGHTS, default_engine, present
from swath.networks import Network, create_model, model_info
from swath.weights import list_shipped, load_weights, weights_file

ALL = "all"


@dataclass(frozen=True)
class Target:
    """A segmenter to be timed, the same network without memory (for counting), and its score where one is known."""

    name: str
    segmenter: Segmenter
    shapes: Network
    score: dict[str, Any]  # {"miou": percent, "on": dataset, "by": "swath" or "authors"}, or empty
    engine: str  # as --engine calls it
    subject: Network | Path  # what the engine was given
    opening: float  # seconds until it could be used
    convert: float  # seconds to make the file that the engine runs; 0 where it was there


@dataclass(frozen=True)
class Model:
    """What a name stands for, before an engine is chosen."""

    name: str
    subject: Network | Path
    score: dict[str, Any]


@dataclass(frozen=True)
class _How:
    device: str
    dtype: str
    views: Views


def open_targets(
    name: str,
    engines: Sequence[str] = (),
    *,
    num_classes: int = 19,
    device: str = "cpu",
    dtype: str = "float32",
    seen: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[list[Target], dict[str, str]]:
    """A network of the registry with fresh weights (and its builder's `options`), or a file: by the engine of its
    ending where none is named, by all that are here (`all`), or by those named. Of `all`, who cannot run it is returned
    with the reason. `seen` is the size that pictures are shown at."""
    model = named(name, num_classes, options)
    how = _How(device, dtype, Views(size=seen))
    ending = WEIGHTS if isinstance(model.subject, Network) else model.subject.suffix
    if ALL not in engines:
        return [_open(model, each, how) for each in engines or (default_engine(ending),)], {}
    targets, failures = [], {}
    for engine in present(ending, device):
        if engine in CONVERTED and ending == WEIGHTS and dtype != "float32":
            continue
        try:
            targets.append(_open(model, engine, how))
        except SwathError as error:
            failures[engine] = str(error)
    if not targets:
        raise SwathError(next(iter(failures.values()), f"{name}: no engine for it is here"))
    return targets, failures


def open_target(name: str, engine: str | None = None, **asked: Any) -> Target:
    """One of them."""
    targets, _ = open_targets(name, (engine,) if engine else (), **asked)
    return targets[0]


def named(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> Model:
    """A network by its name, with random weights that are the same each time; or a file."""
    path = weights_file(name) if name in list_shipped() else Path(name)
    if path.suffix not in KINDS and not (path / LIST).is_file():
        info = model_info(name)
        torch.manual_seed(0)
        network = _built(info.name, num_classes, options or {})
        score: dict[str, Any] = {}
        if info.claims.miou and not options:
            dataset, miou = next(iter(info.claims.miou.items()))
            score = {"miou": miou, "on": dataset, "by": "authors"}
        return Model(info.name, network, score)
    if options:
        raise SwathError(f"{path}: was built already; --option is for networks by name")
    path = model_file(path)
    if path.suffix == WEIGHTS:
        network = load_weights(path)
        return Model(name, network, _score(network.meta))
    return Model(name, path, {})


def _built(name: str, num_classes: int, options: Mapping[str, Any]) -> Network:
    try:
        return create_model(name, num_classes=num_classes, **options).drop_aux().eval()
    except (TypeError, ValueError) as error:
        if not options:
            raise
        told = ", ".join(f"{key}={value}" for key, value in options.items())
        raise SwathError(f"{name} cannot be built with --option {told} ({error}); `swath models` tells more") from error


def _open(model: Model, engine: str, how: _How) -> Target:
    subject, device = model.subject, how.device
    convert = 0.0
    base = engine.partition(":")[0]
    if isinstance(subject, Network) and base in CONVERTED and not converted.ready(subject, CONVERTED[base], device):
        start = perf_counter()
        Segmenter(subject, device, engine=engine, dtype=how.dtype)
        convert = perf_counter() - start
    start = perf_counter()
    segmenter = Segmenter(subject, device, engine=engine, dtype=how.dtype, views=how.views)
    opening = perf_counter() - start
    if isinstance(subject, Network) and subject.meta is None:  # its weights are random
        segmenter.runtime = Typical(segmenter.runtime)
    score = model.score
    if isinstance(subject, Network):
        shapes = subject
    else:
        meta = segmenter.description.meta
        score = _score(meta)
        with torch.device("meta"):
            shapes = create_model(meta.network, **meta.arguments).drop_aux().eval()
    return Target(model.name, segmenter, shapes, score, engine, subject, opening, max(0.0, convert - opening))


def _score(meta: Any) -> dict[str, Any]:
    if meta is not None and isinstance(miou := meta.score.get("miou"), (int, float)):
        return {"miou": 100 * float(miou), "on": meta.dataset, "by": "swath"}
    return {}
