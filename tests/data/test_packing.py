"""Packing: what has changed is packed anew and nothing else, what was stopped goes on, half a file is never used."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from swath import SwathError
from swath.cards import Card
from swath.data.packed import pack, part, plan_packing, verify
from yard import card_file, contents, do, photo, read, same, write

SWAPPED = {0: "ground", 7: "sky", 9: "box", 255: "ignore"}


def later(path: Path) -> None:
    """Its time moves on, as after any change."""
    told = path.stat()
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns + 10**9))


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_changed_source_is_told_and_only_that_is_packed_anew(yard: Card, tmp_path: Path, kind: str) -> None:
    do(yard)
    before = contents(tmp_path / "packed")
    path = tmp_path / f"source/train/{kind}/town/004.png"
    old = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    write(path, old[::-1].copy())
    later(path)
    said = rf"'town/004' has changed.*{kind}/town/004.png.*`swath pack .*card.yaml --root .*packs anew"
    with pytest.raises(SwathError, match=said):
        yard.open("train", tmp_path / "packed")
    yard.open("val", tmp_path / "packed")  # another split
    planned = do(yard)
    assert len(planned.todo) == 1 and 4 in planned.todo[0][1].indices
    after = contents(tmp_path / "packed")
    assert len(after.keys() - before.keys()) == 1 and len(before.keys() - after.keys()) == 1
    same(yard.open("train", tmp_path / "packed"), yard.open("train", tmp_path / "source"))


def test_same_size_and_other_bytes_is_a_change(yard: Card, tmp_path: Path) -> None:
    do(yard)
    path = tmp_path / "source/train/images/town/003.png"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    later(path)
    with pytest.raises(SwathError, match=r"'town/003' has changed.*holds other bytes"):
        yard.open("train", tmp_path / "packed")


def test_new_times_alone_are_no_change(yard: Card, tmp_path: Path) -> None:
    do(yard)
    for path in (tmp_path / "source").rglob("*.png"):
        later(path)
    yard.open("train", tmp_path / "packed")
    assert do(yard).todo == ()  # nothing to write, and the times are known now
    told = (tmp_path / "source/train/images/town/000.png").stat().st_mtime_ns
    assert read(tmp_path / "packed").pictures[0].files[0][2] == told


def test_pictures_added_and_removed_are_told(yard: Card, tmp_path: Path) -> None:
    do(yard)
    shutil.copy(tmp_path / "source/train/images/town/000.png", tmp_path / "source/train/images/town/0000.png")
    shutil.copy(tmp_path / "source/train/labels/town/000.png", tmp_path / "source/train/labels/town/0000.png")
    with pytest.raises(SwathError, match="1 pictures were added, the first 'town/0000'"):
        yard.open("train", tmp_path / "packed")
    planned = do(yard)
    assert [job.indices for _, job in planned.todo] == [(1,)]  # no other part
    same(yard.open("train", tmp_path / "packed"), yard.open("train", tmp_path / "source"))
    for kind in ("images", "labels"):
        (tmp_path / f"source/train/{kind}/town/0000.png").unlink()
    with pytest.raises(SwathError, match=r"'town/0000' has changed.*is gone"):
        yard.open("train", tmp_path / "packed")
    do(yard)
    assert len(yard.open("train", tmp_path / "packed")) == 9


def test_the_source_is_not_needed(yard: Card, tmp_path: Path) -> None:
    do(yard)
    wanted = [yard.open("train", tmp_path / "source").labels(i) for i in range(9)]
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    (tmp_path / "packed").rename(tmp_path / "moved")
    packed = yard.open("train", tmp_path / "moved")
    assert all(np.array_equal(packed.labels(i), wanted[i]) for i in range(9))
    (tmp_path / "source").mkdir()  # an empty mount point
    yard.open("train", tmp_path / "moved")


def test_a_changed_card_is_refused(yard: Card, tmp_path: Path) -> None:
    do(yard)
    for changes in (
        {"label_values": SWAPPED},
        {"splits": {"train": {"percent": "0-50"}, "val": {}, "test": {"labels": "none"}}},
    ):
        with pytest.raises(SwathError, match="has changed since split 'train' was packed"):
            card_file(tmp_path, **changes).open("train", tmp_path / "packed")
    values = {0: "ground", 7: "box", 9: "air", 255: "ignore"}
    other = card_file(tmp_path, classes=["ground", "box", "air"], label_values=values)
    with pytest.raises(SwathError, match="was packed with the 3 classes of card 'yard'"):
        other.open("train", tmp_path / "packed")
    with pytest.raises(SwathError, match="choose another folder"):
        do(other)
    swapped = card_file(tmp_path, label_values=SWAPPED)
    assert len(do(swapped).todo) > 3
    same(swapped.open("train", tmp_path / "packed"), swapped.open("train", tmp_path / "source"))
    moved = card_file(tmp_path, images="{split}/elsewhere/{id}.png", label_values=SWAPPED)
    moved.open("val", tmp_path / "packed")  # where files lie is not what they mean


def test_splits_join_a_folder_one_after_the_other(yard: Card, tmp_path: Path) -> None:
    do(yard, splits=["val"])
    with pytest.raises(SwathError, match="unknown split"):
        yard.open("train", tmp_path / "packed")
    do(yard, splits=["train"])
    for split in ("train", "val"):
        same(yard.open(split, tmp_path / "packed"), yard.open(split, tmp_path / "source"))
    pack(plan_packing(yard, tmp_path / "apart/val", tmp_path / "source", ["val"]), 1)
    same(yard.open("val", tmp_path / "apart"), yard.open("val", tmp_path / "source"))  # folders named as the splits
    with pytest.raises(SwathError, match="is packed already"):
        plan_packing(yard, tmp_path / "twice", tmp_path / "packed")
    with pytest.raises(SwathError, match="is the source itself"):
        plan_packing(yard, tmp_path / "source", tmp_path / "source")


def test_a_full_disk_is_refused_before_and_told_after(
    yard: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_packing(yard, tmp_path / "packed", tmp_path / "source")
    usage = shutil._ntuple_diskusage(10**6, 0, planned.needed - 1)  # type: ignore[attr-defined]
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(SwathError, match=r"needs 0\.\d GB, but only 0\.\d GB are free"):
            pack(planned, 1)
    assert not (tmp_path / "packed").exists()
    inner, count = part._append, []

    def full(file, array, kind, what):  # type: ignore[no-untyped-def]
        count.append(1)
        if len(count) > 8:
            raise OSError(28, "No space left on device")
        return inner(file, array, kind, what)

    with monkeypatch.context() as small:
        small.setattr(part, "_append", full)
        with pytest.raises(SwathError, match="no room left on the disk"):
            pack(planned, 1)
    left = contents(tmp_path / "packed")
    assert left and all(name.endswith(".part") and not name.startswith(".") for name in left)
    again = plan_packing(yard, tmp_path / "packed", tmp_path / "source")
    assert len(again.todo) == len(planned.todo) - len(left) and again.needed < planned.needed
    pack(again, 1)
    assert verify(tmp_path / "packed") == []


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Call it to be nobody for the rest of the test, where one is root, who may write anywhere."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no users of that kind")
    root = os.geteuid() == 0
    if root:
        for folder in (tmp_path, *tmp_path.parents):
            if not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)  # pytest lets nobody else through
    yield lambda: os.seteuid(65534) if root else None
    if root:
        os.seteuid(0)


def test_a_folder_that_may_not_be_written_to_is_refused(
    yard: Card, tmp_path: Path, ordinary_user: Callable[[], None]
) -> None:
    (tmp_path / "packed").mkdir(mode=0o555)
    ordinary_user()
    with pytest.raises(SwathError, match="may not be written"):
        do(yard)
    assert not any((tmp_path / "packed").iterdir())


def test_a_read_only_folder_serves_an_ordinary_user(
    yard: Card, tmp_path: Path, ordinary_user: Callable[[], None]
) -> None:
    do(yard)
    for path in (tmp_path / "packed").iterdir():
        path.chmod(0o444)
    (tmp_path / "packed").chmod(0o555)
    expected = [yard.open("train", tmp_path / "source").labels(index) for index in range(9)]
    ordinary_user()
    packed = yard.open("train", tmp_path / "packed")
    assert all(np.array_equal(packed.labels(index), labels) for index, labels in enumerate(expected))
    assert verify(tmp_path / "packed") == []


def killed(work: Callable[[], object]) -> int | None:
    """The exit status of a forked process that does the work."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


def deaths() -> Iterator[tuple[str, Callable[[], None]]]:
    """Ways to die in the middle of a packing; each is set up within the process that dies."""
    inner = part._append

    def at_array(number: int) -> Callable[[], None]:
        def set_up() -> None:
            seen: list[int] = []

            def append(file, array, kind, what):  # type: ignore[no-untyped-def]
                seen.append(1)
                if len(seen) == number:
                    file.write(b"half of a picture")
                    file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
                return inner(file, array, kind, what)

            part._append = append

        return set_up

    for number in (1, 2, 9, 18, 23):
        yield f"array {number}", at_array(number)

    def before_manifest() -> None:
        from swath.data.packed import packing

        packing.write_manifest = lambda *rest: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]

    yield "before the manifest", before_manifest


@pytest.mark.parametrize(("when", "set_up"), list(deaths()), ids=lambda each: each if isinstance(each, str) else "")
def test_a_killed_packing_goes_on(yard: Card, tmp_path: Path, when: str, set_up: Callable[[], None]) -> None:
    do(yard)
    wanted = contents(tmp_path / "packed")
    shutil.rmtree(tmp_path / "packed")

    def die() -> None:
        set_up()
        do(yard)

    assert killed(die) == -signal.SIGKILL
    assert "pack.json" not in contents(tmp_path / "packed")
    with pytest.raises(SwathError):
        yard.open("train", tmp_path / "packed")
    finished = [name for name in contents(tmp_path / "packed") if not name.startswith(".")]
    planned = do(yard)
    assert len(planned.todo) == len(wanted) - 1 - len(finished)
    assert contents(tmp_path / "packed") == wanted


def test_two_packings_do_not_meet(yard: Card, tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/.packing").write_text(f"{socket.gethostname()} {os.getppid()}")
    with pytest.raises(SwathError, match="is being packed into by process"):
        do(yard)
    (tmp_path / "packed/.packing").write_text(f"{socket.gethostname()} 99999999")  # dead
    do(yard)


def test_a_picture_that_changes_while_it_is_packed_is_refused(yard: Card, tmp_path: Path) -> None:
    planned = plan_packing(yard, tmp_path / "packed", tmp_path / "source")
    later(tmp_path / "source/train/images/town/005.png")
    with pytest.raises(SwathError, match=r"005\.png: has changed while it was packed"):
        pack(planned, 1)


def test_damaged_sources_are_told_from_worker_processes(yard: Card, tmp_path: Path) -> None:
    path = tmp_path / "source/train/labels/town/007.png"
    wrong = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    wrong[3, 4] = 77
    write(path, wrong)
    with pytest.raises(SwathError, match=r"007\.png: value 77"):
        pack(plan_packing(yard, tmp_path / "packed", tmp_path / "source"), 2)
    assert "pack.json" not in contents(tmp_path / "packed")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_real_kill_from_outside(tmp_path: Path) -> None:
    """The command itself, with two processes, killed when some parts are there: nothing is left at work."""
    draw = np.random.default_rng(0)
    for index in range(32):
        truth = np.zeros((1000, 1100), np.uint8)
        truth[index::7] = 7
        write(tmp_path / f"source/train/images/town/{index:03}.png", photo(draw, 1000, 1100))
        write(tmp_path / f"source/train/labels/town/{index:03}.png", truth)
    card = card_file(tmp_path, splits=["train"])
    command = [sys.executable, "-m", "swath", "pack", str(card.file), "--root", str(tmp_path / "source"), "--jobs", "2"]

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    out = tmp_path / "packed"
    running = start(out)
    until = time.monotonic() + 60
    while not list(out.glob("train-*.part")) and time.monotonic() < until:
        time.sleep(0.005)
    running.kill()
    running.wait()
    time.sleep(1)
    left = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    time.sleep(0.5)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == left  # nobody works on
    done = {name: at for name, at in left.items() if name.endswith(".part") and not name.startswith(".")}
    assert done and "pack.json" not in left
    assert start(out).wait(60) == 0
    assert len(list(out.glob("train-*.part"))) > len(done)
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done  # not written a second time
    assert start(tmp_path / "undisturbed").wait(60) == 0
    assert contents(out) == contents(tmp_path / "undisturbed")
