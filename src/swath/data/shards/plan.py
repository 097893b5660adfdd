"""Which pictures go into which shard, before anything is written: so that it can be announced, and gone on with."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from swath.cards.card import Card
from swath.data.folder import FolderSource
from swath.data.packed.manifest import rules
from swath.data.packed.origin import files_of
from swath.data.shards.index import VERSION
from swath.data.source import Source, supplied
from swath.data.splits import own_splits
from swath.errors import SwathError, unknown

Files = Mapping[str, tuple[str, bytes]]  # suffix and bytes, by "image", "labels" and the names of maps

SHARD_BYTES = 256_000_000
_SAMPLES = 4


@dataclass
class SplitPlan:
    """One split: its source, the files that a picture becomes, and the pictures of each shard."""

    name: str
    source: Source
    parts: list[str]
    maps: dict[str, int]
    bytes: int = 0  # of all files together, about
    shards: list[range] = field(default_factory=list)

    @property
    def rules(self) -> str | None:
        """What pictures and label values mean, as a digest; a generator has no such rules."""
        return rules(self.source.reading) if isinstance(self.source, FolderSource) else None

    def shard_files(self) -> Iterator[tuple[str, range, str]]:
        """(file name, pictures, what it is made from) of every shard."""
        for number, pictures in enumerate(self.shards):
            yield f"{self.name}-{number:05d}.tar", pictures, self._made_from(pictures)

    def _made_from(self, pictures: range) -> str:
        """The same while the files of these pictures are the same, as far as names, sizes and times tell."""
        told: list[Any] = [VERSION, self.rules, self.parts]
        for index in pictures:
            files = files_of(self.source, index, self.parts)
            told.append([self.source.name(index), *self.source.size(index), *map(_status, files)])
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


@dataclass
class Plan:
    """All splits that are to be written."""

    card: Card
    splits: list[SplitPlan]

    @property
    def pictures(self) -> int:
        return sum(len(split.source) for split in self.splits)

    @property
    def bytes(self) -> int:
        """About: label files are estimated from a few."""
        return sum(split.bytes for split in self.splits)

    @property
    def shards(self) -> int:
        return sum(len(split.shards) for split in self.splits)


def plan_shards(
    card: Card,
    splits: Sequence[str],
    root: str | Path | None = None,
    *,
    layout: str | None = None,
    maps: Sequence[str] = (),
    shard_bytes: int = SHARD_BYTES,
    **options: Any,
) -> Plan:
    """Open the splits and share their pictures out; `maps` names what else is written beside labels. Without `splits`:
    train, val and test (or all), if there."""
    plans = []
    if options:
        sources = {name: card.open(name, root, layout=layout, **options) for name in splits}
    else:
        sources, _ = own_splits(card, root, splits, layout)
    for split, source in sources.items():
        there = supplied(source)
        for name in maps:
            if name not in there:
                raise unknown(f"map of split '{split}' of card '{card.name}'", name, there)
        labelled = not isinstance(source, FolderSource) or source.reading.labelled
        parts = ["image", *(["labels"] if labelled else []), *maps]
        plan = SplitPlan(split, source, parts, {name: there[name] for name in maps})
        _share_out(plan, shard_bytes)
        plans.append(plan)
    return Plan(card, plans)


def picture_files(plan: SplitPlan, index: int) -> Files:
    """What a picture becomes: its own file untouched, labels as train ids; decoded once, so that none is broken."""
    source = plan.source
    size = source.size(index)
    image = source.image(index)
    files = {}
    if isinstance(source, FolderSource):
        path = source.pairs[index].image
        files["image"] = (path.suffix.lower(), path.read_bytes())
    else:
        files["image"] = (".png", _png(image))
    if image.shape[:2] != size:
        raise SwathError(f"{source.name(index)}: is of another size than its header says")
    if "labels" in plan.parts:
        files["labels"] = (".labels.png", _label_png(source.labels(index), source.card))
    for name in plan.maps:
        array: Any = source.map(index, name)  # type: ignore[attr-defined]
        files[name] = (f".{name}.npy", _npy(array))
    return files


def _share_out(plan: SplitPlan, shard_bytes: int) -> None:
    """Fill shards in the order of the pictures, by the sizes of their files."""
    source, count = plan.source, len(plan.source)
    samples = [picture_files(plan, i * count // _SAMPLES) for i in range(min(_SAMPLES, count))]
    typical = {part: sum(len(files[part][1]) for files in samples) / len(samples) for part in plan.parts}
    beside = sum(size for part, size in typical.items() if part != "image")
    first = 0
    filled = total = 0.0
    for index in range(count):
        image = _status(source.pairs[index].image)[0] if isinstance(source, FolderSource) else typical["image"]
        size = image + beside + 1024 * (len(plan.parts) + 1)  # a tar's headers and padding
        if index > first and filled + size > shard_bytes:
            plan.shards.append(range(first, index))
            first, filled = index, 0.0
        filled += size
        total += size
    plan.shards.append(range(first, count))
    plan.bytes = round(total)


def _status(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _png(image: Any) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def _label_png(labels: Any, card: Card) -> bytes:
    """Train ids as a palette PNG, which shows the classes in their colors."""
    picture = Image.fromarray(np.ascontiguousarray(labels))
    picture.putpalette(card.palette().tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=6)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
