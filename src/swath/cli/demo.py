"""`swath demo`: the whole way on synthetic streets, in about two minutes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.demo import DemoResult

HELP = "train on synthetic streets, score, segment, and write a page of it"
EXAMPLES = """
  swath demo                        into the folder demo; about two minutes on two CPU cores
  swath demo --out try --overwrite  replace what is there
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder to write into (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo in that folder")


def run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from swath.demo import demo

    result = demo(Path(arguments.out), overwrite=arguments.overwrite)
    if isinstance(result, int):
        return result
    _print(result)
    return 0


def _print(result: DemoResult) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from swath.evaluation.tables import percent

    height, width = result.size
    summary = Table(box=box.SIMPLE_HEAD)
    summary.add_column("network")
    for title in ("mIoU", f"ms an image ({width}x{height})"):
        summary.add_column(title, justify="right")
    summary.add_row(result.network, percent(result.scores.miou), f"{result.milliseconds:.1f}")
    classes = Table(box=box.SIMPLE_HEAD)
    classes.add_column("class")
    classes.add_column("IoU", justify="right")
    for name, iou in zip(result.scores.class_names, result.scores.class_iou):
        classes.add_row(name, percent(iou))
    console = Console()
    console.print(classes)
    console.print(summary)
    console.print(f"gallery: {result.page}", soft_wrap=True, highlight=False)
