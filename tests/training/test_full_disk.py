"""A training whose disk fills up: a real one of a few megabytes, made in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import deaths
from swath.errors import SwathError
from swath.training import checkpoint, resume, start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_was_saved_stays_whole_and_the_run_goes_on_to_the_bit(
    shapes: Path, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else takes the room in the middle of a run."""
    run, ballast = small_disk / "run", small_disk / "ballast"
    inner = checkpoint.save_checkpoint

    def save(folder: Path, number: int, state: checkpoint.State) -> Path:
        if number == 6 and not ballast.exists():
            room = os.statvfs(small_disk)
            ballast.write_bytes(bytes(room.f_bavail * room.f_frsize))
        return inner(folder, number, state)

    monkeypatch.setattr("swath.training.loop.save_checkpoint", save)
    with pytest.raises(SwathError, match=r"step-000000006.pt: no room left on the disk.*swath train --resume \S+/run$"):
        start(str(shapes / "tiny.yaml"), out=run)
    state, complaints = checkpoint.newest_checkpoint(run / "checkpoints")
    assert state is not None and state["position"]["total"] < 6 and not complaints
    with pytest.raises(SwathError, match="no room left"):
        resume(run)
    monkeypatch.undo()
    ballast.unlink()
    assert resume(run) == 0
    assert deaths.results(run) == deaths.whole(shapes / "tiny.yaml", tmp_path / "whole")


@pytest.mark.parametrize("room", [100_000, 1_000_000])  # of best.safetensors, of the first checkpoint
def test_before_the_first_checkpoint_there_is_nothing_to_go_on_with(room: int, shapes: Path, small_disk: Path) -> None:
    run, free = small_disk / "run", os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - room))
    with pytest.raises(SwathError, match=r"no room left on the disk.*run it again$"):
        start(str(shapes / "tiny.yaml"), [("checkpoint_iterations", ["none"])], out=run)
    assert not run.exists()
