"""What the doctor can find: every kind with its weight, and the form in which one is told."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# An error stops a training or teaches it wrong labels; a warning costs quality; a note is worth knowing.
LEVELS = ("error", "warning", "note")

KINDS: dict[str, tuple[str, str]] = {
    # what is there, and what belongs together
    "missing-label": ("error", "pictures without their label"),
    "missing-picture": ("error", "pictures that are named but not there"),
    "surplus-label": ("warning", "labels without a picture"),
    "left-out": ("warning", "pictures that the card's pattern leaves out"),
    "suffix-case": ("error", "suffixes in other letters than the card's (.PNG for .png)"),
    "broken-link": ("error", "links that point nowhere"),
    "bad-name": ("error", "file names that are not UTF-8"),
    "bad-line": ("error", "lines of a list that are not of the card's form"),
    "bad-list": ("error", "lists that cannot be read"),
    "list-mark": ("note", "lists that begin with a byte order mark"),
    "listed-twice": ("warning", "pictures that a list names twice"),
    "same-id": ("error", "several pictures of one id"),
    "missing-split": ("warning", "splits that are not there"),
    "unreadable-split": ("error", "splits whose files cannot be found"),
    "layouts": ("error", "several layouts of the card fit"),
    "count": ("warning", "another number of pictures than the card says"),
    # pictures and files
    "empty-file": ("error", "files of zero bytes"),
    "pointer": ("error", "placeholders instead of files (Git LFS)"),
    "web-page": ("error", "web pages saved under a picture's name"),
    "unreadable": ("error", "files that are no picture"),
    "damaged": ("error", "pictures that are cut off or damaged"),
    "doubtful": ("warning", "pictures that decode, but with complaints"),
    "animated": ("error", "animations and files of several pages"),
    "sixteen-bit": ("error", "pictures of 16 bits or floats"),
    "deep": ("warning", "colors of 16 bits, cut to 8"),
    "cmyk": ("warning", "CMYK pictures (colors of print)"),
    "turned": ("warning", "pictures that their EXIF data turn"),
    "transparent": ("warning", "pictures with transparent pixels"),
    "alpha": ("note", "pictures with a needless alpha channel"),
    "grey": ("warning", "grey pictures among colored ones"),
    "one-color": ("warning", "pictures of one color (black frames)"),
    "tiny": ("warning", "pictures below the least size of some networks"),
    "aspect": ("warning", "pictures of an unusual shape"),
    "same-picture": ("note", "pictures that occur twice in a split"),
    # a label and its picture
    "size": ("error", "labels of another size than their picture"),
    "transposed": ("error", "labels whose height and width are swapped"),
    "turned-label": ("error", "labels drawn on the unturned picture"),
    "picture-as-label": ("error", "labels that are the picture itself"),
    "same-label": ("warning", "different pictures with the same label"),
    # what labels hold
    "unknown-value": ("error", "values that the card does not name"),
    "unknown-color": ("error", "colors that the card does not name"),
    "black-white": ("error", "black and white masks (0 and 255)"),
    "stretched": ("error", "values stretched to be seen"),
    "off-by-one": ("error", "values that begin at 1"),
    "instances": ("error", "labels that hold instances (class * N + number)"),
    "swapped-colors": ("error", "colors with red and blue swapped"),
    "colors-for-values": ("error", "labels in colors, where the card reads values"),
    "values-for-colors": ("error", "labels of values, where the card reads colors"),
    "palette": ("warning", "palettes that show other classes than the card"),
    "soft-edges": ("error", "labels with soft edges (resized with interpolation)"),
    "lossy-values": ("error", "labels that went through a lossy format"),
    "lossy-format": ("error", "labels in a lossy format (JPEG, WebP)"),
    "photograph": ("error", "photographs in place of labels"),
    "label-mode": ("error", "labels in a form that cannot be read"),
    "all-ignored": ("warning", "labels without a single class"),
    "much-ignored": ("warning", "much of the set is ignored"),
    "single-class": ("error", "only one class in the whole split"),
    "absent-class": ("warning", "classes that never occur"),
    # between splits
    "leak": ("warning", "pictures of one split that are in another too"),
    "near-duplicate": ("warning", "near-duplicates between splits"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and what to do (with the line to add to the card, if that is the cure)."""

    kind: str
    split: str
    file: str
    message: str
    advice: str = ""
    level: str = ""  # of the kind, where none is given

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", self.level or KINDS[self.kind][0])
        object.__setattr__(self, "message", _printable(self.message))

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {name: getattr(self, name) for name in ("level", "kind", "split", "file", "message", "advice")}


@dataclass
class Group:
    """The same finding in many files of a split."""

    kind: str
    level: str
    split: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What they have in common."""
        return KINDS[self.kind][1]

    @property
    def advices(self) -> list[str]:
        """What to do, each once."""
        return list(dict.fromkeys(finding.advice for finding in self.findings if finding.advice))


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """Findings of one kind and split together: the worst first, then those of which there are most."""
    groups: dict[tuple[str, str, str], Group] = {}
    for finding in findings:
        key = (finding.kind, finding.level, finding.split)
        groups.setdefault(key, Group(*key)).findings.append(finding)
    return sorted(groups.values(), key=lambda group: (LEVELS.index(group.level), -len(group.findings)))


def shown(path: Path, root: Path) -> str:
    """A path for people: relative to the root, and printable whatever bytes the name holds."""
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return _printable(str(inside))


def _printable(text: str) -> str:
    """Names that are not UTF-8 come with lone surrogates in place of their bytes, which nothing can print."""
    return os.fsencode(text).decode("utf-8", "replace")


def without_path(error: Exception, path: Path) -> str:
    """What a complaint says after the file's name."""
    return " ".join(str(error).removeprefix(f"{path}:").split())
