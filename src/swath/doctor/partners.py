"""Files that lack their partner, and files that the card's patterns pass by."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from swath.cards.card import Card, Reading
from swath.data.folder import FolderSource
from swath.data.pairs import PICTURES, Pair, files_below
from swath.doctor.findings import Finding, shown
from swath.doctor.gather import Split
from swath.errors import SwathError, nearest

_GUESSES = 5  # looking for the nearest name takes a while in a large folder


class Partners:
    """Looks at the names of a split's files; nothing is opened."""

    def __init__(self, card: Card, root: Path):
        self.card, self.root = card, root
        self._guesses = 0
        self._wanted: set[Path] = set()  # by pairs: none of them was meant where another is missing
        self._names = cache(_names_in)

    def check(self, split: Split) -> tuple[list[Pair], list[Finding]]:
        """The pairs whose picture is there (a missing label is None in them), and what is wrong with the others."""
        self._wanted = {path for pair in split.pairs for path in (pair.image, pair.label) if path is not None}
        usable: list[Pair] = []
        findings: list[Finding] = []
        for pair in split.pairs:
            if bad := self._bad_name(split.name, pair.image):
                findings.append(bad)
            if wrong := self._missing(split, pair.image, "missing-picture"):
                findings.append(wrong)
                continue
            label = pair.label
            if label is not None and (wrong := self._missing(split, label, "missing-label")):
                findings.append(wrong)
                label = None
            usable.append(Pair(pair.name, pair.image, label))
        return usable, findings + self._surplus(split) + list(self._passed_by(split))

    def _bad_name(self, split: str, path: Path) -> Finding | None:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            message = "has a name that is not UTF-8; lists, reports and other machines cannot hold it"
            return Finding("bad-name", split, shown(path, self.root), message, "rename it (convmv does whole folders)")
        return None

    def _missing(self, split: Split, path: Path, kind: str) -> Finding | None:
        if path.is_file():
            return None
        file = shown(path, self.root)
        if path.is_symlink():
            message = f"is a link to {path.readlink()}, which does not exist"
            return Finding("broken-link", split.name, file, message, "mend it")
        names = self._names(path.parent)
        alike = names.get(path.name.lower())
        if alike is not None:
            message = f"is not there, but {alike} is: on this disk that is another name"
            return Finding("suffix-case", split.name, file, message, "rename the files, or change the card's pattern")
        what = "picture" if kind == "missing-picture" else "label"
        message = f"there is no such {what}"
        if not names:
            message += f"; the folder {shown(path.parent, self.root)} " + (
                "is empty" if path.parent.is_dir() else "does not exist"
            )
        elif "\\" in str(path):
            message += "; its path is written with backslashes, which only Windows reads as folders"
        elif self._guesses < _GUESSES:
            self._guesses += 1
            guess = nearest(path.name, [name for name in names.values() if path.parent / name not in self._wanted])
            message += f"; the nearest name there is {guess}" if guess else ""
        return Finding(kind, split.name, file, message, self._cure(kind, split.reading))

    def _cure(self, kind: str, reading: Reading) -> str:
        where = f"see {reading.where}"
        if kind == "missing-picture":
            return f"bring it, or take it out of the split; {where}"
        return f"bring it, or take its picture out of the split; {where}"

    def _surplus(self, split: Split) -> list[Finding]:
        source = FolderSource(self.card, split.reading, self.root, split.pairs)
        try:
            strays = source.stray_labels()
        except (SwathError, UnicodeError):  # no folder of labels: each picture has said so
            return []
        pictures = {pair.image for pair in split.pairs}
        return [
            Finding(
                "surplus-label", split.name, shown(path, self.root), "has no picture", "bring its picture, or remove it"
            )
            for path in strays
            if path not in pictures
        ]

    def _passed_by(self, split: Split) -> Iterator[Finding]:
        """Pictures that would belong to the split if their suffix were the card's."""
        reading = split.reading
        if reading.images is None or reading.list_file is not None or reading.ids is not None:
            return
        pattern = reading.images.replace("{split}", reading.folder)
        before, after = pattern.split("{id}")
        stem, _, ending = after.rpartition(".")
        suffix = f".{ending}"
        top = self.root / before[: before.rfind("/") + 1]
        if suffix == ".*" or not top.is_dir():
            return
        fits = re.compile(re.escape(before) + "(?P<id>.+)" + re.escape(stem) + r"(?P<suffix>\.\w+)", re.IGNORECASE)
        labels = _fitting(reading.labels, reading.folder)
        taken = {pair.name for pair in split.pairs}
        for path in files_below(top):
            match = fits.fullmatch(path.relative_to(self.root).as_posix())
            if not match or match["suffix"] == suffix or match["id"] in taken:
                continue
            if match["suffix"].lower() not in PICTURES or labels.fullmatch(path.relative_to(self.root).as_posix()):
                continue
            file = shown(path, self.root)
            if match["suffix"].lower() == suffix.lower():
                message = f"is passed by: the card's pattern ends in {suffix}, not {match['suffix']}"
                cure = f"rename it, or write '.*'; see {reading.where}"
                yield Finding("suffix-case", split.name, file, message, cure, "warning")
            else:
                message = f"is passed by: the card's pattern wants {suffix}"
                yield Finding("left-out", split.name, file, message, f"write '.*' for any suffix; see {reading.where}")


def _names_in(folder: Path) -> dict[str, str]:
    """What a folder holds, by the name in small letters."""
    try:
        return {entry.name.lower(): entry.name for entry in os.scandir(folder)}
    except OSError:
        return {}


def _fitting(pattern: str | None, folder: str) -> re.Pattern[str]:
    """What fits the pattern of the labels, whatever the letters of its suffix."""
    if pattern is None:
        return re.compile(r"(?!)")
    before, after = pattern.replace("{split}", folder).split("{id}")
    return re.compile(re.escape(before) + ".+" + re.escape(after).replace(r"\.\*", r"\.\w+"), re.IGNORECASE)


def total(card: Card, split: Split, pairs: int) -> list[Finding]:
    """The number of pictures that the card promises."""
    promised = card.split_info(split.name).count
    if not promised or promised == pairs:
        return []
    what = "missing" if pairs < promised else "too many"
    message = f"{pairs:,} pictures are there, the card says {promised:,}: {abs(promised - pairs):,} {what}"
    cure = "compare with the dataset's own list, or change the card's 'count'"
    return [Finding("count", split.name, "", message, cure)]
