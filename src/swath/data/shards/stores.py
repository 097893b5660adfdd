"""Where shards lie: files of a folder, of a web server (see web.py), or of anything that fsspec knows."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from swath.data.addresses import Address, refused
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


class Remote(Address):
    """An object store, or another address."""

    def read(self, file: str, offset: int, length: int) -> bytes:
        """These bytes, all of them."""
        return all_of(self._cat(file, start=offset, end=offset + length), length, f"{self.root}/{file}")

    def whole(self, file: str) -> bytes:
        """A whole file."""
        return self._cat(file)

    def _cat(self, file: str, **part: int) -> bytes:
        files, path = self.opened(file)
        try:
            return bytes(files.cat_file(path, **part))
        except FileNotFoundError as error:
            raise SwathError(f"{self.root}/{file}: there is no such file") from error
        except Exception as error:  # every store has errors of its own
            raise refused(f"{self.root}/{file}", "read", error) from error


def all_of(data: bytes, length: int, where: str) -> bytes:
    """The data, if there are as many as were asked for."""
    if len(data) != length:
        raise SwathError(f"{where}: is shorter than shards.json says; it is cut off, copy it again")
    return data
