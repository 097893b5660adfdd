"""A run that fails before its first checkpoint leaves no folder in the way of the next start."""

from __future__ import annotations

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


def test_a_label_value_without_a_name(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
        for i in range(2):
            cv2.imwrite(str(tmp_path / split / "images" / f"{i}.png"), np.zeros((64, 64, 3), np.uint8))
            cv2.imwrite(str(tmp_path / split / "labels" / f"{i}.png"), np.full((64, 64), 128, np.uint8))
    card = tmp_path / "card.yaml"
    card.write_text(CARD)
    short = [("epochs", ["1"]), ("batch", ["2"]), ("window.size", ["64x64"]), ("data.workers", ["0"])]
    with pytest.raises(SwathError, match="value 128"):
        start(str(card), short, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
