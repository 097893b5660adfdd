"""What an archive is worth before it is uploaded: every mistake that a server would stumble over, or score."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from swath.errors import SwathError
from swath.submit.archives import BROKEN, Member, kind_of, members
from swath.submit.servers import Server

if TYPE_CHECKING:
    from swath.data import Source

Array = npt.NDArray[Any]
Watch = Callable[[int, int], None]  # done, in all (0: not known)

_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_LARGEST = 64 << 20  # bytes of a PNG: no label map comes near
_WORTH = 0.01  # a share of pixels that can never be right and is worth a word
_KINDS = {"RGB": "is in colors", "RGBA": "is in colors", "LA": "has transparency", "1": "has 1 bit a pixel"}


@dataclass(frozen=True)
class Expected:
    """The pictures that an archive should hold: names with sizes (height, width), or as many as there should be."""

    count: int = 0  # 0: not known
    sizes: dict[str, tuple[int, int]] | None = None  # None: the names are not known

    @staticmethod
    def of(source: Source, count: int = 0) -> Expected:
        """All pictures of a split; `count` is how many there should be, where that is known."""
        sizes = {PurePosixPath(source.name(index)).name: source.size(index) for index in range(len(source))}
        return Expected(count or len(source), sizes)


@dataclass(frozen=True)
class Finding:
    """One kind of mistake, and the files that have it."""

    kind: str
    message: str
    files: Sequence[str]
    fatal: bool  # the server would refuse it, or give a wrong score


@dataclass
class Inspection:
    """All that was found."""

    path: Path
    server: Server
    expected: Expected
    pictures: int = 0  # of the right size and values
    pixels: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))  # by value
    found: dict[tuple[str, str, bool], list[str]] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        """What is fatal comes first."""
        all_of_them = [Finding(kind, text, files, fatal) for (kind, text, fatal), files in self.found.items()]
        return sorted(all_of_them, key=lambda finding: not finding.fatal)

    @property
    def fit(self) -> bool:
        """Whether it can be uploaded."""
        return not any(finding.fatal for finding in self.findings)

    def shares(self) -> dict[str, float]:
        """Of all pixels, by the name of their class; other values by themselves."""
        total = max(1, int(self.pixels.sum()))
        names = {value: name for name, value in self.server.scored().items()}
        values = sorted({*names, *np.flatnonzero(self.pixels).tolist()})
        return {names.get(value, f"value {value}"): int(self.pixels[value]) / total for value in values}

    def add(self, kind: str, message: str, file: str = "", fatal: bool = True) -> None:
        files = self.found.setdefault((kind, message, fatal), [])
        files += [file] if file else []


def inspect(path: str | Path, server: Server, expected: Expected, watch: Watch | None = None) -> Inspection:
    """Look at every file of an archive; nothing is unpacked to the disk."""
    seen = Inspection(Path(path), server, expected)
    kind = kind_of(seen.path)
    if kind != server.archive:
        seen.add("archive", f"is a {kind}, {server.title} takes a {server.archive}")
    if kind not in ("zip", "tar.gz", "tar"):
        return seen
    look = _Look(seen)
    try:
        for done, member in enumerate(members(seen.path, kind), 1):
            look.at(member)
            if watch:
                watch(done, expected.count)
    except SwathError as error:
        seen.add("archive", str(error))
    look.finish()
    return seen


class _Look:
    """Goes from file to file."""

    def __init__(self, seen: Inspection):
        self.seen, self.server, self.expected = seen, seen.server, seen.expected
        self.file_of: dict[str, str] = {}  # by picture
        self.scored = frozenset(self.server.scored().values())
        self.taken = frozenset(self.server.values().values()) | frozenset(self.server.others)
        self.first: Array | None = None
        self.all_alike = True

    def at(self, member: Member) -> None:
        name = member.name
        if "\\" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            self.seen.add("path", "has a path that leads out of the archive, or backslashes in it", name)
        elif member.odd:
            self.seen.add("link", "is a link or a device, not a file", name)
        elif any(part in _JUNK or part.startswith("._") for part in PurePosixPath(name).parts):
            text = "was added by an operating system; pack without it"
            self.seen.add("junk", text, name, fatal=not self.server.anywhere)
        elif not name.endswith(".png"):
            self.seen.add("stranger", "is no .png", name, fatal=not self.server.anywhere)
        elif self._named(name):
            self._content(member)

    def _named(self, name: str) -> bool:
        """Whether it is the one file of a picture that is asked for."""
        picture = self.server.picture_of(name)
        if picture is None:
            self.seen.add("name", "does not begin with the name of a picture", name)
            return False
        if not self.server.anywhere and not self._folder(PurePosixPath(name).parent):
            where = " or ".join(folder or "the top of the archive" for folder in self.server.folders if folder != "*")
            self.seen.add("folder", f"lies in the wrong folder, it belongs to {where}", name)
        sizes = self.expected.sizes
        if sizes is not None and picture not in sizes:
            self.seen.add("unknown", "belongs to no picture of the split", name)
            return False
        if sizes is None and not re.fullmatch(self.server.picture, picture):
            self.seen.add("unknown", "belongs to no test picture, by its name", name)
            return False
        if picture in self.file_of:
            self.seen.add("twice", f"is a second file for the picture of {self.file_of[picture]}", name)
            return False
        self.file_of[picture] = name
        return True

    def _folder(self, parent: PurePosixPath) -> bool:
        text = "" if parent == PurePosixPath(".") else str(parent)
        return text in self.server.folders or ("*" in self.server.folders and len(parent.parts) == 1)

    def _content(self, member: Member) -> None:
        name = member.name
        if member.locked:
            self.seen.add("password", "is locked with a password", name)
            return
        if member.size > _LARGEST:
            self.seen.add("large", f"has {member.size >> 20} MiB unpacked, which no label map has", name)
            return
        try:
            labels = self._decoded(member)
        except (*BROKEN, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            self.seen.add("damaged", f"cannot be decoded ({type(error).__name__}: it is cut off or damaged)", name)
            return
        if labels is None:
            return
        size = self.server.size if self.expected.sizes is None else self._size(name)
        fits = size is None or labels.shape == size
        if size is not None and not fits:
            tall, wide = labels.shape
            self.seen.add("size", f"is {wide} x {tall} pixels, its picture {size[1]} x {size[0]}", name)
        counts = np.bincount(labels.reshape(-1), minlength=256)
        self.seen.pixels += counts
        wrong = [value for value in np.flatnonzero(counts).tolist() if value not in self.taken]
        for value in wrong:
            self.seen.add("value", f"holds the value {value}, which the server does not know", name)
        self.seen.pictures += fits and not wrong
        self.all_alike = self.all_alike and (self.first is None or np.array_equal(labels, self.first))
        self.first = labels if self.first is None else self.first

    def _decoded(self, member: Member) -> Array | None:
        """Labels H x W, unless the picture is of a kind that holds none."""
        with Image.open(io.BytesIO(member.read()), formats=("PNG",)) as picture:
            mode = picture.mode
            if mode not in ("L", "P"):
                told = _KINDS.get(mode, "has 16 bits a pixel" if mode.startswith("I") else f"is of the kind {mode}")
                self.seen.add("mode", f"{told}; labels are 8-bit values in one channel", member.name)
                return None
            if mode == "P" and not self.server.palette:
                text = "has a palette, where plain grey is asked for; its indices were checked"
                self.seen.add("palette", text, member.name, fatal=False)
            if mode == "L" and self.server.palette:
                self.seen.add("palette", "is grey, where a palette of the classes' colors is asked for", member.name)
            return np.array(picture)

    def _size(self, name: str) -> tuple[int, int] | None:
        assert self.expected.sizes is not None
        return self.expected.sizes[self.server.picture_of(name) or ""]

    def finish(self) -> None:
        """What can only be said of all files together."""
        self._complete()
        self._meaning()
        if self.all_alike and len(self.file_of) > 1 and self.first is not None:
            self.seen.add("alike", "all pictures hold the very same labels")

    def _complete(self) -> None:
        sizes, count = self.expected.sizes, self.expected.count
        for picture in sizes or ():
            if picture not in self.file_of:
                self.seen.add("missing", "is not there", self.server.file_name(picture))
        there = len(self.file_of) if sizes is None else len(sizes)
        if count and there != count:
            whose = "the archive" if sizes is None else "the split on this disk"
            self.seen.add("count", f"{whose} has {there:,} pictures, the server wants {count:,}")

    def _meaning(self) -> None:
        """Values that the server takes, but that mean something else than was meant."""
        present = frozenset(np.flatnonzero(self.seen.pixels[:255]).tolist())
        total = max(1, int(self.seen.pixels.sum()))
        lost = int(sum(self.seen.pixels[value] for value in present - self.scored))
        for text, values in self.server.mistakes:
            if present and present <= frozenset(values) and lost >= _WORTH * total:
                self.seen.add("meaning", f"all values are {text}")
                return
        if lost >= _WORTH * total:
            said = f"{100 * lost / total:.1f} % of all pixels hold values that are never scored as right"
            self.seen.add("unscored", said, fatal=False)
