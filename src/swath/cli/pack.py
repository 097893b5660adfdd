"""`swath pack`: a dataset decoded once, so that training never waits for pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from rich.progress import Progress

    from swath.cards import Card
    from swath.data.packed import Plan
    from swath.data.shards import Plan as ShardPlan

HELP = "write a dataset anew: decoded for quick crops, or as shards"
EXAMPLES = """
  swath pack cityscapes --root ~/cityscapes --out /fast/cityscapes
  swath train contextnet14-cityscapes --data.root /fast/cityscapes     then, with the same card
  swath pack my.yaml --out packed --split train                        only one split
  swath pack mapillary --root ~/mapillary --out /fast/mapillary --format jpeg
  swath pack cityscapes --root ~/cityscapes --out shards --to shards     copy it to a server, then
  swath train contextnet14-cityscapes --data.root https://host/shards    train from there
  swath pack --verify /fast/cityscapes                                 look at every checksum
Stopped, or the dataset has changed? The same command goes on, and packs only what is missing or has changed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("card", nargs="?", help="dataset: a built-in name or a YAML file")
    parser.add_argument("--root", metavar="DIR", help="the dataset's folder")
    parser.add_argument("--out", metavar="DIR", help="folder to pack into")
    parser.add_argument(
        "--split", metavar="NAMES", help="splits, separated by commas (default: train, val and test, if they are there)"
    )
    parser.add_argument(
        "--to",
        default="crops",
        choices=("crops", "shards"),
        help="crops: decoded files on a disk; shards: tar files of the original ones (default: %(default)s)",
    )
    parser.add_argument("--layout", help="which of the card's layouts the files are in")
    parser.add_argument(
        "--format",
        default="raw",
        help="of crops; raw: every byte as it is, fastest; jpeg: several times smaller, slower, and pictures are not "
        "quite the same (quality 95), labels are (default: %(default)s)",
    )
    parser.add_argument("--jobs", type=options.whole("--jobs"), metavar="N", help="processes (default: all processors)")
    parser.add_argument("--verify", metavar="DIR", help="look at every checksum of a packed folder instead")


def run(arguments: argparse.Namespace) -> int:
    if arguments.verify:
        return _verify(arguments.verify)
    if not arguments.card or not arguments.out:
        raise SwathError("give a card and a folder to pack it into: swath pack CARD --root DIR --out DIR")
    from swath.cards import load_card
    from swath.data.packed import pack, plan_packing

    card = load_card(arguments.card)
    names = (arguments.split or "").replace("+", ",").split(",")
    splits = [word.strip() for word in names if word.strip()]
    if arguments.to == "shards":
        return _shards(card, splits, arguments)
    with _bar() as bar:
        task = bar.add_task("looking", total=None)
        plan = plan_packing(
            card,
            arguments.out,
            arguments.root,
            splits,
            arguments.layout,
            arguments.format,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
    _announce(plan)
    if plan.todo:
        pictures = sum(len(job.indices) for _, job in plan.todo)
        with _bar() as bar:
            task = bar.add_task("packing", total=pictures)
            pack(plan, arguments.jobs, lambda done: bar.update(task, completed=done))
    else:
        pack(plan, 1)  # the times of the source's files may be new
    _close(plan, arguments.card)
    return 0


def _shards(card: Card, splits: list[str], arguments: argparse.Namespace) -> int:
    from swath.data.shards import write_shards

    def announce(plan: ShardPlan) -> None:
        for split in plan.splits:
            print(f"{split.name}: {len(split.source):,} pictures ({', '.join(split.parts[1:]) or 'no labels'})")
        print(f"{arguments.out}: about {_size(plan.bytes)} in {plan.shards:,} shards", flush=True)

    import os

    with _bar() as bar:
        task = bar.add_task("writing shards", total=None)
        index = write_shards(
            card,
            splits,
            arguments.root,
            arguments.out,
            layout=arguments.layout,
            jobs=arguments.jobs or os.cpu_count() or 1,
            announce=announce,
            told=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f"wrote {index}")
    print(f"on a server that answers byte ranges: swath train RECIPE --data.card {arguments.card} --data.root URL")
    return 0


def _announce(plan: Plan) -> None:
    """What will be written, and whether there is room, before anything is."""
    from swath.data.packed import FORMATS

    for split in plan.splits:
        waiting = sum(len(job.indices) for name, job in plan.todo if name == split.name)
        done = len(split.source) - waiting
        what = [name for name in split.kinds if name != "image"] or ["no labels"]
        already = f", {done:,} of them packed already" if done else ""
        print(f"{split.name}: {len(split.source):,} pictures ({', '.join(what)}){already}")
        for reason in split.left_out:
            print(f"  {reason}")
    if plan.missing:
        print(f"not there: {', '.join(plan.missing)}")
    if plan.todo:
        packing = plan.splits[0].packing
        about = "" if plan.exact else "about "
        print(f"format {packing}: {FORMATS[packing]}")
        print(f"{plan.out}: {about}{_size(plan.needed)} to write, {_size(plan.free)} free", flush=True)


def _close(plan: Plan, card: str) -> None:
    from swath.data.packed.manifest import read_manifest

    splits = read_manifest(plan.out).splits
    total = sum(split.bytes for split in splits.values())
    pictures = sum(len(split.pictures) for split in splits.values())
    what = "packed" if plan.todo else "nothing has changed:"
    print(f"{what} {pictures:,} pictures, {_size(total)} in {plan.out}")
    print(f"to train on them: swath train RECIPE --data.card {card} --data.root {plan.out}")


def _verify(folder: str) -> int:
    from swath.data.packed import verify

    with _bar() as bar:
        task = bar.add_task("checksums", total=None)
        complaints = verify(folder, lambda done, total: bar.update(task, completed=done, total=total))
    for complaint in complaints:
        print(complaint)
    print(f"{folder}: {f'damaged pictures: {len(complaints)}' if complaints else 'every checksum is right'}")
    return 1 if complaints else 0


def _size(count: float) -> str:
    """As disks are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"


@contextmanager
def _bar() -> Iterator[Progress]:
    """What is done, and the time left; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        yield bar
