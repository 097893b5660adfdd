"""What a run tells a person to type, to go on with it and when it is done: as a shell takes it, spaces and all."""

from __future__ import annotations

import shlex
from pathlib import Path

from swath.cards import load_card
from swath.networks import Network
from swath.training.config import Recipe
from swath.training.tasks import has_more


def quoted(word: str | Path) -> str:
    """A word as one of a command: a folder may have a space in its name."""
    return shlex.quote(str(word))


def way_on(launcher: str, folder: Path) -> str:
    """The command that goes on with a run; `launcher` is how its processes are started."""
    return f"{launcher} train --resume {quoted(folder)}"


def next_commands(recipe: Recipe, folder: Path, model: Network) -> list[str]:
    """What can be done with the weights of a run that is done."""
    best = folder / "best.safetensors"
    if list(model.inputs) != ["image"]:  # the other commands feed pictures alone
        return [f'swath.load("{best}") in Python']
    weights = quoted(best)
    return [
        f"swath evaluate {weights}{_as_validated(recipe, model)}",
        f"swath predict {weights} PICTURES --out out",
        f"swath export {weights} --to onnx",
    ]


def _as_validated(recipe: Recipe, model: Network) -> str:
    """Options of `swath evaluate` that measure on the pictures on which the run did, and as it did."""
    data, size = recipe.data_of(-1), recipe.validation.size
    words = [] if load_card(data.card).builtin else ["--card", data.card]
    words += ["--root", data.root] if data.root else []
    words += ["--split", data.val] if data.val != "val" else []
    words += ["--size", f"{size[1]}x{size[0]}"] if size and not has_more(model) else []
    if "count" in data.val_options:  # of a generator, whose pictures do not depend on how many there are
        words += ["--limit", str(data.val_options["count"])]
    return "".join(f" {quoted(word)}" for word in words)
