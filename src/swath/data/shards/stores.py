"""Where shards lie: files of a folder, of a web server (see web.py), or of anything that fsspec knows."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Protocol

from swath.errors import SwathError


class Store(Protocol):
    """Files by name, below a root. Safe to pickle, and to use after a fork."""

    root: str

    def read(self, file: str, offset: int, length: int) -> bytes:
        """These bytes, all of them."""
        ...

    def whole(self, file: str) -> bytes:
        """A whole file."""
        ...


def open_store(root: str) -> Store:
    """By the form of its address."""
    if root.startswith(("http://", "https://")):
        from swath.data.shards.web import Web

        return Web(root)
    return Remote(root) if "://" in root else Folder(root)


class Folder:
    """A folder of this machine."""

    def __init__(self, root: str) -> None:
        self.root = root

    def read(self, file: str, offset: int, length: int) -> bytes:
        """These bytes, all of them."""
        path = Path(self.root, file)
        try:
            with path.open("rb") as opened:
                opened.seek(offset)
                data = opened.read(length)
        except OSError as error:
            raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
        return all_of(data, length, str(path))

    def whole(self, file: str) -> bytes:
        """A whole file."""
        path = Path(self.root, file)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise SwathError(f"{path}: there is no such file; `swath pack --to shards` writes it") from error
        except OSError as error:
            raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error


class Remote:
    """s3://, gs:// and what else fsspec finds a package for; that package brings its own retries and credentials."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._process = 0
        self._files: Any = None
        self._path = ""

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_process": 0, "_files": None, "_path": ""}

    def read(self, file: str, offset: int, length: int) -> bytes:
        """These bytes, all of them."""
        return all_of(self._cat(file, start=offset, end=offset + length), length, f"{self.root}/{file}")

    def whole(self, file: str) -> bytes:
        """A whole file."""
        return self._cat(file)

    def _cat(self, file: str, **part: int) -> bytes:
        self._open()
        try:
            return bytes(self._files.cat_file(f"{self._path}/{file}", **part))
        except FileNotFoundError as error:
            raise SwathError(f"{self.root}/{file}: there is no such file") from error
        except PermissionError as error:
            raise SwathError(f"{self.root}/{file}: may not be read ({error}); check your credentials") from error
        except Exception as error:  # every store has errors of its own
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise SwathError(f"{self.root}/{file}: cannot be read ({said})") from error

    def _open(self) -> None:
        """The file system; a new one in every process, for connections do not survive a fork."""
        if self._process == os.getpid():
            return
        try:
            url_to_fs = importlib.import_module("fsspec.core").url_to_fs
            self._files, path = url_to_fs(self.root)
        except ImportError as error:  # of fsspec, or of the package that this kind of address needs
            raise SwathError(f"{self.root}: needs a package that is not installed here ({error})") from error
        except ValueError as error:
            raise SwathError(f"{self.root}: is an address of no known kind ({error})") from error
        self._path, self._process = str(path).rstrip("/"), os.getpid()


def all_of(data: bytes, length: int, where: str) -> bytes:
    """The data, if there are as many as were asked for."""
    if len(data) != length:
        raise SwathError(f"{where}: is shorter than shards.json says; it is cut off, copy it again")
    return data
