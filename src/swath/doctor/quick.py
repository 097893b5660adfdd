"""The doctor's glance: what a training looks at before it starts, in seconds however large the dataset is."""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from swath.data.folder import FolderSource
from swath.data.images import image_size
from swath.data.pairs import PICTURES
from swath.data.source import Joined, Source
from swath.doctor.findings import Finding, shown
from swath.doctor.twins import role
from swath.errors import SwathError

SECONDS = 3.0  # for headers; a slow disk ends the glance early
_LABELS = 6  # decoded, of each split
_HASHED = 64  # files that are compared byte by byte
_TOLD = 3  # findings of one kind


def glance(train: Source, val: Source) -> list[Finding]:
    """Partners, sizes by their headers, some labels, and pictures of the training in the validation.

    Only splits that are read from files are looked at; that every file is there was found out when they were opened.
    """
    findings: list[Finding] = []
    deadline = time.monotonic() + SECONDS
    parts = [(part, part.reading.split) for source in (train, val) for part in _folders(source)]
    for part, split in parts:
        findings += _strays(part, split)
        findings += _some_labels(part, split)
    for index, (part, split) in enumerate(parts):
        left = max(0.0, deadline - time.monotonic())
        findings += _headers(part, split, time.monotonic() + left / (len(parts) - index))
    return findings + _overlap(_folders(train), _folders(val))


def _folders(source: Source) -> list[FolderSource]:
    parts = source.parts if isinstance(source, Joined) else (source,)
    return [part for part in parts if isinstance(part, FolderSource)]


def _strays(source: FolderSource, split: str) -> list[Finding]:
    pictures = {pair.image for pair in source.pairs}
    try:
        strays = [path for path in source.stray_labels() if path not in pictures]
    except (SwathError, UnicodeError):  # of no use for a training, so no reason to refuse it
        return []
    if not strays:
        return []
    message = f"has no picture; there are {len(strays):,} such labels" if len(strays) > 1 else "has no picture"
    return [Finding("surplus-label", split, shown(strays[0], source.root), message)]


def _some_labels(source: FolderSource, split: str) -> Iterator[Finding]:
    """As the training will read them: sizes, values and all."""
    if not source.reading.labelled:
        return
    for index in sorted({at * len(source) // _LABELS for at in range(_LABELS)}):
        try:
            source.labels(index)
        except SwathError as error:
            yield Finding("unknown-value", split, "", str(error))
            return


def _headers(source: FolderSource, split: str, deadline: float) -> Iterator[Finding]:
    """Sizes of pictures and labels, from all over the split, as long as there is time."""
    told = 0
    for index in _scattered(len(source)):
        pair = source.pairs[index]
        try:
            size = image_size(pair.image)
            if pair.label is not None and pair.label.suffix.lower() in PICTURES and image_size(pair.label) != size:
                said = f"is of another size than its picture ({size[1]} x {size[0]})"
                yield Finding("size", split, shown(pair.label, source.root), said)
                told += 1
        except SwathError as error:
            yield Finding("unreadable", split, "", str(error))
            told += 1
        if told >= _TOLD or time.monotonic() > deadline:
            return


def _scattered(count: int) -> Iterator[int]:
    """0 to count - 1, so that any beginning of it is spread over the whole: in steps of the golden section."""
    step = max(1, round(count * 0.618))
    while math.gcd(step, count) != 1:
        step += 1
    yield from (at * step % count for at in range(count))


def _overlap(train: Sequence[FolderSource], val: Sequence[FolderSource]) -> list[Finding]:
    """Pictures of the validation that are trained on: the same file, or another one of the same bytes."""
    known: dict[Path, Path] = {}
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    roles = {role(source.reading.split) for source in train}
    for source in train:
        for pair in source.pairs:
            known[pair.image.resolve()] = pair.image
            by_size[pair.image.stat().st_size].append(pair.image)
    findings: list[Finding] = []
    hashed: dict[Path, bytes] = {}
    for source in val:
        split = source.reading.split
        if role(split) in roles:  # `--data.val train` on purpose: can the network learn these few by heart?
            continue
        for pair in source.pairs:
            other = known.get(pair.image.resolve())
            if other is None and len(hashed) < _HASHED:
                other = _copy(pair.image, by_size.get(pair.image.stat().st_size, []), hashed)
            if other is not None:
                message = f"is trained on too, as {shown(other, source.root)}"
                findings.append(Finding("leak", split, shown(pair.image, source.root), message))
    if len(findings) < 2:
        return findings
    first = findings[0]
    more = f"{first.message}; so are {len(findings) - 1:,} others that were seen"
    return [Finding("leak", first.split, first.file, more)]


def _copy(path: Path, others: Sequence[Path], hashed: dict[Path, bytes]) -> Path | None:
    """One of the others that holds the same bytes."""
    for other in others[:_HASHED]:
        for each in (path, other):
            if each not in hashed:
                hashed[each] = hashlib.blake2b(each.read_bytes(), digest_size=16).digest()
        if hashed[path] == hashed[other]:
            return other
    return None
