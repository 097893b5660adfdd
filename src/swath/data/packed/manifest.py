"""pack.json: which pictures lie where, how they are coded, and what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from swath import __version__
from swath.cards.card import Card, Reading
from swath.data.packed.bands import BAND, Kind, band_count
from swath.errors import SwathError, unknown
from swath.files import atomic_write

NAME = "pack.json"
FORMAT = "swath pack"
VERSION = 1

# A file that a picture comes from: path (below the root, where it lies there), bytes, modification time in ns, digest.
File = tuple[str, int, int, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """One array: where its first band begins, and each band's CRC-32 and coded length, as hexadecimal numbers.

    Lengths of raw bands follow from the picture's size, and are not written down.
    """

    at: int
    crcs: str
    lengths: str

    def crc(self, band: int) -> int:
        """Of one band."""
        return int(self.crcs[8 * band : 8 * band + 8], 16)

    def ends(self, kind: Kind, height: int, width: int) -> list[int]:
        """Where the bands begin in the file, and where the last one ends."""
        row = kind.row_bytes(width)
        ends = [self.at]
        for band in range(band_count(height)):
            coded = self.lengths[8 * band : 8 * band + 8]
            ends.append(ends[-1] + (int(coded, 16) if coded else row * min(BAND, height - BAND * band)))
        return ends


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: in which of the split's parts it lies, its arrays in the order of `Split.kinds`, its files."""

    name: str
    size: tuple[int, int]
    part: int
    arrays: tuple[Stored, ...]
    files: tuple[File, ...]

    def row(self) -> list[Any]:
        """As it is written."""
        arrays = [[each.at, each.crcs, each.lengths] for each in self.arrays]
        return [self.name, *self.size, self.part, arrays, self.files]

    @staticmethod
    def of(row: Sequence[Any]) -> Picture:
        """From what was written."""
        name, height, width, part, arrays, files = row
        stored = tuple(Stored(*each) for each in arrays)
        return Picture(name, (height, width), part, stored, tuple((f[0], f[1], f[2], f[3]) for f in files))


@dataclass(frozen=True)
class Origin:
    """Where a split came from. `listing`: folders and lists whose change means that there may be other pictures;
    `shared`: files that belong to all pictures; `options`: of a generator."""

    root: str
    layout: str | None
    rules: str
    listing: Mapping[str, int] = field(default_factory=dict)
    shared: tuple[File, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A file of pictures."""

    file: str
    bytes: int


@dataclass(frozen=True)
class Split:
    """One packed split."""

    packing: str
    kinds: Mapping[str, Kind]
    origin: Origin
    parts: tuple[Part, ...]
    pictures: tuple[Picture, ...]

    @property
    def bytes(self) -> int:
        """On the disk."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Manifest:
    """What pack.json holds."""

    card: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last file to be written: what it names is whole. A line a picture."""
    splits = []
    for name, split in manifest.splits.items():
        head = json.dumps(asdict(replace(split, pictures=())), ensure_ascii=False)
        rows = ",\n".join(json.dumps(each.row(), separators=(",", ":"), ensure_ascii=False) for each in split.pictures)
        splits.append(f"{json.dumps(name)}: {head.removesuffix('[]}')}[\n{rows}\n]}}")  # pictures come last in it
    about: dict[str, Any] = {"format": FORMAT, "version": VERSION, "swath": __version__}
    about |= {"card": manifest.card, "classes": list(manifest.classes)}
    with atomic_write(folder / NAME, "w") as file:
        file.write(json.dumps(about, ensure_ascii=False)[:-1] + ', "splits": {\n' + ",\n".join(splits) + "\n}}\n")


def read_manifest(folder: Path) -> Manifest:
    """Of a packed folder; read once as long as it does not change."""
    path = folder / NAME
    try:
        told = path.stat()
        return _read(path, told.st_mtime_ns, told.st_size)
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int) -> Manifest:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise KeyError("format")
        if told["version"] == VERSION:
            return Manifest(told["card"], tuple(told["classes"]), {n: _split(s) for n, s in told["splits"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SwathError(f"{path}: is damaged, or not swath's; delete it and run `swath pack` again") from error
    raise SwathError(
        f"{path}: is of version {told['version']} of its form, this swath reads {VERSION}; update swath, or pack again"
    )


def _split(told: dict[str, Any]) -> Split:
    origin = told["origin"]
    return Split(
        told["packing"],
        {name: Kind(**kind) for name, kind in told["kinds"].items()},
        Origin(**{**origin, "shared": tuple((f[0], f[1], f[2], f[3]) for f in origin["shared"])}),
        tuple(Part(**part) for part in told["parts"]),
        tuple(Picture.of(row) for row in told["pictures"]),
    )


def again(card: Card, root: str, folder: Path) -> str:
    """What to do about a set that is no longer right."""
    which = card.name if card.builtin else card.file
    return f"`swath pack {which}{f' --root {root}' if root else ''} --out {folder}` packs anew what has changed"


def digest(told: Any) -> str:
    """Of what JSON can hold."""
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()


def rules(reading: Reading) -> str:
    """The same for readings that give the same pictures the same labels and maps, wherever their files lie."""
    table = reading.table
    labels = [table.by_color, table.others, table.divide, sorted(table.ids.items()), reading.mat, reading.labelled]
    chosen = [reading.ids, reading.excluding, reading.percent, reading.min_area]
    maps = [repr(replace(each, where="", files=None)) for each in reading.maps]
    return digest([labels, chosen, maps])


def packed_split(manifest: Manifest, card: Card, name: str, folder: Path) -> Split:
    """A split, when it still means what the card says."""
    if manifest.classes != tuple(card.class_names):
        raise SwathError(
            f"{folder / NAME}: was packed with the {len(manifest.classes)} classes of card '{manifest.card}', but the "
            f"{card.num_classes} of card '{card.name}' are others; open it with that card, or pack into another folder"
        )
    if name not in manifest.splits:
        raise unknown(f"split of {folder}", name, manifest.splits)
    split = manifest.splits[name]
    layout = split.origin.layout
    reading = card.layouts.get(layout, {}).get(name) if layout else None
    if layout and (reading is None or rules(reading) != split.origin.rules):
        raise SwathError(
            f"{folder / NAME}: the card '{card.name}' ({card.file}) has changed since split '{name}' was packed: other "
            f"pictures, or other meanings of label values; {again(card, split.origin.root, folder)}"
        )
    return split
