"""Archives that come out the same, byte for byte, each time; and reading those that anybody has made."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from swath.errors import SwathError
from swath.files import atomic_write
from swath.submit.servers import Archive

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    name: str
    size: int  # unpacked
    read: Callable[[], bytes]
    locked: bool = False  # with a password
    odd: bool = False  # a link or a device


def write_archive(path: Path, kind: Archive, files: Sequence[tuple[str, Path]]) -> None:
    """Pack files under their names, in the order of the names. PNGs are packed already and are only stored."""
    with atomic_write(path) as file:
        if kind == "zip":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, source in sorted(files):
                    info = zipfile.ZipInfo(name, _DATE)
                    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
                    archive.writestr(info, source.read_bytes())
            return
        with (
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name, source in sorted(files):
                entry = tarfile.TarInfo(name)
                entry.size = source.stat().st_size
                with source.open("rb") as content:
                    tar.addfile(entry, content)


def kind_of(path: Path) -> str:
    """`zip`, `tar.gz`, `tar` or what else it is, by its content."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except FileNotFoundError as error:
        raise SwathError(f"{path}: there is no such file") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
    if zipfile.is_zipfile(path):
        return "zip"
    known = {b"\x1f\x8b": "tar.gz", b"7z\xbc\xaf'\x1c": "7z", b"Rar!": "rar", b"\x28\xb5\x2f\xfd": "zst", b"PK": "zip"}
    found = next((name for magic, name in known.items() if start.startswith(magic)), "")
    return found or ("tar" if tarfile.is_tarfile(path) else "file of another kind")


def members(path: Path, kind: str) -> Iterator[Member]:
    """The files of a zip or tar, in their order; each must be read before the next one is asked for."""
    try:
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:
                yield from (_of_zip(archive, info) for info in archive.infolist() if not info.is_dir())
        else:
            with tarfile.open(path, "r|gz" if kind == "tar.gz" else "r|") as tar:
                yield from (_of_tar(tar, entry) for entry in tar if not entry.isdir())
    except BROKEN as error:
        raise SwathError(f"{path}: is a damaged {kind} ({_said(error)}); pack it again") from error


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    odd = stat.S_ISLNK(info.external_attr >> 16)
    return Member(info.filename, info.file_size, lambda: archive.read(info), bool(info.flag_bits & 1), odd)


def _of_tar(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Member:
    def read() -> bytes:
        content: IO[bytes] | None = tar.extractfile(entry)
        return content.read() if content else b""

    return Member(entry.name.removeprefix("./"), entry.size, read, odd=not entry.isreg())


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
