"""An archive is listed once, into one file, and cut into parts: ranges of that file. So a part stays what it is."""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.cluster.places import Place
from swath.errors import SwathError

MOST_EACH = 1024  # pictures a part: what one death costs at most, and few enough files for a hundred million


@dataclass(frozen=True)
class Part:
    """Bytes of the listing: these pictures are done together."""

    number: int
    offset: int
    length: int


@dataclass(frozen=True)
class Listing:
    """`ends` are the bytes at which parts end."""

    pictures: int
    each: int
    ends: list[int]

    def part(self, number: int) -> Part:
        begin = self.ends[number - 1] if number else 0
        return Part(number, begin, self.ends[number] - begin)

    def size(self, number: int) -> int:
        """Pictures in a part."""
        return min(self.each, self.pictures - number * self.each)


def share_out(pictures: int) -> int:
    """Pictures a part: a small archive is cut as well, so that many actors have work to the end."""
    return min(MOST_EACH, max(8, -(-pictures // 256)))


def write_listing(
    names: Iterable[str],
    place: Place,
    file: str,
    output: Callable[[str], str],
    *,
    each: int | None = None,
    watch: Callable[[int], None] | None = None,
) -> Listing:
    """Write the names down, a line each. Refuses two that would have the same `output`."""
    digests = array("Q")
    ends = array("Q")
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        made = Path(folder, "listing")
        at = 0
        with made.open("wb") as opened:
            for name in names:
                if "\n" in name:
                    raise SwathError(f"{name!r}: has a line break in its name; rename it")
                line = name.encode("utf-8", "surrogateescape") + b"\n"
                opened.write(line)
                at += len(line)
                ends.append(at)
                digests.append(_digest(output(name)))
                if watch and len(ends) % 1000 == 0:
                    watch(len(ends))
        if not ends:
            raise SwathError("holds no pictures")  # the caller knows where
        _refuse_twins(made, digests, output)
        place.take(file, made)
    each = each or share_out(len(ends))
    return Listing(len(ends), each, [*ends[each - 1 :: each], *([ends[-1]] if len(ends) % each else [])])


def read_part(place: Place, file: str, part: Part) -> list[str]:
    """The names of its pictures."""
    lines = place.range(file, part.offset, part.length)
    if len(lines) != part.length:
        raise SwathError(f"{place.root}/{file}: is shorter than it was; begin anew in another --out")
    return lines.decode("utf-8", "surrogateescape").rstrip("\n").split("\n")


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def _refuse_twins(made: Path, digests: array[int], output: Callable[[str], str]) -> None:
    """Digests are held instead of names: of a hundred million, 800 MB. Where two agree, the names are looked at."""
    values = np.frombuffer(digests, np.uint64)
    ordered = np.sort(values)
    twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not twice:
        return
    seen: dict[str, tuple[int, str]] = {}
    with made.open("rb") as opened:
        for number, (line, digest) in enumerate(zip(opened, digests), 1):
            if digest not in twice:
                continue
            name = line[:-1].decode("utf-8", "surrogateescape")
            result = output(name)
            if result in seen:
                first, other = seen[result]
                if other == name:
                    raise SwathError(f"{name}: is listed twice (pictures {first} and {number}); `sort -u` the list")
                raise SwathError(f"{other} and {name} would both become {result}; rename one, or write --as parquet")
            seen[result] = number, name
