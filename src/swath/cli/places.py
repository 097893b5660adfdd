"""Whether files can be written, asked before the work whose results they are to hold."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from swath.errors import SwathError
from swath.files import write_error


def try_places(*paths: str | Path | None) -> None:
    """Refuse now what could not be written in an hour. Nothing is left behind; folders are made when needed."""
    for path in paths:
        if path is None:
            continue
        target = Path(path)
        if target.is_dir():
            raise SwathError(f"{target}: is a folder; name a file")
        above = next(each for each in target.absolute().parents if each.exists())
        if not above.is_dir():
            raise SwathError(f"{above}: is a file, a folder of that name is needed; choose another name")
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", dir=above)
        except OSError as error:
            raise write_error(target, error) from error
        os.close(handle)
        Path(name).unlink()
