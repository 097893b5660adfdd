"""Milliseconds of float and int8 in the engines that are here, in turns: what one CPU gains is told, never assumed."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference import Segmenter
from swath.quantise.engines.makers import installed

RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}

_WARM = 3
_ROUNDS = 15
_SECONDS = 45.0  # after which no further round begins, once there are five


@dataclass(frozen=True)
class Timing:
    """The network alone: pixels in, logits out."""

    runtime: str  # a key of RUNTIMES
    precision: str  # "fp32" or "int8"
    ms: float  # the median

    def __str__(self) -> str:
        return f"{self.precision} in {RUNTIMES[self.runtime]}"


def timings(files: dict[str, Path], pixels: Tensor, found: list[Timing]) -> Iterator[tuple[int, int]]:
    """Time .onnx files (precision -> path) in every engine that is installed and can run them; `found` takes the
    figures. Yields rounds done and rounds in all."""
    calls = {}
    for name in filter(installed, RUNTIMES):
        for kind, file in files.items():
            with contextlib.suppress(SwathError):  # what one engine's tool writes, another may refuse
                calls[name, kind] = Segmenter(file, engine=name).runtime
    times: dict[tuple[str, str], list[float]] = {each: [] for each in calls}
    began = time.monotonic()
    with torch.inference_mode():
        for done in range(_WARM + _ROUNDS):
            for each, runtime in calls.items():
                start = time.perf_counter()
                runtime.run(pixels)
                times[each].append(1000 * (time.perf_counter() - start))
            yield done + 1, _WARM + _ROUNDS
            if done >= _WARM + 5 and time.monotonic() - began > _SECONDS:
                break
    found.extend(Timing(*each, statistics.median(mine[_WARM:])) for each, mine in times.items())


def verdict(found: list[Timing]) -> list[str]:
    """In words: what is fastest here, and what int8 gains; only what was measured."""
    best, *_ = sorted(found, key=lambda each: each.ms)
    fastest, quickest = (
        min((each for each in found if each.precision == precision), key=lambda each: each.ms)
        for precision in ("fp32", "int8")
    )
    told = f"fastest here: {best}, {best.ms:.1f} ms; "
    if best is quickest:
        told += f"{fastest.ms / quickest.ms:.2f} times as fast as {fastest}, {fastest.ms:.1f} ms"
    else:
        told += f"int8 gains no time on this CPU, at best {quickest.ms:.1f} ms ({quickest})"
    measured = {each.runtime for each in found if each.precision == "int8"}
    missing = [
        f"{title} {'cannot run this file with 8 bits' if installed(name) else 'is not installed'}: not measured"
        for name, title in RUNTIMES.items()
        if name not in measured
    ]
    return [told, *missing]
