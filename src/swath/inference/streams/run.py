"""A whole run over a video or a stream: the stages, what is written, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import IO

from swath.errors import SwathError
from swath.inference.captions import captioned
from swath.inference.segmenter import Segmenter
from swath.inference.streams.budget import Budget
from swath.inference.streams.frame import Source
from swath.inference.streams.network import network_stages
from swath.inference.streams.pipeline import Pipeline, Stage, Work
from swath.inference.streams.sinks import JsonLines, LabelFolder, Window
from swath.inference.streams.writers import VideoFile, video_file

_RATE = 25.0  # frames a second of a written video, where nothing says better


@dataclass(kw_only=True)
class Wishes:
    """What is to come of a stream."""

    videos: Mapping[str, Path] = field(default_factory=dict)  # "overlay" or "color" -> file
    labels: Path | None = None  # folder
    lines: IO[str] | Path | None = None  # JSON, a line a frame
    lines_name: str = "-"  # of what is open already
    display: bool = False
    alpha: float = 0.5  # of the overlay
    legend: bool = False  # all classes named below what is drawn
    smooth: float = 0.0
    rate: float | None = None  # frames a second of written videos that need a constant rate
    deadline: float | None = None  # seconds; without it, one frame's time


@dataclass(kw_only=True)
class Outcome:
    """How it went."""

    budget: Budget
    frames: int
    dropped: int  # newer ones were there already
    notes: dict[str, str]  # file -> what to know about it


def run_stream(
    segmenter: Segmenter,
    source: Source,
    wishes: Wishes,
    watch: Callable[[Work], None] | None = None,
    stopping: threading.Event | None = None,
) -> Outcome:
    """Segment every frame (of live sources: the newest). Once `stopping` is set, frames on their way are finished and
    files are ended properly; so are they when something fails, before that is raised."""
    deadline = wishes.deadline or (1 / source.rate if source.rate else None)
    budget = Budget(deadline)
    failure: Exception | None = None
    with ExitStack() as stack:
        network = network_stages(segmenter, wishes.smooth)  # what cannot be is refused before anything is opened
        window = Window(f"swath {source.name}") if wishes.display else None
        if window:
            stack.callback(window.close)
        rate = wishes.rate or source.rate or _RATE
        videos = {kind: stack.enter_context(video_file(path, rate)) for kind, path in wishes.videos.items()}
        lines = JsonLines(wishes.lines, wishes.lines_name) if wishes.lines else None
        if lines:
            stack.callback(lines.close)
        stages = [*network, *output_stages(wishes, videos, lines)]
        stopping = stopping or threading.Event()
        pipeline = Pipeline(source, stages, budget, stopping)
        results = iter(pipeline)
        stack.callback(results.close)  # type: ignore[attr-defined]
        try:
            for work in results:
                if watch:
                    watch(work)
                if window and not stopping.is_set() and not _show(window, work, source, budget):
                    stopping.set()
        except Exception as error:
            failure = error
        if not budget.frames:
            said = "was stopped before its first frame" if stopping.is_set() else "not one frame of it could be decoded"
            raise failure or SwathError(f"{source.name}: {said}")
    if failure:
        raise failure
    notes = {str(file.target): file.note for file in videos.values()}
    return Outcome(budget=budget, frames=budget.frames, dropped=pipeline.dropped, notes=notes)


def output_stages(wishes: Wishes, videos: Mapping[str, VideoFile], lines: JsonLines | None = None) -> list[Stage]:
    """`draw` and `encode`, as far as anything is to be seen or kept."""
    kinds = {*videos, *(("overlay",) if wishes.display else ())}
    labels = LabelFolder(wishes.labels) if wishes.labels else None

    def draw(work: Work) -> None:
        assert work.result is not None
        if "overlay" in kinds:
            work.drawn["overlay"] = work.result.overlay(wishes.alpha)
        if "color" in kinds:
            work.drawn["color"] = work.result.color()
        if wishes.legend:
            named = work.result.key()
            work.drawn.update({kind: captioned(drawn, named) for kind, drawn in work.drawn.items()})

    def encode(work: Work) -> None:
        for kind, file in videos.items():
            file.add(work.frame.time, work.drawn[kind])
        if labels:
            labels.add(work)
        if lines:
            lines.add(work)

    stages: list[Stage] = [("draw", draw)] if kinds else []
    if videos or labels or lines:
        stages.append(("encode", encode))
    return stages


def _show(window: Window, work: Work, source: Source, budget: Budget) -> bool:
    """Show a frame; those of a file not before it is their time."""
    if not source.live:
        early = work.frame.time - budget.elapsed()
        if early > 0:
            sleep(early)
    return window.show(work.drawn["overlay"])
