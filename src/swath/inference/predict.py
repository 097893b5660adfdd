"""Segment many pictures into files; one bad picture does not stop the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from swath.errors import SwathError
from swath.inference.ahead import ahead
from swath.inference.captions import captioned
from swath.inference.inputs import Job
from swath.inference.pictures import write_picture
from swath.inference.segmentation import Segmentation
from swath.inference.segmenter import Segmenter

_UNWRITTEN = 2  # results that wait for the disk, beside the one that is being written


@dataclass
class Summary:
    """What became of a run."""

    done: int = 0
    failed: list[str] = field(default_factory=list)  # one line each
    seconds: float = 0.0


def predict(
    segmenter: Segmenter,
    jobs: Sequence[Job],
    alpha: float = 0.5,
    watch: Callable[[Job], None] | None = None,
    legend: bool = False,
) -> Summary:
    """Do all jobs in order. What cannot be read or segmented is listed; what cannot be written stops the run. `legend`:
    the classes that occur are named below overlays and colors.

    Reading, the network and writing overlap: a file waits for the disk as long as a light network takes."""
    summary = Summary()
    start = perf_counter()
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "swath-write") as writer:
        try:
            for job, picture in ahead(_read, jobs):
                try:
                    result = segmenter(picture())
                except SwathError as error:
                    summary.failed.append(str(error) if str(job.picture) in str(error) else f"{job.picture}: {error}")
                else:
                    writing.append(writer.submit(_write, result, job, alpha, legend))
                    summary.done += 1
                while len(writing) > _UNWRITTEN:
                    writing.popleft().result()
                if watch:
                    watch(job)
            for each in writing:
                each.result()
        finally:
            writer.shutdown(cancel_futures=True)
    summary.seconds = perf_counter() - start
    return summary


def _read(job: Job) -> npt.NDArray[np.uint8]:
    from swath.data import read_image

    return read_image(job.picture)


def _write(result: Segmentation, job: Job, alpha: float, legend: bool) -> None:
    for kind, path in job.outputs.items():
        if kind == "labels":
            result.save(path)
            continue
        drawn = result.overlay(alpha) if kind == "overlay" else result.color()
        write_picture(path, captioned(drawn, result.legend()) if legend else drawn)
