"""Files that list a split: a line holds an id, or the picture's file and those that belong to it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from swath.errors import SwathError

_LOG = logging.getLogger("swath")


@dataclass(frozen=True)
class Row:
    """A line: an id or files (image, label and maps), and where it stands."""

    name: str | None
    files: dict[str, Path]
    where: str


def read_list(path: Path, form: str, prefix: str, root: Path, card: str) -> list[Row]:
    """The lines of a list; `card` is the place in the card that a complaint will name."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SwathError(f"{path}: is not UTF-8 text, so not a list") from error
    rows: list[Row] = []
    foreign: dict[str, str] = {}  # column -> the beginning, on another machine, of all its paths
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        columns = _columns(line, form)
        if columns is None:
            raise SwathError(f"{where}: '{line.strip()[:120]}' is not of the form '{form}' ({card})")
        name = columns.pop("id", None)
        files = {}
        for column, text in columns.items():
            text = _without(text, prefix)
            if column not in foreign:
                foreign[column] = _foreign(text, root, where, card)
            if not text.startswith(foreign[column]):
                raise SwathError(f"{where}: '{text}' does not begin with '{foreign[column]}' as the lines above do")
            files[column] = root / text[len(foreign[column]) :]
        rows.append(Row(name, files, where))
    for beginning in dict.fromkeys(filter(None, foreign.values())):
        _LOG.warning("%s: paths begin with '%s'; what follows was found in %s", path, beginning, root)
    return rows


def _without(text: str, prefix: str) -> str:
    """A path without the card's list_prefix; one of Windows with the slashes of all others."""
    if re.match(r"[A-Za-z]:[\\/]", text):
        text = text[2:].replace("\\", "/")
    return text[len(prefix) :].lstrip("/") if prefix and text.startswith(prefix) else text


def _foreign(text: str, root: Path, where: str, card: str) -> str:
    """What stands before the dataset's own folders in an absolute path of another machine; "" where nothing does."""
    if not text.startswith("/") or Path(text).exists():
        return ""
    parts = PurePosixPath(text).parts[1:]
    fits = [i for i in range(len(parts)) if root.joinpath(*parts[i:]).exists()]
    if len(fits) == 1:
        return "/" + "".join(f"{part}/" for part in parts[: fits[0]])
    both = " and ".join(str(root.joinpath(*parts[i:])) for i in fits[:2])
    raise SwathError(
        f"{where}: {text} does not exist, {f'and {both} both end like it' if fits else f'nor does its end in {root}'}; "
        "if this path comes from another machine, write the part before the dataset's own folders as 'list_prefix' "
        f"in the card ({card})"
    )


def _columns(line: str, form: str) -> dict[str, str] | None:
    """The fields of a line: parted by tabs where there is one, else as the form says (blanks or commas).

    A line may lack those that the form has in brackets; between tabs they may be empty as well.
    """
    forms = [one.strip() for one in (form.split(",") if "," in form else form.split())]
    lacking = any(one.startswith("[") for one in forms)
    tabs = "\t" in line and "," not in form
    if tabs:
        parts = line.split("\t")
    else:
        parts = line.strip().split(",") if "," in form else line.split()
    parts = [part.strip() for part in parts]
    if not (tabs and lacking):
        parts = [part for part in parts if part]
    if forms[-1] == "...":  # further columns are for others
        forms = forms[:-1]
        parts = parts[: len(forms)]
    elif len(forms) == 1:
        parts = [line.strip()]
    needed = sum(not one.startswith("[") for one in forms)
    if not needed <= len(parts) <= len(forms):
        return None
    return _fields(parts, forms)


def _fields(parts: list[str], forms: list[str]) -> dict[str, str] | None:
    columns: dict[str, str] = {}
    for part, one in zip(parts, forms):
        if not part and one.startswith("["):
            continue
        before, field, after = re.split(r"\{(\w+)\}", one.strip("[]"), maxsplit=1)
        if not (part.startswith(before) and part.endswith(after) and len(part) > len(before) + len(after)):
            return None
        columns[field] = part[len(before) : len(part) - len(after)]
    return columns
