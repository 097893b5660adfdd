"""Exports of several files, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swath.errors import SwathError
from swath.files import make_folder, write_error


@contextlib.contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """A path of the same name in a temporary folder beside `path`. What lies in that folder when the block succeeds
    takes its place, `path` itself the last."""
    folder = make_folder(path.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=folder) as scratch:
            yield Path(scratch) / path.name
            files = sorted(Path(scratch).iterdir(), key=lambda each: each.name == path.name)
            for each in files:
                _sync(each)
            for each in files:
                each.replace(folder / each.name)
    except OSError as error:
        raise write_error(path, error) from error


@contextlib.contextmanager
def new_folder(folder: Path, mark: str, kind: str) -> Iterator[Path]:
    """A folder beside `folder` that takes its name when the block succeeds. An older one there is replaced if it holds
    the file `mark`, by which a `kind` is known; anything else stays."""
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise SwathError(f"{folder}: is a file, a {kind} is a folder; choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / mark).is_file():
        raise SwathError(f"{folder}: holds other things than a {kind}; name a new or an empty folder")
    make_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            yield new
            for each in new.rglob("*"):
                if each.is_file():
                    _sync(each)
            if folder.is_dir():
                folder.rename(Path(scratch) / "old")
            new.rename(folder)
    except OSError as error:
        raise write_error(folder, error) from error


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
