"""From the command line to a run: the first of its processes chooses, tells, and hands over an ordinary recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from swath.errors import SwathError
from swath.training.afterwards import way_on
from swath.training.auto.resolving import Overrides, resolve, skeleton
from swath.training.auto.telling import show
from swath.training.config import Recipe
from swath.training.launch import Launch, Place
from swath.training.recipe_files import load_recipe
from swath.training.run import CONFIG, make_absolute


def prepared(
    overrides: Overrides, time: str | None = None, out: str | Path | None = None, overwrite: bool = False
) -> Callable[[Place], Recipe]:
    """What `start` takes in place of a name: chosen by one process when the run begins, and shown to the person."""

    def choose(place: Place) -> Recipe:
        bare, _ = skeleton(overrides)
        folder = Path(out) if out else Path("runs") / bare.name
        if (folder / CONFIG).exists():
            if Launch().has_started(folder / "checkpoints"):  # by torchrun, again: chosen already
                return load_recipe(folder / CONFIG)
            if not overwrite:
                raise SwathError(
                    f"{folder}: holds a run already; go on with it ({way_on('swath', folder)}), "
                    "choose another folder with --out, or replace it with --overwrite"
                )
        return chosen(overrides, time, Console(highlight=False), place)

    return choose


def chosen(overrides: Overrides, time: str | None, console: Console, place: Place | None = None) -> Recipe:
    """Choose, with a word about what takes a while, and show what came out."""
    place = place or Place()
    with console.status("") as status:
        recipe = resolve(overrides, time, world=place.world, neighbours=place.neighbours, told=status.update)
    make_absolute(recipe)  # a recipe that is kept may be read from anywhere
    show(recipe, console)
    return recipe
