"""Reading a list line by line, so that one bad line does not hide the others."""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from swath.cards.card import Card, Reading
from swath.data.pairs import NotHere, Pair, find_pairs, percent_of
from swath.doctor.findings import Finding, shown
from swath.errors import SwathError

_MARK = b"\xef\xbb\xbf"
Lines = list[tuple[int, str]]


def read_list(card: Card, reading: Reading, root: Path) -> tuple[list[Pair], list[Finding]]:
    """The pairs of a list, those of missing pictures too, and the lines that are of no use."""
    path = list_path(reading, root)
    if not path.is_file():
        raise NotHere(f"{path}: there is no such list; see {reading.where}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        message = "is not UTF-8 text (saved as UTF-16 or in an old code page?)"
        return [], [Finding("bad-list", reading.split, shown(path, root), message, "save it as UTF-8")]
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return [], [Finding("bad-list", reading.split, shown(path, root), "is empty", "write one picture a line")]
    log = logging.getLogger("swath")
    silent, log.disabled = log.disabled, True  # what is said of a list would be said of each part of it
    try:
        with tempfile.TemporaryDirectory(prefix="swath-") as folder:
            one = _OneList(card, reading, root, Path(folder) / "list.txt")
            one.read(lines)
    finally:
        log.disabled = silent
    low, high = reading.percent
    return [pair for pair in one.pairs if low <= percent_of(pair.name) < high], one.findings


def list_path(reading: Reading, root: Path) -> Path:
    """Where the list lies."""
    return root / (reading.list_file or "").replace("{split}", reading.folder)


def list_marks(reading: Reading, root: Path) -> list[Finding]:
    """A byte order mark does swath no harm, but other programs take it for a part of the first name."""
    path = list_path(reading, root)
    if reading.list_file is None or not path.is_file():
        return []
    with path.open("rb") as file:
        if file.read(3) != _MARK:
            return []
    message = "begins with a byte order mark; swath skips it, other programs read it as part of the first name"
    return [Finding("list-mark", reading.split, shown(path, root), message, "save it as UTF-8 without BOM")]


class _OneList:
    """Halves what `find_pairs` refuses until the lines at fault stand alone: the form of a line is known there only."""

    def __init__(self, card: Card, reading: Reading, root: Path, copy: Path):
        self.card, self.root, self.copy = card, root, copy
        self.path = list_path(reading, root)
        self.reading = replace(reading, list_file=str(copy), percent=(0, 100))
        self.pairs: list[Pair] = []
        self.findings: list[Finding] = []

    def read(self, lines: Lines) -> None:
        """Pairs and findings of these lines, in their order."""
        self.copy.write_text("\n".join(line for _, line in lines), encoding="utf-8")
        try:
            self.pairs += find_pairs(self.card, self.reading, self.root)
        except SwathError as error:
            if len(lines) > 1:
                middle, known = len(lines) // 2, len(self.findings)
                self.read(lines[:middle])
                self.read(lines[middle:])
                if not isinstance(error, NotHere) and len(self.findings) == known:  # no line by itself is wrong
                    self._bad(self._number(str(error), lines), str(error))
            elif isinstance(error, NotHere):
                missing = Path(str(error).partition(": there is no such picture")[0])
                self.pairs.append(Pair(lines[0][1].strip(), missing, None))
            else:
                self._bad(lines[0][0], str(error))

    def _number(self, said: str, lines: Lines) -> int:
        """The line of the list itself that a complaint about its copy names."""
        match = re.match(re.escape(str(self.copy)) + r":(\d+):", said)
        return lines[int(match[1]) - 1][0] if match else lines[0][0]

    def _bad(self, number: int, said: str) -> None:
        where = f"{shown(self.path, self.root)}:{number}"
        message = re.sub(re.escape(str(self.copy)) + r"(:\d+)?: ?", "", said)
        self.findings.append(Finding("bad-line", self.reading.split, where, message, "mend or remove the line"))
