"""The part of `swath predict` that is about videos and streams: their flags, the run, and what is said about it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from swath.cli import opening, options
from swath.cli.places import try_places
from swath.errors import SwathError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console

    from swath.inference.streams import Budget, Outcome, Source, Work

ENDINGS = (".mp4", ".mov", ".mkv", ".avi")
FLAGS = ("display", "jsonl", "json", "smooth", "deadline", "fps", "raw", "live", "patience")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("videos and streams", "files keep every frame, live sources the newest")
    group.add_argument("--display", action="store_true", help="show the overlay in a window (q closes it)")
    group.add_argument("--jsonl", metavar="FILE", help="a line a frame: its time, each class's share; - is stdout")
    group.add_argument("--json", metavar="FILE", help="write the table of times and the counts")
    group.add_argument(
        "--smooth",
        type=options.number("--smooth", 0, 0.99, "a number from 0 to 0.99 is needed, the share kept of earlier frames"),
        metavar="KEEP",
        help="share kept of earlier frames, 0 to 0.99; calmer",
    )
    group.add_argument("--deadline", type=_above("--deadline"), metavar="MS", help="default: one frame's time")
    group.add_argument("--fps", type=_above("--fps"), metavar="N", help="frames a second, where nothing says it")
    group.add_argument("--raw", type=options.size, metavar="WxH", help="the pipe holds bare RGB frames of this size")
    group.add_argument("--live", action="store_true", help="keep only the newest frames of a pipe or of http://")
    group.add_argument(
        "--patience", type=_above("--patience"), metavar="S", help="wait for a dropped stream (default: 30 s)"
    )


def refuse(arguments: argparse.Namespace) -> None:
    """Flags of videos say nothing about pictures."""
    for name in FLAGS:
        if getattr(arguments, name):
            raise SwathError(f"--{name} is for one video or stream; {arguments.inputs[0]} is none")


def run(arguments: argparse.Namespace) -> int:
    import signal
    import threading
    from contextlib import ExitStack

    from rich.console import Console

    from swath.inference.streams import Wishes, open_source, run_stream
    from swath.inference.streams.names import shown

    name = arguments.inputs[0]
    videos, labels = _outputs(arguments)
    if not (videos or labels or arguments.jsonl or arguments.display):
        raise SwathError(f"{shown(name)}: say what is to come of it: --out seen.mp4, --jsonl shares.jsonl or --display")
    _keep_apart(arguments, videos)
    try_places(arguments.json)
    options.set_threads(arguments.threads)
    segmenter = opening.segmenter(arguments, opening.video(name), unsure=arguments.unsure)
    source = open_source(
        name, live=arguments.live, raw=arguments.raw, rate=arguments.fps, patience=arguments.patience or 30.0
    )
    stopping = threading.Event()
    with ExitStack() as stack:
        received = stack.enter_context(_signals(stopping))
        watch = stack.enter_context(_progress(source))
        wishes = Wishes(
            videos=videos,
            labels=labels,
            lines=_lines(arguments.jsonl),
            display=arguments.display,
            alpha=arguments.alpha,
            legend=arguments.legend,
            smooth=arguments.smooth or 0.0,
            rate=arguments.fps,
            deadline=arguments.deadline / 1000 if arguments.deadline else None,
        )
        outcome = run_stream(segmenter, source, wishes, watch, stopping)
    console = Console(stderr=arguments.jsonl == "-", highlight=False, soft_wrap=True)
    _tell(console, source, outcome, [*outcome.notes, *([str(labels)] if labels else [])])
    if arguments.json:
        _write_json(Path(arguments.json), source, outcome)
    if received and not source.live:
        raise SwathError(f"{source.name}: stopped after {outcome.frames} frames; the results up to there are kept")
    if source.lost:
        raise SwathError(_lost(name, source, outcome.frames))
    return 128 + signal.SIGTERM if signal.SIGTERM in received else 0


def _outputs(arguments: argparse.Namespace) -> tuple[dict[str, Path], Path | None]:
    """The videos by kind, and the folder of the label maps."""
    if not arguments.out:
        if arguments.write:
            raise SwathError("--write needs --out: a folder, or a file such as seen.mp4")
        return {}, None
    out, name = Path(arguments.out), arguments.inputs[0]
    write = arguments.write or ["overlay"]
    videos = [kind for kind in write if kind != "labels"]
    if out.suffix.lower() in ENDINGS and not out.is_dir():
        if len(videos) > 1:
            raise SwathError(f"{out}: one file holds one video; give --out a folder for {' and '.join(videos)}")
        if not videos:
            raise SwathError(f"{out}: label maps are pictures; give --out a folder")
        return {videos[0]: out}, out.with_name(f"{out.stem}_labels") if "labels" in write else None
    if out.suffix and not out.is_dir():
        raise SwathError(f"{out}: videos are written as {', '.join(ENDINGS)}; give it such a name, or a folder")
    if Path(name).exists():
        stem = os.fsencode(Path(name).stem).decode("utf-8", "replace")  # no video can be written by another name
    else:
        stem = "pipe" if name == "-" else "stream" if "://" in name else f"camera{name}"
    return {kind: out / f"{stem}_{kind}.mp4" for kind in videos}, out / f"{stem}_labels" if "labels" in write else None


def _keep_apart(arguments: argparse.Namespace, videos: dict[str, Path]) -> None:
    """Nothing that is read is written over, and no two things are written into one file."""
    taken = [("the video that is read", Path(arguments.inputs[0])), ("the weights", Path(arguments.weights))]
    taken = [(what, path) for what, path in taken if path.exists()]
    wanted = [("--out", path) for path in videos.values()]
    wanted += [(f"--{flag}", Path(told)) for flag in ("jsonl", "json") if (told := getattr(arguments, flag))]
    for flag, path in wanted:
        if flag == "--jsonl" and str(path) == "-":
            continue
        if path.is_dir():
            raise SwathError(f"{path}: is a folder; give {flag} the name of a file")
        for what, other in taken:
            if _same(path, other):
                raise SwathError(f"{path}: would overwrite {what}; choose another {flag}")
        taken.append((f"what {flag} writes", path))


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _lines(name: str | None) -> IO[str] | Path | None:
    import sys

    return sys.stdout if name == "-" else Path(name) if name else None


def _lost(name: str, source: Source, frames: int) -> str:
    from swath.inference.streams.names import is_address

    if source.live:
        return f"{source.name}: dropped and did not come back; the {frames} frames before are kept"
    of = f" of {source.total}" if source.total else ""
    if is_address(name):
        return f"{source.name}: broke off, and asking again gave no more; the {frames}{of} frames before are kept"
    return f"{source.name}: is cut off, its end is missing; the {frames}{of} frames before are kept"


def _signals(stopping: threading.Event) -> AbstractContextManager[list[int]]:
    """The first Ctrl-C or SIGTERM ends the run properly, a second Ctrl-C at once."""
    import signal
    import threading
    from contextlib import contextmanager

    @contextmanager
    def watching() -> Iterator[list[int]]:
        received: list[int] = []
        if threading.current_thread() is not threading.main_thread():
            yield received
            return

        def handle(number: int, frame: object) -> None:
            if received and number == signal.SIGINT:
                raise KeyboardInterrupt
            received.append(number)
            stopping.set()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield received
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return watching()


def _tell(console: Console, source: Source, outcome: Outcome, written: list[str]) -> None:
    """What became of it, and where the time went."""
    from rich.table import Table

    from swath.inference.streams.names import shown

    budget = outcome.budget
    counts = {"dropped": outcome.dropped, "broken": source.broken, "reconnected": source.returns}
    more = "".join(f", {count} {what}" for what, count in counts.items() if count)
    for file in written:
        note = outcome.notes.get(file)
        console.print(f"{source.name} -> {shown(file)}{f' ({note})' if note else ''}", markup=False)
    console.print(f"{outcome.frames} frames in {budget.seconds:.1f} s: {budget.rate:.1f} frames/s{more}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ms a frame")
    for head in ("mean", "p50", "p90", "p99", "max", "late"):
        table.add_column(head, justify="right")
    lines = [*budget.stages(), budget.whole(), *([budget.latency()] if source.live else [])]
    for line in lines:
        times = (f"{1000 * value:.1f}" for value in (line.mean, line.p50, line.p90, line.p99, line.max))
        table.add_row(line.name, *times, "-" if line.late is None else f"{line.late:.1%}")
    console.print(table)
    console.print(_limits(budget, source.live), markup=False)


def _limits(budget: Budget, live: bool) -> str:
    """What the speed is bound by; a live source has a pace of its own."""
    slowest = budget.slowest()
    assert slowest is not None
    speed = f"slowest stage: {slowest.name}, {1 / max(slowest.mean, 1e-9):.1f} frames/s"
    share = "" if live else f"; all together reach {budget.rate * slowest.mean:.0%} of that"
    late = f"; late: over {1000 * budget.deadline:.1f} ms" if budget.deadline else ""
    return speed + share + late


def _write_json(path: Path, source: Source, outcome: Outcome) -> None:
    import json

    from swath.files import atomic_write

    counts = {"dropped": outcome.dropped, "broken": source.broken, "reconnected": source.returns, "lost": source.lost}
    content = {"source": source.name, "live": source.live, **counts, **outcome.budget.as_dict(), "files": outcome.notes}
    with atomic_write(path, "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")


def _progress(source: Source) -> AbstractContextManager[Callable[[Work], None]]:
    """A bar with the time left for files, a count for streams; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Callable[[Work], None]]:
        console = Console(stderr=True)
        count, where = TextColumn("{task.completed} frames"), TextColumn("{task.description}")
        columns = (BarColumn(), count, TimeRemainingColumn(), where)
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("", total=source.total)

            def watch(work: Work) -> None:
                progress.update(task, completed=work.frame.number + 1, description=f"{work.frame.time:.1f} s")

            yield watch

    return bar()


def _above(option: str) -> Callable[[str], float]:
    return options.number(option, 1e-6, 1e6, "a number above 0 is needed")
