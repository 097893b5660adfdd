"""A bundle: the folder that `swath export` makes for a device. Here only the model inside matters."""

from __future__ import annotations

import json
from pathlib import Path

from swath.errors import SwathError

LIST = "bundle.json"


def model_of(folder: Path) -> Path:
    """The model file that the bundle names."""
    told = folder / LIST
    if not told.is_file():
        raise SwathError(f"{folder}: is a folder without {LIST}, so no bundle; give a file of weights or a bundle")
    try:
        name: str = json.loads(told.read_text("utf-8"))["model"]
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SwathError(f"{told}: names no model ({error!r}); export the bundle again") from error
    if not inside:
        raise SwathError(f"{told}: names a model outside of the bundle, {name}; export the bundle again")
    return path
