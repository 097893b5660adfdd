"""Splits decoded once into files of which a crop reads only the rows that it needs: `swath pack`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.data.packed.bands import FORMATS
    from swath.data.packed.packing import pack
    from swath.data.packed.plan import Plan, plan_packing
    from swath.data.packed.source import PackedSource, open_packed
    from swath.data.packed.verification import verify

_EXPORTS = {
    "FORMATS": "swath.data.packed.bands",
    "PackedSource": "swath.data.packed.source",
    "Plan": "swath.data.packed.plan",
    "open_packed": "swath.data.packed.source",
    "pack": "swath.data.packed.packing",
    "plan_packing": "swath.data.packed.plan",
    "verify": "swath.data.packed.verification",
}

__all__ = ["FORMATS", "PackedSource", "Plan", "open_packed", "pack", "plan_packing", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath.data.packed' has no attribute '{name}'")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
