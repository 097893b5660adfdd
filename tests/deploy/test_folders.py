"""Exports of several files: whole or not at all, beside what is a person's own."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from swath import SwathError
from swath.deploy.folders import is_inside, new_files, new_folder
from swath.quantise.engines import files

MARK = "thing.json"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed")


def listed(folder: Path) -> set[str]:
    return {*json.loads((folder / MARK).read_text()), MARK}


def write(folder: Path, **contents: str) -> None:
    """A thing of these files."""
    with new_folder(folder, MARK, "thing", listed) as new:
        for name, text in contents.items():
            path = new / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (new / MARK).write_text(json.dumps([name.replace("__", "/") for name in contents]))


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def own(contents: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in contents.items() if name != MARK}


def test_replaces_what_is_its_own_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write(folder, a="1", b="1", sub__c="1", old__d="1")
    (folder / ".git" / "objects").mkdir(parents=True)
    mine = {".git/HEAD": "main", ".git/objects/1": "2", "CNAME": "example.org", "sub/note": "of mine"}
    for name, text in mine.items():
        (folder / name).write_text(text)
    number = folder.stat().st_ino
    write(folder, a="2", sub__c="2", e="2")
    assert own(tree(folder)) == {"a": "2", "sub/c": "2", "e": "2", **mine}
    assert not (folder / "old").exists() and folder.stat().st_ino == number  # a shell in it stays in it
    assert [each.name for each in tmp_path.iterdir()] == ["site"]


def test_folders_that_are_taken_and_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", a="1")
    (tmp_path / "checkout" / ".git").mkdir(parents=True)  # nothing in it yet but what git keeps
    (tmp_path / "checkout" / ".git" / "HEAD").write_text("main")
    write(tmp_path / "checkout", a="1")
    assert tree(tmp_path / "checkout")[".git/HEAD"] == "main"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(SwathError, match="holds other things than a thing"):
        write(tmp_path / "mine", a="1")
    # A file of mine where a new one would come, and lists that cannot be read or lead elsewhere.
    (tmp_path / "empty" / "b").write_text("mine")
    before = tree(tmp_path / "empty")
    with pytest.raises(SwathError, match=r"b: is in the way, and not swath's"):
        write(tmp_path / "empty", a="2", b="2")
    assert tree(tmp_path / "empty") == before
    for text, said in (("{", "is not to be read"), ("3", "is not to be read"), ('["../mine/thesis.txt"]', "elsewhere")):
        (tmp_path / "empty" / MARK).write_text(text)
        with pytest.raises(SwathError, match=said):
            write(tmp_path / "empty", a="2")
    (tmp_path / "empty" / MARK).write_text('["a", "link/thesis.txt"]')
    (tmp_path / "empty" / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(SwathError, match=r"link: leads out of the folder"):
        write(tmp_path / "empty", a="2")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert not [each for each in tmp_path.rglob(".*") if each.name != ".git"]


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../../b", "C:a", "a\\b", "a\0b"])
def test_names_that_lead_elsewhere(name: str) -> None:
    assert not is_inside(name) and is_inside("a/b.c")


def failing(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> None:
    """The rename of that number fails, once."""
    real: Callable[..., Path] = Path.rename
    count = iter(range(1000))

    def rename(self: Path, target: Path) -> Path:
        if next(count) == at:
            raise error
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["broken", "interrupted"]
)
def test_what_fails_between_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    folder = tmp_path / "f"
    write(folder, a="1", sub__b="1", old="1")
    (folder / "CNAME").write_text("example.org")
    before = tree(folder)
    for at in range(8):  # four old files and four new ones
        with monkeypatch.context() as patch:
            failing(patch, at, error)
            with pytest.raises((SwathError, KeyboardInterrupt)):
                write(folder, a="2", sub__b="2", c="2")
        assert tree(folder) == before, at
    write(folder, a="2", sub__b="2", c="2")
    assert own(tree(folder)) == {"a": "2", "sub/b": "2", "c": "2", "CNAME": "example.org"}


def killed(at: int, work: Callable[[], object]) -> None:
    """Another process does it and dies at that rename."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads; this one only renames
        child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            real: Callable[..., Path] = Path.rename
            count = iter(range(1000))
            patch.setattr(Path, "rename", lambda *paths: os._exit(9) if next(count) == at else real(*paths))
            try:
                work()
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def put(path: Path, text: str) -> None:
    with new_files(path) as temporary:
        for part in files.parts(temporary):
            part.write_text(text)


@needs_fork
def test_whoever_is_killed_leaves_what_the_next_export_repairs(tmp_path: Path) -> None:
    for at in (0, 1, 3, 5, 6):  # the first old file, between, the last old one, a new one, the mark
        folder = tmp_path / str(at)
        folder.mkdir()
        write(folder / "f", a="1", sub__b="1", old="1")
        (folder / "f" / "CNAME").write_text("example.org")
        killed(at, lambda: write(folder / "f", a="2", sub__b="2", c="2"))  # noqa: B023  # called at once
        if at:
            assert not (folder / "f" / MARK).exists()  # nobody takes it for whole
        write(folder / "f", a="3", d="3")
        assert own(tree(folder / "f")) == {"a": "3", "d": "3", "CNAME": "example.org"}, at
        assert [each.name for each in folder.iterdir()] == ["f"]


@needs_fork
def test_two_files_are_never_halves_of_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(4):
        folder = tmp_path / str(at)
        folder.mkdir()
        put(folder / "m.xml", "1")
        killed(at, lambda: put(folder / "m.xml", "2"))  # noqa: B023  # called at once
        if (folder / "m.xml").exists():
            assert (folder / "m.xml").read_text() == (folder / "m.bin").read_text()
        put(folder / "m.xml", "3")
        assert {name: text for name, text in tree(folder).items() if name[0] != "."} == {"m.bin": "3", "m.xml": "3"}
    whole = tmp_path / "whole"
    put(whole / "m.xml", "1")
    failing(monkeypatch, 3, OSError(28, "No space left on device"))
    with pytest.raises(SwathError, match="no room left"):
        put(whole / "m.xml", "2")
    assert tree(whole) == {"m.bin": "1", "m.xml": "1"}


def test_a_quantised_model_is_put_in_its_place_whole(tmp_path: Path) -> None:
    for number in "12":
        made = tmp_path / number
        made.mkdir()
        for part in files.parts(made / "work.xml"):
            part.write_text(number)
        files.put(made / "work.xml", tmp_path / "out" / "int8.xml")
        (made / "work.onnx").write_text(number)
        files.put(made / "work.onnx", tmp_path / "out" / "int8.onnx")
    assert tree(tmp_path / "out") == {"int8.xml": "2", "int8.bin": "2", "int8.onnx": "2"}
    if os.name == "posix":
        assert (tmp_path / "out" / "int8.xml").stat().st_mode & 0o444 == 0o444
