"""`swath train`: a recipe, changed by `--key value`, or a run to go on with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

HELP = "train a network by a recipe"
EXAMPLES = """
  swath train streets                                     synthetic streets, nothing to download
  swath train streets --network contextnet18 --epochs 4 --out runs/quick
  swath train contextnet14-cityscapes --data.root ~/cityscapes
  swath train bottles/card.yaml                           your own pictures, as a card describes them
  swath train mine.yaml --stages.0.lr 0.01                a recipe of your own (it may say `extends: streets`)
  swath train --resume runs/streets                       go on after Ctrl-C, a kill or a power cut
  swath recipes                                           the recipes that come with swath
  swath recipes streets                                   every key of one, with its value
"""

_FLAGS = {"--out": 1, "--resume": 1, "--overwrite": 0, "--help": 0, "-h": 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "swath train RECIPE [--key value ...] [--out DIR] [--overwrite]\n       swath train --resume RUN"
    parser.add_argument("recipe", nargs="?", help="name of a recipe, or the path of a YAML file; it comes first")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/NAME)")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is in the folder")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    parser.add_argument(
        "--key value",
        dest="overrides",
        metavar="",
        help="any key of the recipe: --seed 2, --data.root DIR, --stages.0.lr 0.01; where there is one stage, "
        "--lr, --epochs, --batch and the like are enough. Sizes are WIDTHxHEIGHT or HEIGHT WIDTH",
    )


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """argparse for our own flags; every other `--key` with the words after it changes the recipe."""
    own: list[str] = []
    overrides: list[tuple[str, list[str]]] = []
    taken = 0  # values that the last of our flags still takes
    for word in words:
        if not word.startswith("-") or _is_number(word):
            if overrides and not taken:
                overrides[-1][1].append(word)
            else:
                own.append(word)
                taken = max(0, taken - 1)
            continue
        name, equals, value = word.partition("=")
        if name in _FLAGS or not name.startswith("--"):
            own.append(word)
            taken = 0 if equals else _FLAGS.get(name, 0)
        else:
            overrides.append((name[2:], [value] if equals else []))
            taken = 0
    arguments = parser.parse_args(own)
    arguments.overrides = overrides
    return arguments


def run(arguments: argparse.Namespace) -> int:
    from swath.errors import SwathError
    from swath.training import resume, start

    if arguments.resume:
        if arguments.recipe or arguments.out or arguments.overwrite:
            raise SwathError("--resume goes on with a run as it is; it takes no recipe, --out or --overwrite")
        return resume(arguments.resume, arguments.overrides)
    if not arguments.recipe:
        raise SwathError("which recipe? Try `swath train streets`; `swath recipes` lists all")
    return start(arguments.recipe, arguments.overrides, arguments.out, arguments.overwrite)


def _is_number(word: str) -> bool:
    return word.lstrip("-")[:1].isdigit() or word.lstrip("-")[:1] == "."
