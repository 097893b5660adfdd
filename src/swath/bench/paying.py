"""Measuring the engines before a long piece of work, where that saves more time than it takes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from swath.bench.run import street
from swath.bench.timing import in_turns
from swath.errors import SwathError
from swath.inference import Segmenter, Views
from swath.inference.fastest import Figure, Measurement, candidates, choose, recall, remember
from swath.inference.runtimes import converted
from swath.inference.runtimes.engines import CONVERTED
from swath.networks import Network

_ROUNDS = 7  # calls of each engine: enough for a median, and few beside the work they are done for
_WORTH = 3  # times its guessed cost the work must be: engines save about half of it, and a guess may be low
_OPEN = 2.0  # seconds to start an engine, with its libraries
_CONVERT = (3.0, 0.05)  # seconds to convert a network, and more for each of its layers: 12 for 190, seen are 5 to 10
_LEAST = 50  # calls of the network that are never worth the question


@dataclass(frozen=True)
class Work:
    """So many pictures of a size (height, width)."""

    pictures: int
    size: tuple[int, int]

    def seen(self, views: Views) -> tuple[int, int]:
        """The size that the network sees."""
        return views.window or views.sizes(*self.size)[0]

    def calls(self, views: Views) -> int:
        """How often the network runs."""
        grids = (views.starts(size) for size in views.sizes(*self.size))
        return self.pictures * sum(len(rows) * len(columns) for rows, columns in grids) * (2 if views.flip else 1)


def best_engine(
    subject: Network | Path, device: str, work: Work | None, views: Views
) -> tuple[str, Measurement] | None:
    """The engine for a piece of work, with what was measured: before, or now if that pays back. None: nothing is known
    and it does not pay to find out. Without a size (work is None), only what is known and ready is taken."""
    if work is None:
        measured = recall(subject, device, views.window or views.size)
        engine = measured and choose(measured, subject, device)
        return (engine, measured) if engine and measured else None
    try:
        size, calls = work.seen(views), work.calls(views)
    except SwathError:  # of a picture that cannot be shown so: it is listed when its turn comes
        return None
    measured = recall(subject, device, size)
    if measured is None and calls >= _LEAST:
        measured = _measured_if_worth(subject, device, size, calls)
    engine = measured and choose(measured, subject, device, calls)
    return (engine, measured) if engine and measured else None


def _measured_if_worth(subject: Network | Path, device: str, size: tuple[int, int], calls: int) -> Measurement | None:
    """The first candidate is what would run without being measured: torch, or a file's own engine."""
    names = candidates(subject, device)
    if len(names) < 2:
        return None
    first, *others = names
    began = perf_counter()
    usual = Segmenter(subject, device, engine=first, views=Views())
    pixels = torch.from_numpy(street(size, usual.description.channels)[None])
    usual.labels(pixels).cpu()
    start = perf_counter() - began
    once = perf_counter()
    usual.labels(pixels).cpu()
    seconds = perf_counter() - once
    if calls * seconds < _WORTH * _cost(subject, [first, *others], device, seconds):
        return None
    segmenters, starts, converts = {first: usual}, {first: start}, {first: 0.0}
    made: dict[str, float] = {}  # seconds to make a file, by its ending: some engines share one
    for name in others:
        try:
            if isinstance(subject, Network) and name in CONVERTED:
                began = perf_counter()
                converted.prepare(subject, CONVERTED[name], device)
                made.setdefault(CONVERTED[name], perf_counter() - began)
            began = perf_counter()
            segmenter = Segmenter(subject, device, engine=name, views=Views())
            segmenter.labels(pixels).cpu()
        except SwathError:  # it cannot run this network here: then it is not the fastest
            continue
        segmenters[name], starts[name] = segmenter, perf_counter() - began
        converts[name] = made.get(CONVERTED.get(name, ""), 0.0)
    times = in_turns([partial(each.labels, pixels) for each in segmenters.values()], _ROUNDS, 1, device)
    figures = {
        name: Figure(ms=sorted(each)[len(each) // 2], start=starts[name], convert=converts[name])
        for name, each in zip(segmenters, times)
    }
    measured = Measurement(size, figures)
    with contextlib.suppress(SwathError):  # a cache folder that is full or closed: then it is measured again next time
        remember(subject, device, measured)
    return measured


def _cost(subject: Network | Path, names: list[str], device: str, seconds: float) -> float:
    """Seconds that measuring takes, guessed. A slower machine takes longer, for the measured work as well."""
    trying = len(names) * (_OPEN + (_ROUNDS + 2) * seconds)
    if isinstance(subject, Path):
        return trying
    fixed, a_layer = _CONVERT
    layers = sum(not list(module.children()) for module in subject.modules())
    files = {CONVERTED[name] for name in names if name in CONVERTED}
    missing = [ending for ending in files if not converted.ready(subject, ending, device)]
    return len(missing) * (fixed + a_layer * layers) + trying
