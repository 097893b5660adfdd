"""Reading pictures and labels, and cutting training windows out of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.data.images import image_size, read_image, read_label_raw, write_label
    from swath.data.source import Joined, MapSource, Source
    from swath.data.windows import Windows, WindowSpec, resize_image, resize_labels, whole, window

_EXPORTS = {
    "Joined": "swath.data.source",
    "MapSource": "swath.data.source",
    "Source": "swath.data.source",
    "WindowSpec": "swath.data.windows",
    "Windows": "swath.data.windows",
    "image_size": "swath.data.images",
    "read_image": "swath.data.images",
    "read_label_raw": "swath.data.images",
    "resize_image": "swath.data.windows",
    "resize_labels": "swath.data.windows",
    "whole": "swath.data.windows",
    "window": "swath.data.windows",
    "write_label": "swath.data.images",
}

__all__ = [
    "Joined",
    "MapSource",
    "Source",
    "WindowSpec",
    "Windows",
    "image_size",
    "read_image",
    "read_label_raw",
    "resize_image",
    "resize_labels",
    "whole",
    "window",
    "write_label",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath.data' has no attribute '{name}'")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
