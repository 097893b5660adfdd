"""What a split was packed from, and whether that is still so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from swath.cards.card import Card
from swath.data.folder import FolderSource, open_folder
from swath.data.packed.manifest import File, Origin, Split, again, rules
from swath.data.pairs import fill
from swath.data.source import Source
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.data.streets import Streets

_AT_ONCE = 16  # on a network disk each answer is waited for
_LOOKED_INTO = 32  # files whose times differ, but not their sizes, that are read when a set is opened


@dataclass(frozen=True)
class Made:
    """Files as they are now, without their digests: path, bytes, modification time in ns."""

    files: tuple[tuple[str, int, int], ...]

    def fits(self, packed: Sequence[File], root: Path) -> bool:
        """Whether these are the files that were packed; contents are compared where only times differ."""
        if [each[:2] for each in self.files] != [each[:2] for each in packed]:
            return False
        pairs = zip(self.files, packed)
        return all(now[2] == then[2] or file_digest(root / now[0]) == then[3] for now, then in pairs)


def files_of(source: Source, index: int, names: Iterable[str]) -> list[Path]:
    """All files that a picture and what is named of it come from; none where it is drawn."""
    if not isinstance(source, FolderSource):
        return []
    pair, reading = source.pairs[index], source.reading
    files = [pair.image]
    for name in names:
        if name == "labels" and pair.label is not None:
            files.append(pair.label)
        elif name == "instances":
            files.append(fill(reading.instances or "", reading.folder, source.root, pair.name))
        elif name in source.maps:
            found = source.map_file(index, name)
            camera = next(getattr(info, "camera", None) for info in reading.maps if info.name == name)
            files += [found] if found else []
            files += [fill(camera, reading.folder, source.root, pair.name)] if found and camera else []
    return files


def relative(path: Path, root: str) -> str:
    """Below the root where it lies there; else as it is."""
    path = path.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def made_from(paths: Sequence[Path], root: str) -> Made:
    """The files as they are now."""
    told = [(relative(path, root), _existing(path)) for path in paths]
    return Made(tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in told))


def file_digest(path: Path) -> str:
    """Of the contents; "" of a file that is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        return ""


def with_digest(name: str, root: str) -> File:
    """A file as pack.json names it."""
    path = Path(root, name)
    stat = _existing(path)
    return name, stat.st_size, stat.st_mtime_ns, file_digest(path)


def drawn_as(source: Source) -> dict[str, Any]:
    """What decides, beside its index, how a picture of a generator looks."""
    streets = cast("Streets", source)
    return {"size": list(streets.shape), "seed": streets.seed}


def origin_of(source: Source) -> Origin:
    """Where the pictures of a source come from."""
    if source.card.generator:
        return Origin("", None, "", options=drawn_as(source))
    assert isinstance(source, FolderSource)
    root, reading = str(source.root.absolute()), source.reading
    folders = {path.parent for pair in source.pairs for path in (pair.image, pair.label) if path is not None}
    above = {up for folder in folders for up in folder.parents if up == source.root or source.root in up.parents}
    listing = [relative(each, root) for each in sorted(folders | above)]
    if reading.list_file is not None:
        listing.append(reading.list_file.replace("{split}", reading.folder))
    shared = [reading.coco.replace("{split}", reading.folder)] if reading.coco is not None else []
    return Origin(
        root,
        reading.layout,
        rules(reading),
        {name: _existing(Path(root, name)).st_mtime_ns for name in listing},
        tuple(with_digest(name, root) for name in shared),
    )


def complaint(card: Card, name: str, split: Split, folder: Path) -> str | None:
    """What has changed in the source since, if it is where it was; nothing is read that need not be."""
    origin = split.origin
    if not origin.root or not Path(origin.root).is_dir():
        return None
    owners = [(each, picture.name) for picture in split.pictures for each in picture.files]
    owners += [(each, "all of them") for each in origin.shared]
    now = _look([each[0] for each, _ in owners], origin.root)
    if not any(now):
        return None  # the pictures were moved away, packed as they are
    changed: list[tuple[str, str, str]] = []  # picture, file, what
    unsure: list[tuple[File, str]] = []
    for (file, picture), stat in zip(owners, now):
        if stat is None:
            changed.append((picture, file[0], "is gone"))
        elif stat.st_size != file[1]:
            changed.append((picture, file[0], f"has {stat.st_size:,} bytes, not {file[1]:,}"))
        elif stat.st_mtime_ns != file[2]:
            unsure.append((file, picture))
    step = -(-len(unsure) // _LOOKED_INTO) or 1  # after a copy all times differ: some tell of the others
    for file, picture in unsure[::step]:
        if file_digest(Path(origin.root, file[0])) != file[3]:
            changed.append((picture, file[0], "holds other bytes"))
    what = None
    if changed:
        picture, path, how = changed[0]
        more = len({each[0] for each in changed}) - 1
        also = f", and {more} other picture{'s' * (more > 1)} changed" if more else ""
        what = f"the source of picture '{picture}' has changed since it was packed: {path} {how}{also}"
    elif any(_time(Path(origin.root, each)) != then for each, then in origin.listing.items()):
        what = _other_pictures(card, name, split)
    if what is None:
        return None
    return f"{folder}: split '{name}': {what}; {again(card, origin.root, folder)}"


def _other_pictures(card: Card, name: str, split: Split) -> str | None:
    """What has been added to a split, or taken from it."""
    origin = split.origin
    try:
        source = open_folder(card, name, Path(origin.root), origin.layout)
    except SwathError as error:
        return f"its source can no longer be read: {error}"
    then, now = [picture.name for picture in split.pictures], [pair.name for pair in source.pairs]
    if then == now:
        return None
    added, gone = sorted(set(now) - set(then)), sorted(set(then) - set(now))
    told = [f"{len(added)} pictures were added, the first '{added[0]}'"] if added else []
    told += [f"{len(gone)} are no longer part of it, the first '{gone[0]}'"] if gone else []
    return " and ".join(told) or "its pictures come in another order"


def _existing(path: Path) -> os.stat_result:
    stat = _stat(path)
    if stat is None:
        raise SwathError(f"{path}: cannot be packed: there is no such file, or it may not be looked at")
    return stat


def _look(names: Sequence[str], root: str) -> list[os.stat_result | None]:
    def some(chunk: Sequence[str]) -> list[os.stat_result | None]:
        return [_stat(Path(root, name)) for name in chunk]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        chunks = [names[at : at + 64] for at in range(0, len(names), 64)]
        return list(chain.from_iterable(pool.map(some, chunks)))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _time(path: Path) -> int | None:
    told = _stat(path)
    return told.st_mtime_ns if told else None
