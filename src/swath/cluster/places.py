"""Where results go: a folder that all machines see, or an object store. A file is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from swath.data.addresses import Address, refused
from swath.errors import SwathError
from swath.files import atomic_write, make_folder

Result = TypeVar("Result")

# What these are given appears when all of it has come; others are written beside the name and renamed.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci"}


class Place(Protocol):
    """Files by name, below a root. Safe to pickle."""

    root: str

    def write(self, file: str, data: bytes) -> None:
        """The whole file, in place of what was there."""
        ...

    def read(self, file: str) -> bytes | None:
        """The whole file, if there is one."""
        ...

    def range(self, file: str, offset: int, length: int) -> bytes:
        """These bytes of a file."""
        ...

    def take(self, file: str, made: Path) -> None:
        """A file of this machine, too large to hold."""
        ...

    def names(self, folder: str) -> list[str]:
        """Files in a folder; none where there is no folder."""
        ...

    def remove(self, file: str) -> None: ...


def open_place(address: str) -> Place:
    """By the form of the address."""
    if address.startswith(("http://", "https://")):
        raise SwathError(f"{address}: a web server takes no results; give a folder, or s3://, gs://, abfs://...")
    if address.startswith("file://"):
        address = address.removeprefix("file://")
    return Bucket(address) if "://" in address else Folder(address)


class Folder:
    """A folder of this machine, or one that several machines share."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)  # noqa: PTH100  (workers start elsewhere; links are kept)

    def write(self, file: str, data: bytes) -> None:
        with atomic_write(Path(self.root, file)) as opened:
            opened.write(data)

    def read(self, file: str) -> bytes | None:
        path = Path(self.root, file)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error

    def range(self, file: str, offset: int, length: int) -> bytes:
        path = Path(self.root, file)
        try:
            with path.open("rb") as opened:
                opened.seek(offset)
                return opened.read(length)
        except OSError as error:
            raise SwathError(
                f"{path}: cannot be read ({error.strerror or error}); every machine must see this folder"
            ) from error

    def take(self, file: str, made: Path) -> None:
        with atomic_write(Path(self.root, file)) as target, made.open("rb") as source:
            while block := source.read(1 << 20):
                target.write(block)

    def names(self, folder: str) -> list[str]:
        path = Path(self.root, folder)
        try:
            return sorted(each.name for each in os.scandir(path) if not each.name.startswith("."))
        except FileNotFoundError:
            make_folder(path)  # says it now, if that cannot be
            return []
        except OSError as error:
            raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error

    def remove(self, file: str) -> None:
        Path(self.root, file).unlink(missing_ok=True)


class Bucket(Address):
    """An object store, or another address."""

    def write(self, file: str, data: bytes) -> None:
        def put(files: Any, path: str) -> None:
            if _whole(files):
                files.pipe_file(path, data)
            else:
                _beside(files, path, lambda temporary: files.pipe_file(temporary, data))

        self._do("written", file, put)

    def read(self, file: str) -> bytes | None:
        def get(files: Any, path: str) -> bytes | None:
            try:
                return bytes(files.cat_file(path))
            except FileNotFoundError:
                return None

        return self._do("read", file, get)

    def range(self, file: str, offset: int, length: int) -> bytes:
        return self._do(
            "read", file, lambda files, path: bytes(files.cat_file(path, start=offset, end=offset + length))
        )

    def take(self, file: str, made: Path) -> None:
        def put(files: Any, path: str) -> None:
            if _whole(files):
                files.put_file(str(made), path)
            else:
                _beside(files, path, lambda temporary: files.put_file(str(made), temporary))

        self._do("written", file, put)

    def names(self, folder: str) -> list[str]:
        def found(files: Any, path: str) -> list[str]:
            files.invalidate_cache()
            try:
                listed = [str(each).rsplit("/", 1)[-1] for each in files.ls(path, detail=False)]
            except FileNotFoundError:
                return []
            return sorted(name for name in listed if name and not name.startswith("."))

        return self._do("listed", folder, found)

    def remove(self, file: str) -> None:
        def drop(files: Any, path: str) -> None:
            if files.exists(path):
                files.rm_file(path)

        self._do("removed", file, drop)

    def _do(self, what: str, file: str, work: Callable[[Any, str], Result]) -> Result:
        files, path = self.opened(file)
        try:
            return work(files, path)
        except Exception as error:  # every store has errors of its own
            raise refused(f"{self.root}/{file}", what, error) from error


def _whole(files: Any) -> bool:
    kinds = [files.protocol] if isinstance(files.protocol, str) else files.protocol
    return any(kind in _OBJECT_STORES for kind in kinds)


def _beside(files: Any, path: str, write: Callable[[str], None]) -> None:
    """Write under another name, then rename."""
    folder, _, name = path.rpartition("/")
    files.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{secrets.token_hex(6)}.{name}"
    try:
        write(temporary)
        if files.exists(path):
            files.rm_file(path)
        files.mv(temporary, path)
    finally:
        if files.exists(temporary):
            files.rm_file(temporary)
