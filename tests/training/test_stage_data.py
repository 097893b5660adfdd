"""A stage on another card, and others' pictures in the training split: what goes on, what begins anew, exact resume."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

import deaths
import runs
from swath import SwathError
from swath.cards import load_card
from swath.evaluation import Scores, evaluate
from swath.inference import Segmenter
from swath.training import load_recipe, start
from swath.training.carry import carry_over, of_classes
from swath.training.tasks import build_network
from swath.weights import read_meta
from swath.weights.file import load_weights

OTHER = """
name: others
title: Others
classes: {disc: [40, 40, 200], sky: [1, 2, 3], ground: [90, 90, 90], box: [9, 9, 9]}
images: "{split}/images/{id}.png"
labels: "{split}/labels/{id}.png"
label_values: {0: ground, 1: box, 2: disc, 255: ignore}
splits: [train, val]
"""


@pytest.fixture
def two(shapes: Path) -> Path:
    """A recipe that learns four classes first and then three, of the same pictures."""
    (shapes / "others.yaml").write_text(OTHER)
    stage = {**runs.RECIPE["stages"][0], "epochs": 1}
    first = {**stage, "name": "first", "data": {"card": str(shapes / "others.yaml"), "workers": 0}}
    tree = {**runs.RECIPE, "name": "two", "stages": [first, {**stage, "name": "second"}]}
    tree["data"] = {"card": str(shapes / "card.yaml"), "workers": 0}
    (shapes / "two.yaml").write_text(yaml.safe_dump(tree))
    return shapes / "two.yaml"


def test_other_classes_get_new_layers_and_all_else_goes_on(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert start(str(two), out=run) == 0
    said = capsys.readouterr().out
    assert "on " in said and "others.yaml" in said
    assert "shapes has other classes: new weights for classifier" in said
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["first", "second"]
    columns = [name for name in rows[0] if name.startswith("iou_")]
    assert columns == ["iou_disc", "iou_sky", "iou_ground", "iou_box"]
    assert rows[1]["iou_sky"] == "" and rows[1]["iou_ground"] != ""
    for name in ("best", "last"):
        meta = read_meta(run / f"{name}.safetensors")
        assert meta.classes == ["ground", "box", "disc"] and meta.dataset == "shapes"


def test_all_that_does_not_go_by_the_classes_is_carried_over(two: Path, shapes: Path) -> None:
    recipe = load_recipe(two)
    card, other = load_card(shapes / "card.yaml"), load_card(shapes / "others.yaml")
    old, new = build_network(recipe, other, 0), build_network(recipe, card, 1)
    fresh = of_classes(recipe, card, 1)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    left = carry_over(old.state_dict(), new, fresh)
    assert set(left) == fresh and fresh and all("classifier" in name for name in fresh)
    for name, tensor in new.state_dict().items():
        assert torch.equal(tensor, before[name] if name in fresh else old.state_dict()[name])
    # As many classes, but others: their layers begin anew too.
    same = build_network(recipe, card, 1)
    assert set(carry_over(old.state_dict(), same, of_classes(recipe, card, 1))) == fresh


def test_a_death_in_either_stage_changes_nothing(two: Path, tmp_path: Path) -> None:
    whole = deaths.whole(two, tmp_path / "whole")
    for number in (2, 4, 5):
        resumed = deaths.killed_and_resumed(two, tmp_path / f"run{number}", deaths.before_optimiser_step, number)
        assert resumed == whole


def test_a_stage_that_narrows_keeps_its_classes(two: Path, tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="make it two stages"):
        start(str(two), [("stages.1.prune.width", ["0.5"])], out=tmp_path / "run")


def test_weights_of_other_classes_start_a_run(
    shapes: Path, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = [("data.card", [str(shapes / "others.yaml")]), ("epochs", ["1"])]
    assert start(str(shapes / "tiny.yaml"), card, out=tmp_path / "four") == 0
    weights = tmp_path / "four/last.safetensors"
    assert start(str(shapes / "tiny.yaml"), [("init", [str(weights)]), ("lr", ["0"]), ("ema", ["none"])],
                 out=tmp_path / "three") == 0  # fmt: skip
    assert "has 4 classes: new weights for classifier" in capsys.readouterr().err
    files = [tmp_path / name / "last.safetensors" for name in ("four", "three")]
    four, three = (dict(load_weights(file).named_parameters()) for file in files)
    assert [name for name in four if four[name].shape != three[name].shape]
    same = [name for name in four if four[name].shape == three[name].shape]
    assert same and all(torch.equal(four[name], three[name]) for name in same)


def test_mixed_pictures_are_listed_shown_and_resumed(shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gan"
    folder.mkdir()
    for i in range(5):
        cv2.imwrite(str(folder / f"p{i:02d}_synthesized_image.png"), np.full((64, 96, 3), 50 * i, np.uint8))
    tree = yaml.safe_load((shapes / "tiny.yaml").read_text())
    tree["data"]["mix"] = [{"share": 0.3, "pictures": str(folder)}]
    (tmp_path / "mixed.yaml").write_text(yaml.safe_dump(tree))
    whole, run, cached = tmp_path / "whole", tmp_path / "run", tmp_path / "cached"
    assert start(str(tmp_path / "mixed.yaml"), out=whole) == 0
    with (whole / "mixed.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["picture", "from"] and len(rows) == 6 and rows[1][1] == str(folder / "p00_synthesized_image.png")
    resumed = deaths.killed_and_resumed(tmp_path / "mixed.yaml", run, deaths.before_optimiser_step, 8)
    assert resumed == deaths.results(whole)
    assert start(str(tmp_path / "mixed.yaml"), [("data.cache", ["true"])], out=cached) == 0
    assert deaths.results(cached)["last.safetensors"] == deaths.results(whole)["last.safetensors"]
    assert start(str(shapes / "tiny.yaml"), out=tmp_path / "plain") == 0
    assert deaths.results(tmp_path / "plain")["last.safetensors"] != deaths.results(whole)["last.safetensors"]


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ([{"share": 0.5, "pictures": "p", "root": "r"}], "one of the two"),
        ([{"share": 1.0}], "between 0 and 1"),
        ([{"share": 0.6}, {"share": 0.5}], "leave nothing"),
    ],
)
def test_mixes_that_cannot_be(shapes: Path, tmp_path: Path, mix: list[dict[str, object]], said: str) -> None:
    tree = yaml.safe_load((shapes / "tiny.yaml").read_text())
    tree["data"]["mix"] = mix
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(SwathError, match=said):
        load_recipe(tmp_path / "wrong.yaml")


def test_validation_at_a_size(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int] | None] = []

    def seen(segmenter: Segmenter, *given: object, **more: object) -> Scores:
        shown.append(segmenter.views.size)
        return evaluate(segmenter, *given, **more)

    monkeypatch.setattr("swath.training.scoring.evaluate", seen)
    keys = [("epochs", ["1"]), ("validation.size", ["48x32"])]
    assert start(str(shapes / "tiny.yaml"), keys, out=tmp_path / "run") == 0
    assert shown == [(32, 48)]
    with pytest.raises(SwathError, match="size"):
        load_recipe(shapes / "tiny.yaml", [("validation.size", ["0x4"])])
