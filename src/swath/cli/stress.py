"""`swath stress`: how much of a network's quality bad weather and bad cameras leave."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli import opening, options
from swath.cli.places import try_places
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ENDINGS = {"report": (".html", ".htm"), "json": (".json",), "csv": (".csv",)}
HELP = "score weights on pictures with fog, rain, night, noise, blur and the like"
EXAMPLES = """
  swath stress runs/streets/best.safetensors                       eleven faults, five severities each
  swath stress best.safetensors --card cityscapes --root ~/cityscapes --only fog,night --report stress.html
  swath stress model.onnx --card my.yaml --severity 1,3,5 --limit 100 --csv stress.csv --json stress.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".safetensors, an exported file (.onnx, .xml, .pt2, …), a bundle")
    parser.add_argument("--card", help="dataset: a built-in name or a YAML file (default: what the weights name)")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="val", help="which part of it (default: %(default)s)")
    parser.add_argument("--only", type=_names, metavar="FAULT,...", help="only these faults (default: all)")
    parser.add_argument(
        "--severity", type=_severities, default=[1, 2, 3, 4, 5], metavar="1-5", help="a range or a list (default: 1-5)"
    )
    parser.add_argument("--limit", type=options.whole("--limit"), metavar="N", help="only the first N pictures")
    parser.add_argument(
        "--seed", type=options.whole("--seed", 0), default=0, help="of the drops and the noise (default: %(default)s)"
    )
    options.add_views(parser, "labels are always compared at the truth's own size")
    more = parser.add_argument_group("what is written")
    more.add_argument("--report", metavar="FILE", help="a page with curves, tables and examples (.html)")
    more.add_argument("--json", metavar="FILE", help="every number")
    more.add_argument("--csv", metavar="FILE", help="a row a fault and severity")
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    from swath.cards import load_card
    from swath.inference import Segmenter
    from swath.robustness import page, stress, tables

    for name, endings in ENDINGS.items():
        path = getattr(arguments, name)
        if path and Path(path).suffix.lower() not in endings:
            raise SwathError(f"--{name} {path}: is written as {' or '.join(endings)}; name it so")
    try_places(*(getattr(arguments, name) for name in ENDINGS))
    options.set_threads(arguments.threads)
    views = options.views(arguments)
    segmenter = Segmenter(arguments.weights, arguments.device, engine=opening.fixed_engine(arguments), views=views)
    card = arguments.card or segmenter.description.meta.dataset
    if not card:
        raise SwathError(f"{arguments.weights}: does not say which dataset it was trained on; give one with --card")
    source = load_card(card).open(arguments.split, arguments.root)
    with _progress(f"{source.card.name} {arguments.split}") as watch:
        found = stress(
            segmenter,
            source,
            only=arguments.only,
            severities=arguments.severity,
            limit=arguments.limit,
            seed=arguments.seed,
            watch=watch,
        )
    many = "" if found.pictures == 1 else "s"
    tables.show(found, f"{arguments.weights} on {source.card.name} {arguments.split}, {found.pictures} picture{many}")
    seen = str(segmenter.views)
    facts = {
        "weights": arguments.weights,
        "card": source.card.name,
        "split": arguments.split,
        "pictures": found.pictures,
        "seed": arguments.seed,
        **({"views": seen} if seen else {}),
    }
    runtime = segmenter.runtime
    told = {key: str(value) for key, value in facts.items() if key != "pictures"}
    told |= {"engine": runtime.engine, "device": runtime.device}
    _write("json", arguments.json, lambda path: tables.write_json(path, found, facts))
    _write("csv", arguments.csv, lambda path: tables.write_csv(path, found))
    _write("report", arguments.report, lambda path: page.write(path, found, told))
    return 0


def _write(kind: str, path: str | None, write: Callable[[str], None]) -> None:
    if path:
        write(path)
        print(f"{kind}: {path}")


def _names(text: str) -> list[str]:
    names = [word.strip() for word in text.split(",") if word.strip()]
    if not names:
        raise SwathError("--only: name at least one fault, such as fog,rain")
    return names


def _severities(text: str) -> list[int]:
    wanted: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-5])\s*(?:-\s*([1-5])\s*)?", part)
        if not match or (match[2] and match[2] < match[1]):
            raise SwathError(f"--severity '{text}': numbers from 1 to 5 are needed, such as 3 or 1-5 or 1,3,5")
        wanted.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(wanted)


def _progress(title: str) -> AbstractContextManager[Callable[[int, int, str], None]]:
    """A bar with the time left; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Callable[[int, int, str], None]]:
        console = Console(stderr=True)
        parts = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        now = TextColumn("{task.description}", markup=False)
        with Progress(*parts, now, console=console, disable=not console.is_terminal, transient=True) as it:
            task = it.add_task("", total=None)
            yield lambda done, total, what: it.update(task, completed=done, total=total, description=what)

    return bar()
