"""The part of `swath predict` that is about archives and clusters (`--engine ray`): its flags, the run, the bar."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.progress import Task
    from rich.text import Text

    from swath.cluster.archive import Outcome, Step

FLAGS = ("as", "batch", "actors", "part", "cluster", "retry")
OTHERS = (
    "write",
    "legend",
    "threads",
    "display",
    "jsonl",
    "json",
    "smooth",
    "deadline",
    "fps",
    "raw",
    "live",
    "patience",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "archives (--engine ray)",
        "INPUT is a folder, an address such as s3://bucket/photos or http://..., or a list of pictures (.txt);\n"
        "DIR may be an address too. The same command goes on where it was stopped. What runs in the actors is\n"
        "named as in ray:openvino",
    )
    group.add_argument(
        "--as",
        type=lambda text: options.words("--as", ("png", "parquet", "stats", "stats-csv"))(text)[0],
        metavar="WHAT",
        help="png (label maps, the default), parquet (COCO run lengths), stats (shares of classes), stats-csv",
    )
    group.add_argument("--batch", type=options.whole("--batch"), metavar="N", help="default: measured")
    group.add_argument("--actors", type=options.whole("--actors"), metavar="N", help="default: one a core, or a GPU")
    group.add_argument("--part", type=options.whole("--part"), metavar="N", help="pictures that are done together")
    group.add_argument(
        "--cluster", metavar="ADDRESS", help="Ray's (default: what runs on this machine, else this machine alone)"
    )
    group.add_argument("--retry", action="store_true", help="try the pictures in bad.csv again")


def wanted(arguments: argparse.Namespace) -> bool:
    """Whether this is about a cluster; its flags say nothing elsewhere."""
    if (arguments.engine or "").partition(":")[0] == "ray":
        return True
    for name in FLAGS:
        if getattr(arguments, name):
            raise SwathError(f"--{name} goes with --engine ray")
    return False


def run(arguments: argparse.Namespace) -> int:
    import sys

    from swath.cluster import predict_archive

    for name in OTHERS:
        if getattr(arguments, name):
            raise SwathError(f"--{name} does not go with --engine ray")
    if len(arguments.inputs) > 1:
        raise SwathError(f"{arguments.inputs[1]}: --engine ray takes one folder, one address or one list (.txt)")
    if not arguments.out:
        raise SwathError("--out DIR is needed: a folder that all machines see, or an address such as s3://bucket/masks")
    try:
        with _progress() as watch:
            outcome = predict_archive(
                arguments.weights,
                arguments.inputs[0],
                arguments.out,
                getattr(arguments, "as") or "png",
                views=options.views(arguments),
                engine=arguments.engine.partition(":")[2] or None,
                device=arguments.device,
                unsure=arguments.unsure,
                batch=arguments.batch,
                actors=arguments.actors,
                each=arguments.part,
                address=arguments.cluster,
                retry=arguments.retry,
                tell=lambda line: print(line, flush=True),
                watch=watch,
            )
    except KeyboardInterrupt:
        print("swath: stopped; what is done is kept, the same command goes on", file=sys.stderr)
        return 130
    _tell(outcome, arguments.out)
    if not outcome.bad:
        return 0
    for name, reason in outcome.bad[:5]:
        print(f"swath: {reason if name in reason else f'{name}: {reason}'}", file=sys.stderr)
    many = (
        f"{len(outcome.bad):,} of {outcome.pictures:,} pictures were not segmented; all of them are listed in bad.csv"
    )
    print(f"swath: {many}, --retry tries them again", file=sys.stderr)
    return 1


def _tell(outcome: Outcome, out: str) -> None:
    line = f"{outcome.done:,} of {outcome.pictures:,} pictures -> {out}"
    if outcome.now:
        line += f", {outcome.now:,} of them now: {outcome.now / outcome.seconds:.1f} a second with the actors' start"
    print(line)
    shares = [f"{name} {share:.1%}" for name, share in list(outcome.shares.items())[:6]]
    print(", ".join(shares) + (", ..." if len(outcome.shares) > 6 else ""))


def _progress() -> AbstractContextManager[Callable[[Step], None]]:
    """A bar with pictures a second and the time left; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f} pictures/s" if task.speed else "", style="progress.data.speed")

    @contextmanager
    def bar() -> Iterator[Callable[[Step], None]]:
        console = Console(stderr=True)
        # Parts arrive in bursts: the rate is that of the last minutes.
        with Progress(
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            speed_estimate_period=180,
        ) as progress:
            task = None

            def watch(step: Step) -> None:
                nonlocal task
                if task is None:  # what was done before is no part of the rate
                    task = progress.add_task("", total=step.pictures, completed=step.done)
                progress.update(task, completed=step.done)

            yield watch

    return bar()
