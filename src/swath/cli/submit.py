"""`swath submit`: the archive that a benchmark's test server takes, and a look at one before it is uploaded."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from swath.cli import opening, options
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.submit import Expected, Inspection, Server

HELP = "write what a benchmark's test server takes, or check such an archive"
EXAMPLES = """
  swath submit best.safetensors --card cityscapes --root ~/cityscapes     writes and checks cityscapes-test.zip
  swath submit best.safetensors --card cityscapes --root ~/cityscapes --scales 0.75,1,1.25 --flip
  swath submit best.safetensors --card voc --root ~/VOC2012 --out results.tar.gz
  swath submit --check theirs.zip --card cityscapes --root ~/cityscapes   an archive that anybody has made
  swath submit --check theirs.zip --card cityscapes                       without the pictures: names, kinds, values
  swath submit best.safetensors --card my.yaml --server cityscapes        pictures that a card of your own finds

A stopped run goes on where it was. The exit status of a check: 0 it can be uploaded, 1 it cannot, 2 the command was
wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", nargs="?", help=".safetensors, or an exported .onnx, .pt2, .pt")
    parser.add_argument("--card", help="dataset: a built-in name or a YAML file (default: what the weights name)")
    parser.add_argument("--root", metavar="DIR", help="the dataset's folder")
    parser.add_argument("--split", default="test", help="which part of it (default: %(default)s)")
    parser.add_argument("--server", metavar="NAME", help="whose rules count (default: that of the card)")
    parser.add_argument("--out", metavar="FILE", help="the archive (default: SERVER-SPLIT.zip, or .tar.gz)")
    parser.add_argument("--check", metavar="FILE", help="only check this archive, nothing is predicted")
    options.add_views(parser)
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.check and arguments.weights:
        raise SwathError("--check looks at an archive that is there; leave out the weights, or --check")
    if not arguments.check and not arguments.weights:
        raise SwathError("name the weights to predict with, or an archive to look at with --check")
    return _check(arguments) if arguments.check else _write(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from swath.cards import load_card
    from swath.submit import Expected, server_of

    if not arguments.card:
        raise SwathError(f"--check {arguments.check}: say with --card whose pictures it should hold")
    card = load_card(arguments.card)
    server = server_of(card, arguments.server)
    count = card.split_info(arguments.split).count
    if arguments.root:
        expected = Expected.of(card.open(arguments.split, arguments.root), count)
    else:
        expected = Expected(count)
    return _inspected(arguments.check, server, expected)


def _write(arguments: argparse.Namespace) -> int:
    from swath.inference import Segmenter
    from swath.submit import Expected, server_of, write_submission

    options.set_threads(arguments.threads)
    engine = opening.fixed_engine(arguments)
    segmenter = Segmenter(arguments.weights, arguments.device, engine=engine, views=options.views(arguments))
    card = _card(arguments, segmenter.description.meta.dataset)
    server = server_of(card, arguments.server)
    source = card.open(arguments.split, arguments.root)
    out = arguments.out or f"{server.name}-{arguments.split}.{server.archive}"
    with _progress(f"{card.name} {arguments.split}") as watch:
        write_submission(segmenter, source, server, out, split=arguments.split, watch=watch)
    status = _inspected(out, server, Expected.of(source, card.split_info(arguments.split).count))
    if server.remark:
        print(f"note: {server.remark}")
    return status


def _card(arguments: argparse.Namespace, named: str) -> Card:
    from swath.cards import load_card

    chosen = arguments.card or named
    if not chosen:
        raise SwathError(f"{arguments.weights}: does not say which dataset it was trained on; give one with --card")
    return load_card(chosen)


def _inspected(path: str, server: Server, expected: Expected) -> int:
    from swath.submit import inspect

    with _progress("checking") as watch:
        seen = inspect(path, server, expected, watch)
    _show(seen)
    return 0 if seen.fit else 1


def _show(seen: Inspection) -> None:
    """Findings first, then what the archive says."""
    from rich.console import Console

    console = Console(highlight=False)
    megabytes = seen.path.stat().st_size / 1e6
    known = "with the names and sizes of the pictures" if seen.expected.sizes else "without the pictures: by their form"
    title = f"{seen.path}: {megabytes:.1f} MB for {seen.server.title}, {known}"
    console.print(title, style="bold", markup=False, soft_wrap=True)
    for finding in seen.findings:
        sign, style = ("✗", "red") if finding.fatal else ("!", "yellow")
        console.print(f"{sign} {_in_words(finding.files, finding.message)}", style=style, markup=False, soft_wrap=True)
    console.print(_shares(seen))
    if seen.fit:
        said = f"{seen.pictures:,} picture{' is as it' if seen.pictures == 1 else 's are as they'} should be"
        console.print(f"✓ {said}: it can be uploaded", style="green", markup=False, soft_wrap=True)
    else:
        count = sum(1 for finding in seen.findings if finding.fatal)
        console.print(f"✗ {count} mistake{'s' if count > 1 else ''}: do not upload it", style="red")


def _in_words(files: Any, message: str) -> str:
    if not files:
        return message
    if len(files) == 1:
        return f"{files[0]} {message}"
    return f"{len(files):,} files, {files[0]} the first: each {message}"


def _shares(seen: Inspection) -> Any:
    """How much of all pixels each class has; a class that nobody predicted is seen at once."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    table.add_column("value", justify="right")
    table.add_column("% of pixels", justify="right")
    table.add_column("", no_wrap=True)
    values = seen.server.scored()
    shares = seen.shares()
    most = max(shares.values(), default=0) or 1
    for name, share in sorted(shares.items(), key=lambda each: -each[1]):
        known = name in values
        told = f"{100 * share:.2f}" if share else "never"
        value = str(values[name]) if known else name.removeprefix("value ")
        table.add_row(name if known else "(not scored)", value, told, "█" * round(24 * share / most))
    return table


def _progress(title: str) -> AbstractContextManager[Any]:
    """A bar with the time left; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Any:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as it:
            task = it.add_task(title, total=None)
            yield lambda done, total: it.update(task, completed=done, total=total or None)

    return bar()
