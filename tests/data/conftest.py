"""What the tests of packed sets share."""

from __future__ import annotations

from pathlib import Path

import pytest

from swath.cards import Card
from swath.data.packed import plan
from yard import card_file, fill


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A card, its files in `source`, to be packed into `packed`, two pictures or so a part."""
    monkeypatch.setattr(plan, "_SMALLEST", 30_000)
    fill(tmp_path / "source", "train", 9)
    fill(tmp_path / "source", "val", 2)
    fill(tmp_path / "source", "test", 1, labels=False)
    return card_file(tmp_path)
