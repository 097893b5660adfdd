"""Writing files so that a person finds either the old one or the whole new one, never half of it; and where to keep
what can be had again."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from swath.errors import SwathError

_OUT_OF_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_error(path: Path, error: OSError) -> SwathError:
    """What to tell a person when `path` could not be written."""
    if error.errno in _OUT_OF_ROOM:
        return SwathError(f"{path}: no room left on the disk; nothing was written. Free some space and run it again")
    if error.errno in _FORBIDDEN:
        return SwathError(f"{path}: may not be written here ({error.strerror}); choose another folder")
    return SwathError(f"{path}: cannot be written ({error.strerror or error})")


def cache_folder() -> Path:
    """Where the platform keeps what can be had again. A RuntimeError where the user has no home."""
    if sys.platform == "darwin":
        base = Path("~/Library/Caches").expanduser()
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local").expanduser()
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return base / "swath"


def make_folder(path: str | Path) -> Path:
    """Create a folder and its parents, or say why that cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise SwathError(f"{folder}: is a file, a folder of that name is needed; choose another name") from error
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, for writers that take a file name; renamed to `path` when the block succeeds."""
    target = Path(path)
    make_folder(target.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise write_error(target, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """An open file that becomes `path` only when the block ends without an error."""
    with atomic_path(path) as temporary, temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
        yield file


def _sync(path: Path) -> None:
    """Force a file or a folder's entries to the disk; a folder cannot be opened on some systems, which is harmless."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
    try:
        handle = os.open(path, flags)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
