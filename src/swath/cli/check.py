"""`swath check`: everything that is wrong with a dataset, in one pass."""

from __future__ import annotations

import argparse
from typing import Any

from swath.cli import options

HELP = "examine a dataset: every fault of its files, pictures and labels at once"
EXAMPLES = """
  swath check camvid --root ~/camvid                 all splits that are there
  swath check bottles/card.yaml --report check.html  with charts, near-duplicates and a contact sheet
  swath check cityscapes --split train --limit 200   only a look at 200 pictures
  swath check bottles/card.yaml --weights median     and class weights to paste into a recipe

The exit status says whether a training may start: 0 yes (warnings are allowed), 1 no, 2 the command was wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("card", help="dataset: a built-in name or a YAML file")
    parser.add_argument("--root", metavar="DIR", help="the dataset's folder")
    parser.add_argument("--split", help="one, or several: train+val (default: all that are there)")
    parser.add_argument("--layout", help="which of the card's layouts the files are in, where several fit")
    parser.add_argument("--report", metavar="FILE", help="write a page with everything (.html)")
    parser.add_argument("--json", metavar="FILE", help="write every finding and count")
    parser.add_argument("--limit", type=options.whole("--limit"), metavar="N", help="only N pictures of each split")
    parser.add_argument("--jobs", type=options.whole("--jobs"), metavar="N", help="processes (default: one a core)")
    parser.add_argument("--weights", choices=("log", "median"), help="print class weights for a recipe, by this rule")


def run(arguments: argparse.Namespace) -> int:
    import json
    import os
    from pathlib import Path

    from rich.console import Console

    from swath.cards import load_card
    from swath.doctor import check
    from swath.doctor.screen import show
    from swath.files import atomic_write

    card = load_card(arguments.card)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with _Progress(f"examining {card.name}") as watch:
        diagnosis = check(
            card,
            arguments.root,
            split=arguments.split,
            layout=arguments.layout,
            jobs=arguments.jobs or cores,
            limit=arguments.limit,
            told=watch,
        )
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe: names in one piece
        console = Console(highlight=False, width=200)
    show(diagnosis, console)
    if arguments.json:
        with atomic_write(arguments.json, "w") as file:
            json.dump(diagnosis.as_dict(), file, indent=1)
    if arguments.report:
        from swath.doctor.page import write_report

        write_report(diagnosis, Path(arguments.report))
        console.print(f"report: {arguments.report}", markup=False)
    if arguments.weights:
        split = next((each for each in diagnosis.splits if each.balance.pixels.any()), None)
        if split is not None:
            print(f"{split.balance.yaml(arguments.weights)}  # {arguments.weights}, from {card.name} {split.name}")
    return 0 if diagnosis.fit else 1


class _Progress:
    """A bar with the time left, the pace and what has been found; silent where nobody watches."""

    def __init__(self, title: str):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        found = TextColumn("{task.fields[found]} findings")
        self.bar = Progress(*columns, found, console=console, disable=not console.is_terminal, transient=True)
        self.task = self.bar.add_task(title, total=None, found=0)

    def __enter__(self) -> Any:
        self.bar.start()
        return self.show

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def show(self, done: int, total: int, found: int) -> None:
        self.bar.update(self.task, completed=done, total=total, found=found)
