"""swath: train real-time segmentation networks on your classes, measure them honestly, deploy what was measured."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.cards import Card, list_cards, load_card
    from swath.inference import Segmentation, Segmenter
    from swath.networks import create_model, list_models, model_info
    from swath.weights import load_weights as load
    from swath.weights import save_weights as save

__version__ = "0.1.0"

# name -> (module, name there); loaded at first use, so that `import swath` and `swath --help` answer at once.
_EXPORTS = {
    "Card": ("swath.cards", "Card"),
    "Segmentation": ("swath.inference", "Segmentation"),
    "Segmenter": ("swath.inference", "Segmenter"),
    "create_model": ("swath.networks", "create_model"),
    "list_cards": ("swath.cards", "list_cards"),
    "list_models": ("swath.networks", "list_models"),
    "load": ("swath.weights", "load_weights"),
    "load_card": ("swath.cards", "load_card"),
    "model_info": ("swath.networks", "model_info"),
    "save": ("swath.weights", "save_weights"),
}

__all__ = [
    "Card",
    "Segmentation",
    "Segmenter",
    "SwathError",
    "__version__",
    "create_model",
    "list_cards",
    "list_models",
    "load",
    "load_card",
    "model_info",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath' has no attribute '{name}'")
    module, attribute = _EXPORTS[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
