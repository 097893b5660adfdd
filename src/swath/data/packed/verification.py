"""Every checksum of a packed folder, on all processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swath.cards.card import Card
from swath.data.packed.manifest import NAME, Split, read_manifest
from swath.data.packed.source import PackedSource
from swath.errors import SwathError


def verify(folder: str | Path, told: Callable[[int, int], None] | None = None) -> list[str]:
    """What is damaged, one complaint a picture; `told` hears how many pictures were read, of how many."""
    folder = Path(folder).expanduser()
    if not (folder / NAME).is_file():
        raise SwathError(f"{folder / NAME}: there is no such file; --verify takes the folder that `swath pack` wrote")
    manifest = read_manifest(folder)
    total = sum(len(split.pictures) for split in manifest.splits.values())
    complaints = []
    done = 0
    for name, split in manifest.splits.items():
        for complaint in _damages(manifest.card, name, split, folder):
            done += 1
            if complaint:
                complaints.append(complaint)
            if told:
                told(done, total)
    return complaints


def _damages(card: str, name: str, split: Split, folder: Path) -> Iterator[str | None]:
    about = Card(card, card, (), (), (), {}, folder / NAME)  # only its name is asked for
    source = PackedSource(about, name, split, folder)

    def damage(index: int) -> str | None:
        try:
            source.check(index)
        except SwathError as error:
            return str(error)
        return None

    # Threads: reading, checksums and decoding all leave Python to the others.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from pool.map(damage, range(len(source)))
