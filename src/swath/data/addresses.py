"""s3://, gs:// and what else fsspec finds a package for; that package brings its own retries and credentials."""

from __future__ import annotations

import importlib
import os
from typing import Any

from swath.errors import SwathError


class Address:
    """A folder at an address. Its file system is opened anew in every process: connections do not survive a fork."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._process = 0
        self._files: Any = None
        self._path = ""

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_process": 0, "_files": None, "_path": ""}

    def opened(self, file: str) -> tuple[Any, str]:
        """The file system, and the path of a file in it."""
        if self._process != os.getpid():
            self._files, path = file_system(self.root)
            self._path, self._process = path.rstrip("/"), os.getpid()
        return self._files, f"{self._path}/{file}"


def file_system(address: str) -> tuple[Any, str]:
    """What fsspec has for an address, and the path in it."""
    try:
        files, path = importlib.import_module("fsspec.core").url_to_fs(address)
    except ImportError as error:  # of fsspec, or of the package that this kind of address needs
        raise SwathError(f"{address}: needs a package that is not installed here ({error})") from error
    except ValueError as error:
        raise SwathError(f"{address}: is an address of no known kind ({error})") from error
    return files, str(path)


def refused(where: str, what: str, error: Exception) -> SwathError:
    """What to tell a person when a store did not do it; every store has errors of its own."""
    if isinstance(error, PermissionError):
        return SwathError(f"{where}: may not be {what} ({error}); check your credentials")
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return SwathError(f"{where}: cannot be {what} ({said})")
