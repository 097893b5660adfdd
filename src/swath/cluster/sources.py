"""Where the pictures of an archive lie: below a folder, below an address, or one by one in a list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urljoin, urlsplit

from swath.data.addresses import file_system
from swath.data.shards.stores import Store, open_store
from swath.errors import SwathError
from swath.inference.inputs import PICTURES

_LISTS = (".txt", ".lst", ".list")


@dataclass(frozen=True)
class Origin:
    """`root` is absolute; entries are names below it, or whole addresses where a list has such."""

    kind: Literal["folder", "address", "list"]
    root: str
    named: str  # as the person called it
    list: str = ""  # the list's own address


def origin_of(named: str) -> Origin:
    """By what is there under the name."""
    if named.startswith("file://"):
        named = named.removeprefix("file://")
    if "://" in named:
        if named.endswith(_LISTS):
            return Origin("list", named.rpartition("/")[0], named, named)
        return Origin("address", named.rstrip("/"), named)
    path = os.path.abspath(named)  # noqa: PTH100  (workers start elsewhere; links are kept)
    if os.path.isdir(path):  # noqa: PTH112
        return Origin("folder", path, named)
    if path.endswith(_LISTS) and os.path.isfile(path):  # noqa: PTH113
        return Origin("list", os.path.dirname(path), named, path)  # noqa: PTH120
    if os.path.exists(path):  # noqa: PTH110
        raise SwathError(f"{named}: is one file; an archive is a folder, an address (s3://...) or a list (.txt)")
    raise SwathError(f"{named}: no such folder; an archive is a folder, an address (s3://...) or a list (.txt)")


def entries(origin: Origin, out: str) -> Iterator[str]:
    """Every picture, in an order that follows from the names; what lies below `out` are results, not pictures."""
    if origin.kind == "folder":
        yield from _below_folder(origin.root, out)
    elif origin.kind == "list":
        yield from _listed(origin)
    elif origin.root.startswith(("http://", "https://")):
        yield from _below_index(origin.root)
    else:
        yield from _below_address(origin.root, out)


def locate(root: str, entry: str) -> tuple[str, str]:
    """The root of a store (a folder, or an address), and the file in it."""
    if "://" in entry:
        scheme, _, rest = entry.partition("://")
        host, _, file = rest.partition("/")
        return (f"{scheme}://{host}", file) if scheme != "file" else ("/", file)
    return ("/", entry.lstrip("/")) if entry.startswith("/") else (root, entry)


def png_name(entry: str) -> str:
    """Where the label map of a picture goes, below the output."""
    path = PurePosixPath(entry.partition("://")[2] or entry)
    parts = [part for part in path.parts if part != "/"]
    if ".." in parts or not parts:
        raise SwathError(f"{entry}: would be written outside of the output; list it without '..'")
    return str(PurePosixPath(*parts).with_suffix(".png"))


class Reader:
    """The bytes of entries; connections are kept."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._stores: dict[str, Store] = {}

    def __call__(self, entry: str) -> bytes:
        root, file = locate(self.root, entry)
        if "://" not in root:
            path = Path(root, file)
            try:
                return path.read_bytes()
            except OSError as error:
                raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
        if root not in self._stores:
            self._stores[root] = open_store(root)
        return self._stores[root].whole(file)


def _below_folder(root: str, out: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise SwathError(f"{error.filename}: cannot be read ({error.strerror})") from error

    for parent, folders, files in os.walk(root, onerror=refuse):
        folders[:] = sorted(
            each
            for each in folders
            if not each.startswith(".") and os.path.realpath(Path(parent, each)) != os.path.realpath(out)
        )
        below = os.path.relpath(parent, root).replace(os.sep, "/")
        for file in sorted(files):
            if _is_picture(file):
                yield file if below == "." else f"{below}/{file}"


def _below_address(root: str, out: str) -> Iterator[str]:
    files, path = file_system(root)
    top = path.rstrip("/")
    results = file_system(out)[1].rstrip("/") if "://" in out else ""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            listed = {str(each["name"]).rstrip("/"): each["type"] for each in files.ls(folder, detail=True)}
        except Exception as error:  # every store has errors of its own
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise SwathError(f"{root}: cannot be listed ({said})") from error
        below = []
        for name in sorted(listed):
            last = name.rpartition("/")[2]
            if listed[name] == "directory":
                # Some stores name a folder among what is in it.
                if not last.startswith(".") and name not in (folder, results):
                    below.append(name)
            elif _is_picture(last):
                yield name[len(top) :].lstrip("/")
        folders += reversed(below)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _below_index(root: str, folder: str = "") -> Iterator[str]:
    """The pages on which a web server lists its folders: links to what lies below them."""
    page = _Links()
    page.feed(open_store(root).whole(folder).decode("utf-8", "replace"))
    here = f"{unquote(urlsplit(root).path).rstrip('/')}/{folder}"
    names = set()
    for link in page.found:
        path = unquote(urlsplit(urljoin(f"{root}/{folder}", link)).path)
        name = path.removeprefix(here)
        if path.startswith(here) and name and not name.startswith(".") and "/" not in name[:-1]:
            names.add(name)
    yield from (folder + name for name in sorted(names) if _is_picture(name))
    for name in sorted(names):
        if name.endswith("/"):
            yield from _below_index(root, folder + name)


def _listed(origin: Origin) -> Iterator[str]:
    text = Reader("/")(origin.list).decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        name = line.strip()
        if name and not name.startswith("#"):
            yield name.removeprefix("./")


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURES and not name.startswith(".")  # noqa: PTH122
