"""What a run that fails leaves: no folder in the way of the next start, no process that waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from swath import SwathError
from swath.training import start

CARD = """
name: two
classes: {background: [0, 0, 0], thing: [220, 20, 60]}
images: "{split}/images/{id}.png"
labels: "{split}/labels/{id}.png"
label_values: {0: background, 255: thing}
splits: [train, val]
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_label_value_without_a_name(workers: str, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
        for i in range(2):
            cv2.imwrite(str(tmp_path / split / "images" / f"{i}.png"), np.zeros((64, 64, 3), np.uint8))
            cv2.imwrite(str(tmp_path / split / "labels" / f"{i}.png"), np.full((64, 64), 128, np.uint8))
    card = tmp_path / "card.yaml"
    card.write_text(CARD)
    short = [("epochs", ["1"]), ("batch", ["2"]), ("window.size", ["64x64"]), ("data.workers", [workers])]
    with pytest.raises(SwathError, match="value 128") as error:
        start(str(card), short, out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_reader_that_is_killed_ends_the_run_with_one_line(shapes: Path, tmp_path: Path) -> None:
    """As the system does when memory runs out. The other reader must not keep the run from ending."""
    run = tmp_path / "my run"
    words = ["train", str(shapes / "tiny.yaml"), "--out", str(run), "--data.workers", "2", "--epochs", "400"]
    process = subprocess.Popen(
        [sys.executable, "-m", "swath", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        if not children.exists():
            pytest.skip("this system does not tell a process's children")
        deadline = time.monotonic() + 100
        while not list(run.glob("checkpoints/step-*.pt")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        _, said = process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode == 2 and said.count("\n") == 1, said
    assert "was lost (killed by signal: Killed;" in said and f"Then go on with: swath train --resume '{run}'" in said
