"""Which pictures and truths a figure is of: what is kept in the cache folder counts for these alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swath.data import Source
from swath.data.folder import FolderSource
from swath.data.packed.source import PackedSource
from swath.data.shards.source import ShardSource
from swath.data.source import Joined
from swath.data.streets import Streets


def identity(source: Source, chosen: Sequence[int]) -> str:
    """Equal only for the same pictures and truths, read in the same way. Files are known by place, size and time of
    change, which costs a look at each; what is packed by its checksums."""
    card = source.card
    told = hashlib.sha256(f"{card.name} {card.class_names}".encode())
    if card.file.is_file():
        told.update(card.file.read_bytes())
    for part, indices in _parts(source, chosen):
        for line in _lines(part, indices):
            told.update(f"{line}\n".encode())
    return told.hexdigest()


def _parts(source: Source, chosen: Sequence[int]) -> Iterator[tuple[Source, list[int]]]:
    """Of `train+val` each split, with its own indices."""
    if not isinstance(source, Joined):
        yield source, list(chosen)
        return
    first = 0
    for part in source.parts:
        yield from _parts(part, [index - first for index in chosen if first <= index < first + len(part)])
        first += len(part)


def _lines(source: Source, indices: Sequence[int]) -> Iterable[str]:
    yield from (source.name(index) for index in indices)
    if isinstance(source, FolderSource):
        reading = source.reading
        table = reading.table  # the card may extend another, whose own words decide
        yield f"{table.ids} {table.by_color} {table.others} {table.divide} {reading.mat} {reading.min_area}"
        if reading.coco is not None:
            yield _file(source.root / reading.coco.replace("{split}", reading.folder))
        for index in indices:
            pair = source.pairs[index]
            yield from (_file(path) for path in (pair.image, pair.label) if path is not None)
    elif isinstance(source, PackedSource):
        yield f"{source.split} {hashlib.sha256((source.folder / 'pack.json').read_bytes()).hexdigest()}"
    elif isinstance(source, ShardSource):
        yield f"{source.split.rules} {source.split.parts}"
        yield from (str(source.split.rows[index]) for index in indices)
    elif isinstance(source, Streets):
        yield f"{source.split} {source.seed} {source.shape}"
    else:
        for index in indices:
            for array in (source.image(index), source.labels(index)):
                yield hashlib.sha256(array.tobytes()).hexdigest()


def _file(path: Path) -> str:
    known = path.stat()
    return f"{path.resolve()} {known.st_size} {known.st_mtime_ns}"
