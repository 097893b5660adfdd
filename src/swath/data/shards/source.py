"""A split of shards. Every picture is read by itself, so order, windows and resume are those of a folder."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card
from swath.data.images import decode_image, decode_label
from swath.data.shards.cache import Cache, cache_of
from swath.data.shards.index import NAME, Entry, Split, checked_split, parse_index
from swath.data.shards.stores import Folder, Store, open_store
from swath.errors import SwathError

_ALL = slice(None)
_AT_ONCE = 8  # requests of one process; the time to the first byte is waited for together


def open_shards(card: Card, split: str, root: str | Path, *, cache: str | Path | None = None) -> ShardSource:
    """A split of the shards in a folder or below a URL: http(s)://, or what fsspec knows, such as s3:// and gs://.

    What comes over a network is kept in the folder `cache` or $SWATH_CACHE, up to $SWATH_CACHE_GB (50).
    """
    store = open_store(str(root))
    where = f"{store.root}/{NAME}"
    found = checked_split(parse_index(store.whole(NAME), where), card, card.split_info(split).name, where)
    return ShardSource(card, store, found, None if isinstance(store, Folder) else cache_of(store.root, cache))


class ShardSource:
    """The pictures of one split, each a range of bytes in a shard."""

    def __init__(self, card: Card, store: Store, split: Split, cache: Cache | None = None) -> None:
        self.card = card
        self.store = store
        self.split = split
        self.cache = cache
        self._coming: dict[tuple[int, tuple[str, ...]], Future[dict[str, bytes]]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def __len__(self) -> int:
        return len(self.split.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_coming": {}, "_pool": None}

    def name(self, index: int) -> str:
        """The picture's relative id."""
        return str(self.split.rows[index][0])

    def size(self, index: int) -> tuple[int, int]:
        """(height, width), from the index."""
        return self.split.entry(index).size

    def image(self, index: int) -> NDArray[np.uint8]:
        """H x W x 3, RGB."""
        return np.asarray(self.cut(index, _ALL, _ALL, ["image"])["image"])

    def labels(self, index: int) -> NDArray[np.uint8]:
        """H x W train ids."""
        return np.asarray(self.cut(index, _ALL, _ALL, ["labels"])["labels"])

    @property
    def maps(self) -> Mapping[str, int]:
        """Names of the maps, with their channels."""
        return self.split.maps

    def map(self, index: int, name: str) -> NDArray[Any]:
        """One of the maps."""
        return self.cut(index, _ALL, _ALL, [name])[name]

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Of one picture, what is named, and of that only [rows, columns]."""
        wanted = tuple(names)
        coming = self._coming.pop((index, wanted), None) if self._process == os.getpid() else None
        files = coming.result() if coming else self._fetch(index, wanted)
        where = self._where(self.split.entry(index))
        cut: dict[str, NDArray[Any]] = {}
        for name, data in files.items():
            if name == "image":
                cut[name] = decode_image(data, where, rows, columns)
            elif name == "labels":
                cut[name] = np.ascontiguousarray(decode_label(data, f"{where} (labels)", rows=rows)[:, columns])
            else:
                cut[name] = np.load(io.BytesIO(data), allow_pickle=False)[rows, columns]
        return cut

    def ahead(self, indices: Iterable[int], names: Iterable[str]) -> None:
        """Begin to fetch these pictures together; `cut` with the same names takes them up."""
        if isinstance(self.store, Folder):  # nothing to wait for
            return
        if self._pool is None or self._process != os.getpid():  # threads, and what they fetch, do not survive a fork
            self._pool, self._process = ThreadPoolExecutor(_AT_ONCE, "shards"), os.getpid()
        for future in self._coming.values():
            future.cancel()  # begun and never taken up
        wanted = tuple(names)
        self._coming = {(index, wanted): self._pool.submit(self._fetch, index, wanted) for index in set(indices)}

    def _fetch(self, index: int, names: Sequence[str]) -> dict[str, bytes]:
        """The files, from the cache or by one request: those of a picture lie side by side."""
        entry = self.split.entry(index)
        unknown = [name for name in names if name not in entry.parts]
        if unknown:
            raise SwathError(f"{self._where(entry)}: these shards hold no {unknown[0]}, only {', '.join(entry.parts)}")
        files = {}
        if self.cache:
            kept = {name: self.cache.get(_key(entry, name)) for name in names}
            files = {name: data for name, data in kept.items() if data and zlib.crc32(data) == entry.parts[name].crc}
        missing = [name for name in names if name not in files]
        if missing:
            came = self._read(entry, missing)
            files.update(came)
            if self.cache:
                for name, data in came.items():
                    self.cache.put(_key(entry, name), data)
        return {name: files[name] for name in names}

    def _read(self, entry: Entry, names: Sequence[str]) -> dict[str, bytes]:
        parts = {name: entry.parts[name] for name in names}
        begin = min(part.offset for part in parts.values())
        end = max(part.offset + part.length for part in parts.values())
        for _ in range(2):  # what a network has changed on its way comes right the second time
            data = memoryview(self.store.read(entry.shard, begin, end - begin))
            files = {name: bytes(data[part.offset - begin :][: part.length]) for name, part in parts.items()}
            if all(zlib.crc32(files[name]) == part.crc for name, part in parts.items()):
                return files
        raise SwathError(
            f"{self._where(entry)}: does not have the checksum (CRC-32) that shards.json says; "
            "the shard is damaged or of another version: copy it again, with its shards.json"
        )

    def _where(self, entry: Entry) -> str:
        return f"{self.store.root}/{entry.shard}: {entry.name}"


def _key(entry: Entry, name: str) -> str:
    part = entry.parts[name]
    return f"{entry.shard}-{part.offset}-{part.crc:08x}"
