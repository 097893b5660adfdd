"""What a run says to type can be typed."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

import swath
from swath.cli.main import main
from swath.errors import SwathError
from swath.training import load_recipe, start
from swath.training.afterwards import next_commands, way_on


def said(log: Path, start: str) -> list[str]:
    """The words of the last command in a log that begins so, as a shell takes them."""
    lines = [line[line.index(start) :] for line in log.read_text().splitlines() if start in line]
    return shlex.split(lines[-1])


def test_each_command_works_in_a_folder_with_a_space(shapes: Path, tmp_path: Path) -> None:
    """The score is that of the run: of the same split, shown at the same size."""
    run, score = tmp_path / "my run", tmp_path / "score.json"
    short = [("epochs", ["1"]), ("data.val", ["train"]), ("validation.size", ["64x32"])]
    assert start(str(shapes / "tiny.yaml"), short, out=run) == 0
    words = said(run / "log.txt", "swath evaluate")
    assert main([*words[1:], "--json", str(score)]) == 0
    (row,) = csv.DictReader((run / "metrics.csv").open())
    assert json.loads(score.read_text())["miou"] == float(row["miou"])
    words = said(run / "log.txt", "swath predict")
    words[words.index("PICTURES")], words[-1] = str(shapes / "val/images"), str(tmp_path / "out")
    assert main(words[1:]) == 0 and any((tmp_path / "out").iterdir())
    assert main(shlex.split(way_on("swath", run))[1:]) == 0
    with pytest.raises(SwathError) as error:
        start(str(shapes / "tiny.yaml"), short, out=run)
    assert f"(swath train --resume '{run}')" in str(error.value)


def test_a_recipe_that_is_measured_on_another_split() -> None:
    recipe = load_recipe("csfcn-camvid", [("data.root", ["a b"]), ("validation.size", ["64x32"])])
    network = swath.create_model("csfcn", num_classes=11)
    first, *_ = next_commands(recipe, Path("run"), network)
    assert first == "swath evaluate run/best.safetensors --root 'a b' --split test --size 64x32"


def test_a_generator_is_asked_for_as_many_pictures() -> None:
    recipe = load_recipe("streets", [("data.val_options.count", ["3"])])
    network = swath.create_model("contextnet14_160", num_classes=11)
    first, *_ = next_commands(recipe, Path("run"), network)
    assert first == "swath evaluate run/best.safetensors --limit 3"
    few, many = (swath.load_card("streets").open("val", **options) for options in (recipe.data.val_options, {}))
    assert len(few) == 3 < len(many)
    assert all((few.image(i) == many.image(i)).all() and (few.labels(i) == many.labels(i)).all() for i in range(3))
