"""The demo writes a page that stands alone and shows what it measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swath import SwathError
from swath.demo import PICTURES, DemoResult, demo

SHORT = (
    ("epochs", ["1"]),
    ("data.train_options.count", ["8"]),
    ("data.val_options.count", ["2"]),
    ("threads", ["1"]),
    ("data.workers", ["0"]),
    ("tensorboard", ["false"]),
)


def test_the_page_shows_pictures_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = demo(tmp_path / "demo", overrides=SHORT)
    assert isinstance(result, DemoResult)
    page = result.page.read_text()
    assert page.count("<figure>") == 4 * PICTURES
    assert f"{100 * (result.scores.miou or 0):.1f} %" in page
    assert f"{result.milliseconds:.1f} ms" in page
    assert all(name in page for name in result.scores.class_names)
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing outside of itself
    assert (tmp_path / "demo" / "run" / "best.safetensors").exists()
    with pytest.raises(SwathError, match="--overwrite"):
        demo(tmp_path / "demo")
