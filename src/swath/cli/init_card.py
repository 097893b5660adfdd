"""`swath init-card`: a first card for a folder of pictures and labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.cards.sketch import Sketch

HELP = "write a first card for a folder of pictures and labels"
EXAMPLES = """
  swath init-card bottles                     writes bottles/card.yaml
  swath init-card bottles --out bottles.yaml  somewhere else
  swath train bottles/card.yaml               then
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="folder that holds pictures and labels, in subfolders of any usual form")
    parser.add_argument("--out", metavar="FILE", help="the card to write (default: FOLDER/card.yaml)")
    parser.add_argument("--force", action="store_true", help="write over a card that exists")


def run(arguments: argparse.Namespace) -> int:
    from swath.cards.sketch import write_card

    folder = Path(arguments.folder)
    card = Path(arguments.out) if arguments.out else folder / "card.yaml"
    made = write_card(folder, card, arguments.force, _tracked)
    _report(made, card)
    return 0


def _tracked(pairs: list[tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    from rich.console import Console
    from rich.progress import track

    if not sys.stderr.isatty():
        return iter(pairs)
    return iter(track(pairs, "reading labels", console=Console(stderr=True), transient=True))


def _report(made: Sketch, card: Path) -> None:
    found = made.found
    print(f"images: {found.images}")
    print(f"labels: {found.labels}")
    for pattern in found.others:
        print(f"        {pattern} would fit too")
    for split in found.folders:
        pairs, bare = found.pairs.get(split, []), found.bare.get(split, [])
        print(f"{split}: {len(pairs)} pictures with labels, {len(bare)} without", end="")
        print(f" (such as {bare[0].relative_to(found.root)})" if bare else "", end="")
        print("; the card lists the others" if bare and pairs else "")
    if found.stray:
        print(f"{len(found.stray)} labels without a picture, such as {found.stray[0].relative_to(found.root)}")
    what = "colors" if made.counts.by_color else "values"
    print(f"{len(made.counts.pixels)} {what} in {made.counts.total:,} pixels")
    print(f"wrote {card}; name its classes, then: swath train {card}")
