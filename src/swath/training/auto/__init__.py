"""`swath train auto`: one strong default recipe for any network and any card, every choice with its reason."""

from __future__ import annotations

from swath.training.auto.resolving import resolve, skeleton
from swath.training.auto.starting import chosen, prepared
from swath.training.auto.telling import ABOUT, recipe_with_reasons, show

__all__ = ["ABOUT", "chosen", "prepared", "recipe_with_reasons", "resolve", "show", "skeleton"]
