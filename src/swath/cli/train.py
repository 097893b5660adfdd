"""`swath train`: a recipe, changed by `--key value`; one that swath chooses (`auto`); or a run to go on with."""

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
  swath train auto --network csfcn --card camvid --data.root ~/camvid      swath chooses all the rest, and says why
  swath train auto --network csfcn --card card.yaml --time 2h              as well as can be done in two hours
  swath train auto --network csfcn --card card.yaml --dry-run > mine.yaml  only choose: a recipe of your own
  swath train --resume runs/streets                       go on after Ctrl-C, a kill or a power cut
  swath recipes                                           the recipes that come with swath
  swath recipes streets                                   every key of one, with its value
"""

_FLAGS = {"--out": 1, "--resume": 1, "--overwrite": 0, "--time": 1, "--dry-run": 0, "--help": 0, "-h": 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "swath train RECIPE [--key value ...] [--out DIR] [--overwrite]\n"
        "       swath train auto --network NAME --card CARD [--time 2h] [--dry-run] [--key value ...]\n"
        "       swath train --resume RUN"
    )
    parser.add_argument("recipe", nargs="?", help="name of a recipe, auto, or the path of a YAML file; it comes first")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/NAME)")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is in the folder")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    parser.add_argument("--time", metavar="TIME", help="auto: what the training may take, such as 90m or 2h")
    parser.add_argument("--dry-run", action="store_true", help="auto: only choose; the recipe goes to standard output")
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

    if arguments.recipe != "auto" and (arguments.time or arguments.dry_run):
        raise SwathError("--time and --dry-run are for `swath train auto`, which chooses; a recipe says it all itself")
    if arguments.resume:
        if arguments.recipe or arguments.out or arguments.overwrite:
            raise SwathError("--resume goes on with a run as it is; it takes no recipe, --out or --overwrite")
        return resume(arguments.resume, arguments.overrides)
    if not arguments.recipe:
        raise SwathError("which recipe? Try `swath train streets`; `swath recipes` lists all")
    if arguments.recipe == "auto":
        return _auto(arguments)
    return start(arguments.recipe, arguments.overrides, arguments.out, arguments.overwrite)


def _auto(arguments: argparse.Namespace) -> int:
    from swath.training import start
    from swath.training.auto import chosen, prepared, recipe_with_reasons

    if not arguments.dry_run:
        choose = prepared(arguments.overrides, arguments.time, arguments.out, arguments.overwrite)
        return start(choose, (), arguments.out, arguments.overwrite)
    from rich.console import Console

    recipe = chosen(arguments.overrides, arguments.time, Console(stderr=True, highlight=False))
    print(recipe_with_reasons(recipe), end="")
    return 0


def _is_number(word: str) -> bool:
    return word.lstrip("-")[:1].isdigit() or word.lstrip("-")[:1] == "."
