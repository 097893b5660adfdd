"""Formats that can hold no text of their own have it in a file beside them: `model.pte` in `model.pte.json`."""

from __future__ import annotations

from pathlib import Path

from swath.inference.description import Description

FORMATS = ("executorch", "tensorrt")


def beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def write_beside(path: Path, description: Description) -> None:
    beside(path).write_text(description.as_json(), "utf-8")
