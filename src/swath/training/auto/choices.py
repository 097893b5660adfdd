"""A recipe in the making: what a person gave stands, all else is chosen, and every choice says why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from swath.training.config import Recipe, Stage

GIVEN = "as you said"


class Choices:
    """Keys are those of the command line: of the recipe, or of its one stage."""

    def __init__(self, recipe: Recipe, given: Iterable[str]):
        self.recipe = recipe
        self.given = set(given)

    @property
    def stage(self) -> Stage:
        return self.recipe.stages[0]

    def has(self, key: str) -> bool:
        """Whether the key, or part of what is below it, was given."""
        return any(_below(key, each) or _below(each, key) for each in self.given)

    def choose(self, key: str, value: Any, why: str) -> None:
        """Set a key with its reason (none: it goes without saying), if it is ours to choose."""
        if self.has(key):
            self.recipe.why[key] = GIVEN
            return
        if why:
            self.recipe.why[key] = why
        head, _, rest = key.partition(".")
        owner: Any = self.stage if hasattr(self.stage, head) and not hasattr(self.recipe, head) else self.recipe
        if not rest:
            setattr(owner, head, value)
        elif head == "window":  # which cannot be changed
            owner.window = replace(owner.window, **{rest: value})
        else:
            setattr(getattr(owner, head), rest, value)

    def value(self, key: str) -> Any:
        """What the recipe says now."""
        found: Any = self.recipe
        for word in key.split("."):
            found = getattr(found, word) if hasattr(found, word) else getattr(self.stage, word)
        return found


def _below(key: str, above: str) -> bool:
    return key == above or key.startswith(above + ".")
