"""The files that hold the pictures. A part ends with an index of its own, so that a packing that was stopped knows what
it has done, and appears under its name only when it is whole."""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from swath.data.packed.bands import Kind, encode
from swath.data.packed.manifest import File, Part, Picture, Stored
from swath.errors import SwathError
from swath.files import atomic_write

ENDING = ".part"
_ALIGNED = 64
_TAIL = struct.Struct("<QI8s")  # bytes of the index, its CRC-32, what the file is
_MAGIC = b"swathpk1"
_OPEN = 128  # files; a process may have a thousand

# A picture to write: its name, its files, its arrays.
Read = tuple[str, tuple[File, ...], Mapping[str, NDArray[Any]]]


def write_part(path: Path, kinds: Mapping[str, Kind], pictures: Iterable[Read]) -> None:
    """Write a part; half of one is never seen."""
    rows: list[list[Any]] = []
    with atomic_write(path) as file:
        for name, files, arrays in pictures:
            stored = tuple(_append(file, arrays[key], kind, f"{key} of '{name}'") for key, kind in kinds.items())
            height, width = arrays["image"].shape[:2]
            rows.append(Picture(name, (height, width), 0, stored, files).row())
        index = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()
        file.write(index)
        file.write(_TAIL.pack(len(index), zlib.crc32(index), _MAGIC))


def _append(file: IO[bytes], array: NDArray[Any], kind: Kind, what: str) -> Stored:
    file.write(bytes(-file.tell() % _ALIGNED))
    at, crcs, lengths = file.tell(), [], []
    for band in encode(array, kind, what):
        file.write(band)
        crcs.append(f"{zlib.crc32(band):08x}")
        lengths.append(f"{len(band):08x}")
    return Stored(at, "".join(crcs), "" if kind.coding == "raw" else "".join(lengths))


def written(path: Path) -> tuple[Part, list[Picture]] | None:
    """What a part holds, by the index at its end; None where there is no whole part of that name."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < _TAIL.size:
                return None
            file.seek(size - _TAIL.size)
            length, crc, magic = _TAIL.unpack(file.read(_TAIL.size))
            if magic != _MAGIC or length > size - _TAIL.size:
                return None
            file.seek(size - _TAIL.size - length)
            index = file.read(length)
    except FileNotFoundError:
        return None
    if zlib.crc32(index) != crc:
        return None
    return Part(path.name, size), [Picture.of(row) for row in json.loads(index)]


class PartFiles:
    """Reads from the parts of a split: opened when first asked for, in each process for itself, and never mapped into
    memory, where a network that fails or a file that is cut off would kill the process."""

    def __init__(self, folder: Path, parts: tuple[Part, ...]) -> None:
        self.folder, self.parts = folder, parts
        self._open: dict[int, IO[bytes]] = {}
        self._lock = threading.Lock()

    def path(self, part: int) -> Path:
        """Of a part."""
        return self.folder / self.parts[part].file

    def read(self, part: int, start: int, stop: int) -> NDArray[np.uint8]:
        """Bytes of a part."""
        data = np.empty(stop - start, np.uint8)
        try:
            file = self._file(part)
            done = 0
            while done < len(data):
                got = self._read_into(file, data[done:], start + done)
                if not got:
                    raise self._cut_off(part)
                done += got
        except FileNotFoundError as error:
            raise SwathError(
                f"{self.path(part)}: there is no such file; if the set was packed anew meanwhile, open it again"
            ) from error
        except OSError as error:
            raise SwathError(f"{self.path(part)}: cannot be read ({error.strerror or error})") from error
        return data

    def _read_into(self, file: IO[bytes], data: NDArray[np.uint8], at: int) -> int:
        """As many bytes as come at once. With `preadv` the threads, and the processes of a fork, need no place of
        their own in the file."""
        if hasattr(os, "preadv"):
            return os.preadv(file.fileno(), [data.data], at)
        with self._lock:
            file.seek(at)
            return file.readinto(data.data)  # type: ignore[attr-defined,no-any-return]

    def _file(self, part: int) -> IO[bytes]:
        with self._lock:
            file = self._open.pop(part, None)
            if file is None:
                file = self.path(part).open("rb", buffering=0)
                if os.fstat(file.fileno()).st_size != self.parts[part].bytes:
                    raise self._cut_off(part)
            self._open[part] = file  # the last used stands last
            if len(self._open) > _OPEN:  # not closed here: another thread may be reading from it
                del self._open[next(iter(self._open))]
        return file

    def _cut_off(self, part: int) -> SwathError:
        return SwathError(
            f"{self.path(part)}: does not have the {self.parts[part].bytes:,} bytes that pack.json says; "
            "copy it again, or delete it and run `swath pack` again, which writes what is missing"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "parts": self.parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], state["parts"])  # type: ignore[misc]
