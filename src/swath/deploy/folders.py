"""Exports of several files, whole or not at all, among files of a person's own that stay.

New files are made in a folder of their own and moved to their place when all are there. What they replace is moved away
before that, the file by which the whole is known (`mark`) first; the new one of that name comes last. So whoever is
killed between leaves something without its mark, which nobody takes for whole and the next export puts right, but never
halves of two that go together by name. What fails without being killed is undone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from swath.errors import SwathError
from swath.files import atomic_write, make_folder, write_error

_NAMES = "names.json"  # in the scratch folder while files are moved: what is swath's, old and new


@contextlib.contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """A path of the same name in a temporary folder beside `path`. What lies in that folder when the block succeeds
    takes its place."""
    folder = make_folder(path.parent)
    try:
        with _scratch(folder, f".{path.stem}.") as scratch:
            yield scratch / "new" / path.name
            names = _inside(scratch / "new")
            if names == {path.name}:
                _sync(scratch / "new" / path.name)
                (scratch / "new" / path.name).replace(path)
            else:
                _exchange(scratch, folder, names, path.name)
    except OSError as error:
        raise write_error(path, error) from error


@contextlib.contextmanager
def new_folder(folder: Path, mark: str, kind: str, names: Callable[[Path], set[str]]) -> Iterator[Path]:
    """A folder whose files become those of `folder` when the block succeeds. Of an older `kind`, known by its `mark`,
    they replace the files which `names` says are its own (paths inside the folder, with slashes). Anything else there
    is a person's and stays, such as .git or CNAME; a folder of such things alone is refused, if they are not hidden."""
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise SwathError(f"{folder}: is a file, a {kind} is a folder; choose another name")
    if not folder.is_dir():
        with _whole(folder) as new:
            yield new
        return
    started = list(folder.glob(f"{_prefix(folder)}*/{_NAMES}"))  # by exports that were killed while they moved files
    own = {name for each in started for name in json.loads(each.read_text("utf-8"))}
    if (folder / mark).is_file():
        own |= _own(folder, kind, names)
    elif not started and any(not each.name.startswith(".") for each in folder.iterdir()):
        raise SwathError(f"{folder}: holds other things than a {kind}; name a new or an empty folder")
    try:
        with _scratch(folder, _prefix(folder)) as scratch:
            yield scratch / "new"
            _check_free(folder, scratch / "new", own, kind)
            _exchange(scratch, folder, own, mark)
    except OSError as error:
        raise write_error(folder, error) from error
    for each in started:
        shutil.rmtree(each.parent, ignore_errors=True)


def is_inside(name: str) -> bool:
    """Whether a name from a file is a path that stays in the folder where it is looked for."""
    parts = PurePosixPath(name)
    return bool(name) and not parts.is_absolute() and ".." not in parts.parts and not set("\\:\0") & set(name)


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Where there is no folder of that name yet."""
    make_folder(folder.parent)
    try:
        with _scratch(folder.parent, _prefix(folder)) as scratch:
            yield scratch / "new"
            for name in _inside(scratch / "new"):
                _sync(scratch / "new" / name)
            (scratch / "new").rename(folder)
    except OSError as error:
        raise write_error(folder, error) from error


@contextlib.contextmanager
def _scratch(beside: Path, prefix: str) -> Iterator[Path]:
    """A folder with `new` in it, deleted in the end; if old files are in it still, only when the block succeeds."""
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=beside))
    try:
        (scratch / "new").mkdir()
        yield scratch
        shutil.rmtree(scratch / "old", ignore_errors=True)
    finally:
        if not (scratch / "old").exists():
            shutil.rmtree(scratch, ignore_errors=True)


def _exchange(scratch: Path, folder: Path, own: set[str], mark: str) -> None:
    """What lies in `new` comes to `folder`, what that has of `own` goes to `old`."""
    new, old = scratch / "new", scratch / "old"
    names = _inside(new)
    for name in names:
        _sync(new / name)
    with atomic_write(scratch / _NAMES, "w") as file:
        json.dump(sorted(own | names), file)
    away = [(folder / name, old / name) for name in sorted(own, key=lambda name: name != mark)]
    moves = [(source, target) for source, target in away if source.is_file()]
    moves += [(new / name, folder / name) for name in sorted(names, key=lambda name: name == mark)]
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
    except BaseException:
        for source, target in reversed(moves):
            if target.exists() and not source.exists():
                target.rename(source)
        shutil.rmtree(old, ignore_errors=True)
        raise
    for parent in sorted({path.parent for path, _ in away} - {folder}, reverse=True):
        with contextlib.suppress(OSError):  # not empty, or gone already
            parent.rmdir()


def _own(folder: Path, kind: str, names: Callable[[Path], set[str]]) -> set[str]:
    try:
        own = names(folder)
        foreign = [name for name in own if not is_inside(name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SwathError(
            f"{folder}: which of its files are the {kind}'s is not to be read ({error}), and only those may be "
            "replaced; name a new or an empty folder"
        ) from error
    if foreign:
        raise SwathError(f"{folder}: names '{foreign[0]}' as the {kind}'s, which lies elsewhere; name another folder")
    return own


def _check_free(folder: Path, new: Path, own: set[str], kind: str) -> None:
    """No file of a person's own has the name of a new one, and no link leads elsewhere."""
    home = folder.resolve()
    for name in sorted(_inside(new) | own):
        path = folder / name
        if not path.parent.resolve().is_relative_to(home):
            raise SwathError(f"{path.parent}: leads out of the folder; name a new or an empty one for the {kind}")
        if os.path.lexists(path) and (path.is_dir() or name not in own):
            raise SwathError(f"{path}: is in the way, and not swath's; move it, or name a new or an empty folder")


def _inside(folder: Path) -> set[str]:
    """The files below a folder, as a list of them names them."""
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}


def _prefix(folder: Path) -> str:
    return f".{folder.name}."


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
