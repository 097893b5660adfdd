"""`swath recipes`: what can be trained by name, and every key of one recipe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.training.config import Recipe

HELP = "list the recipes, or show every key of one"
EXAMPLES = """
  swath recipes                        the list, with what the authors report
  swath recipes '*-camvid*'            those whose name matches
  swath recipes streets                every key of one, with its value, as YAML
  swath recipes auto                   how swath chooses a recipe for any network and card
  swath recipes streets > mine.yaml    the beginning of a recipe of your own
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="name of a recipe, a pattern of names, or the path of a YAML file")


def run(arguments: argparse.Namespace) -> int:
    from fnmatch import fnmatch

    from swath.errors import SwathError
    from swath.training import list_recipes, load_recipe
    from swath.training.recipe_files import recipe_text

    pattern = arguments.recipe or "*"
    if pattern == "auto":
        from swath.training.auto import ABOUT

        print(ABOUT, end="")
        return 0
    if "*" not in pattern:
        print(recipe_text(load_recipe(pattern)), end="")
        return 0
    recipes = [load_recipe(name) for name in list_recipes() if fnmatch(name, pattern)]
    if not recipes:
        raise SwathError(f"no recipe's name matches '{pattern}'; `swath recipes` lists all")
    _show(recipes)
    return 0


def _show(recipes: list[Recipe]) -> None:
    """Two lines each, since names are long: what it trains where and how long, and what the authors report."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for recipe in recipes:
        stages = range(len(recipe.stages))
        cards = " + ".join(dict.fromkeys(recipe.data_of(stage).card for stage in stages))
        lengths = " + ".join(str(stage.epochs or f"{stage.iterations} iterations") for stage in recipe.stages)
        unit = " epochs" if all(stage.epochs for stage in recipe.stages) else ""
        console.print(f"[bold]{recipe.name}[/bold]")
        console.print(f"    {recipe.network} on {cards}, {lengths}{unit}: [green]{recipe.reference or '-'}[/green]")
    console.print(
        f"\n{len(recipes)} recipes. After the colon: what the authors report, which is not what we have measured.\n"
        "swath train NAME --data.root FOLDER  trains one, swath recipes NAME  shows all of its settings.\n"
        "swath train auto --network NAME --card CARD  chooses one for any two; swath recipes auto  says how."
    )
