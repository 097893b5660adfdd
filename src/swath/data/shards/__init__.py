"""Splits as tar shards on a disk, a web server or an object store, which any picture can be read out of by itself."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.data.shards.plan import Plan, plan_shards
    from swath.data.shards.source import ShardSource, open_shards
    from swath.data.shards.writer import write_shards

_EXPORTS = {
    "Plan": "swath.data.shards.plan",
    "ShardSource": "swath.data.shards.source",
    "open_shards": "swath.data.shards.source",
    "plan_shards": "swath.data.shards.plan",
    "write_shards": "swath.data.shards.writer",
}

__all__ = ["Plan", "ShardSource", "open_shards", "plan_shards", "write_shards"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath.data.shards' has no attribute '{name}'")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
