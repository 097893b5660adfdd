"""`swath verify`: does a bundle answer on this machine as the network did where it was exported?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.deploy import Verdict

HELP = "re-run the pictures of an exported bundle on this machine"
EXAMPLES = """
  swath verify best-onnx                    every picture, every class; status 0 if it agrees, 1 if not
  swath verify best-tensorrt --device cuda
  swath verify best-openvino --json         the same for a program to read

Checks the sha256 of every file first, then runs the model with the bundle's engine: only verify what you trust, for
running a model can run code. Without swath, on the device: `python best-onnx/verify.py`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", help="a folder that `swath export` wrote")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(arguments: argparse.Namespace) -> int:
    from swath.deploy import recheck

    with _progress() as watch:
        verdict = recheck(arguments.bundle, arguments.device, watch)
    if arguments.json:
        import json

        print(json.dumps(verdict.as_dict(), indent=1))
    else:
        _print(verdict)
    return 0 if verdict.passed else 1


def _print(verdict: Verdict) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    print(f"{verdict.bundle}: {verdict.format}, {verdict.precision}, run by {verdict.engine}")
    pictures = _table("picture", ("size", "pixels differ", "ties of these", ""))
    for each in verdict.pictures:
        height, width = each.size
        pictures.add_row(
            each.name,
            f"{width}x{height}",
            f"{each.differ / each.pixels:.4%}",
            str(each.differ - each.wrong),
            "" if each.passed else f"[bold red]{each.wrong / each.pixels:.4%} wrong, {each.limit:.2%} may[/]",
        )
    console.print(pictures)
    classes = _table("class", ("pixels", "pixels differ"))
    for name, (pixels, differ) in verdict.classes.items():
        classes.add_row(name, f"{pixels:,}", f"{differ / pixels:.4%}")
    console.print(classes)
    failed = sum(not each.passed for each in verdict.pictures)
    if failed:
        console.print(f"[bold red]failed[/]: {failed} of {len(verdict.pictures)} pictures differ by more than they may")
    else:
        console.print(f"agrees with the original on {len(verdict.pictures)} pictures")


def _table(first: str, others: tuple[str, ...]):  # type: ignore[no-untyped-def]
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("pictures", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
