"""`swath cards`: the dataset cards that come with swath, and what one says."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.cards import Card

HELP = "list the dataset cards, or show one"
EXAMPLES = """
  swath cards                    every card that comes with swath
  swath cards cityscapes         classes, splits and where files are looked for
  swath cards bottles/card.yaml  the same for a card of your own
  swath cards --json             for a program
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("card", nargs="?", help="name of a card, or a card's file (default: list all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    from swath.cards import list_cards, load_card

    if arguments.card:
        card = load_card(arguments.card)
        if arguments.json:
            print(json.dumps(_described(card), indent=2))
        else:
            _show(card)
        return 0
    cards = [load_card(name) for name in list_cards()]
    if arguments.json:
        print(json.dumps([_described(card) for card in cards], indent=2))
    else:
        _list(cards)
    return 0


def _described(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "aliases": list(card.aliases),
        "classes": [{"name": info.name, "color": list(info.color), "category": info.category} for info in card.classes],
        "splits": {info.name: info.count or None for info in card.split_infos},
        "layouts": list(card.layouts),
        "file": str(card.file),
    }


def _list(cards: list[Card]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("card", no_wrap=True)
    table.add_column("classes", justify="right")
    table.add_column("what it is")
    for card in cards:
        table.add_row(card.name, str(card.num_classes), card.title)
    Console().print(table)


def _show(card: Card) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    also = f", also called {', '.join(card.aliases)}" if card.aliases else ""
    console.print(f"{card.name}: {card.title}{also}", markup=False)
    for index, info in enumerate(card.classes):
        line = Text(f"{index:>4} ")
        line.append("   ", style="on rgb({},{},{})".format(*info.color))
        line.append(f" {info.name}" + (f"  ({info.category})" if info.category else ""))
        console.print(line)
    for split in card.split_infos:
        console.print(f"split {split.name}" + (f": {split.count:,} pictures" if split.count else ""), markup=False)
    for layout, readings in card.layouts.items():
        reading = next(iter(readings.values()))
        maps = ", ".join(info.name for info in reading.maps)
        console.print(f"layout {layout}: {reading.files()}" + (f", with {maps}" if maps else ""), markup=False)
    console.print(f"file: {card.file}", markup=False)
