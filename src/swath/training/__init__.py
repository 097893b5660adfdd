"""Training: a recipe is a list of stages, a run is a folder that can be left and entered at any iteration."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.training.config import Data, Recipe, Stage, Validation
    from swath.training.recipe_files import list_recipes, load_recipe
    from swath.training.run import resume, start

_EXPORTS = {
    "Data": "config",
    "Recipe": "config",
    "Stage": "config",
    "Validation": "config",
    "list_recipes": "recipe_files",
    "load_recipe": "recipe_files",
    "resume": "run",
    "start": "run",
}

__all__ = ["Data", "Recipe", "Stage", "Validation", "list_recipes", "load_recipe", "resume", "start"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath.training' has no attribute '{name}'")
    return getattr(importlib.import_module(f"swath.training.{_EXPORTS[name]}"), name)
