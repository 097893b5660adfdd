"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from swath import SwathError
from swath.files import atomic_path, atomic_write, make_folder


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path, "w") as file:
        file.write("old")
    with pytest.raises(RuntimeError), atomic_write(path, "w") as file:
        file.write("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_folders_are_made_and_the_umask_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "a.bin"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"1")
    assert path.read_bytes() == b"1"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("number, words", [(errno.ENOSPC, "no room left"), (errno.EACCES, "may not be written")])
def test_errors_of_the_system_say_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(SwathError, match=words), atomic_write(tmp_path / "a") as file:
        file.write(b"1")
        raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())


def test_a_really_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(SwathError, match="no room left"), atomic_path(tmp_path / "a") as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        with temporary.open("wb") as file:
            file.write(b"1" * 100_000)


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(SwathError, match="is a file"):
        make_folder(tmp_path / "a")
