"""Dataset cards: what the classes of a dataset are, and how its files are found and read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.cards.card import Card, ClassInfo
    from swath.cards.loader import list_cards, load_card
    from swath.cards.tables import LabelTable

_EXPORTS = {
    "Card": "swath.cards.card",
    "ClassInfo": "swath.cards.card",
    "LabelTable": "swath.cards.tables",
    "list_cards": "swath.cards.loader",
    "load_card": "swath.cards.loader",
}

__all__ = ["Card", "ClassInfo", "LabelTable", "list_cards", "load_card"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath.cards' has no attribute '{name}'")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
