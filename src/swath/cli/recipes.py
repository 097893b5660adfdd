"""`swath recipes`: what can be trained by name, and every key of one recipe."""

from __future__ import annotations

import argparse

HELP = "list the recipes, or show every key of one"
EXAMPLES = """
  swath recipes                        the list, with what the authors report
  swath recipes streets                every key of one, with its value, as YAML
  swath recipes streets > mine.yaml    the beginning of a recipe of your own
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="name of a recipe, or the path of a YAML file")


def run(arguments: argparse.Namespace) -> int:
    from swath.training import list_recipes, load_recipe
    from swath.training.recipe_files import recipe_text

    if arguments.recipe:
        print(recipe_text(load_recipe(arguments.recipe)), end="")
        return 0
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("recipe", "network", "card"):
        table.add_column(title, no_wrap=True)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("the authors report")
    for name in list_recipes():
        recipe = load_recipe(name)
        lengths = [f"{s.epochs} epochs" if s.epochs else f"{s.iterations} iterations" for s in recipe.stages]
        table.add_row(name, recipe.network, recipe.data.card, " + ".join(lengths), recipe.reference or "-")
    Console().print(table)
    return 0
