"""The shipped cards against the facts of their datasets (tests/golden/datasets), class by class and value by value."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swath import load_card

FACTS = sorted((Path(__file__).parents[1] / "golden" / "datasets").glob("*.json"))


def packed(color: str | list[int]) -> int:
    red, green, blue = map(int, color.split() if isinstance(color, str) else color)
    return red << 16 | green << 8 | blue


def facts(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FACTS[0].parent / f"{name}.json").read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("file", FACTS, ids=lambda file: file.stem)
def test_classes_colors_and_counts(file: Path) -> None:
    card, told = load_card(file.stem), facts(file.stem)
    assert card.class_names == [row[0] for row in told["classes"]]
    assert card.colors == [tuple(row[1]) for row in told["classes"]]
    assert [info.category for info in card.classes] == [(*row, "")[2] for row in told["classes"]]
    counts = {info.name: info.count for info in card.split_infos}
    assert {split: counts[split] for split in told["counts"]} == told["counts"]


@pytest.mark.parametrize("file", FACTS, ids=lambda file: file.stem)
def test_values(file: Path) -> None:
    """The table of the first layout names every value that the facts name, and means the same by it."""
    card, told = load_card(file.stem), facts(file.stem)["values"]
    table = next(iter(card.layouts.values()))["train"].table
    named = {packed(key) if " " in key else int(key): value for key, value in told.items()}
    if named:
        assert {key: table.ids.get(key, table.others) for key in named} == named
        assert set(table.ids) <= set(named) | {255}


@pytest.mark.parametrize("name", ["camvid", "camvid-exact", "camvid-contextnet"])
def test_camvid_merges_its_32_labels(name: str) -> None:
    card, told = load_card(name), facts(name)["labels32"]
    assert len(told) == 32
    for layout in ("original", "colors", "indexed32", "indexed32_folders", "split_folders"):
        table = card.layouts[layout]["train"].table
        keys = [packed(color) if table.by_color else number for number, (_, color, _) in enumerate(told)]
        assert {key: table.ids[key] for key in keys} == {key: row[2] for key, row in zip(keys, told)}


def test_camvid_divides_its_sequences() -> None:
    told, readings = facts("camvid")["sequences"], load_card("camvid").layouts["original"]
    for split in ("train", "val"):
        assert Counter(name.split("_")[0] for name in readings[split].ids or ()) == told[split]


@pytest.mark.parametrize("name", ["pascal-context", "pascal-context59"])
def test_context_picks_its_classes_out_of_459(name: str) -> None:
    told = {int(key): value for key, value in facts(name)["values459"].items()}
    table = load_card(name).layouts["official459"]["train"].table
    assert table.ids == told and table.others == (0 if name == "pascal-context" else 255)
    raw = np.arange(460, dtype=np.uint16)[None]
    assert table.apply(raw)[0].tolist() == [told.get(value, table.others) for value in range(460)]


def test_cityscapes_in_colors_means_what_its_ids_mean() -> None:
    labels, classes = facts("cityscapes34")["classes"], facts("cityscapes")["classes"]
    table = load_card("cityscapes-color").layouts["default"]["train"].table
    names = [name for name, *_ in classes]
    for name, color, _ in labels:
        meant = names.index(name) if name in names else 255
        assert table.ids[packed(color)] == (names.index("pole") if name == "polegroup" else meant), name
