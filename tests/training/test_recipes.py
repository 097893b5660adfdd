"""Every shipped recipe: its own network takes all of its settings, and a shortened run of it trains, on a made-up tree
in the official layout of its dataset.

Heavy networks are stood in for by lighter ones of their kind; with SWATH_TEST_ALL (make test-all) each recipe runs with
its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import trees
from swath import SwathError
from swath.cards import load_card
from swath.training import list_recipes, load_recipe, start
from swath.training.checking import check_stages
from swath.training.config import Recipe
from swath.training.sources import open_stages
from swath.training.tasks import bare_network
from swath.weights import read_meta

Keys = list[tuple[str, list[str]]]
ALL = "SWATH_TEST_ALL" in os.environ

SHORT_STAGE = [("epochs", "none"), ("iterations", "2"), ("batch", "2"), ("window.size", "64x64"), ("warmup", "1")]
SHORT: Keys = [
    ("threads", ["1"]),
    ("device", ["cpu"]),
    ("samples", ["1"]),
    ("tensorboard", ["false"]),
    ("data.workers", ["0"]),
]
# A lighter network of the same family, with parts of the same names, for those of more than 14 million parameters.
LIGHTER = {
    "fpn_lite_regnetx1p6gf": "fpn_lite_regnetx400mf",
    "fpn_lite_regnetx3p2gf": "fpn_lite_regnetx400mf",
    "rf_lw_resnet50": "rf_lw_mobilenetv2",
    "rf_lw_resnet101": "rf_lw_mobilenetv2",
    "rf_lw_resnet152": "rf_lw_mobilenetv2",
    "se_dpshufflenet": "mobilenetv2aspp",
    "se_wresnetv2": "mobilenetv2aspp",
    "shufflenetplus": "mobilenetv2aspp",
}


def parameters(network: torch.nn.Module) -> float:
    """In millions."""
    return sum(each.numel() for each in network.parameters()) / 1e6


def shortened(recipe: Recipe) -> Keys:
    """What makes a recipe quick; everything else stays as it is."""
    keys = [(f"stages.{i}.{key}", [value]) for i in range(len(recipe.stages)) for key, value in SHORT_STAGE]
    if recipe.validation.size:
        keys.append(("validation.size", ["96x64"]))
    if recipe.data.card == "streets":
        options = [(split, key) for split in ("train", "val") for key in ("count", "size")]
        keys += [(f"data.{split}_options.{key}", [{"count": "2", "size": "128x64"}[key]]) for split, key in options]
    return keys + SHORT


NAMES = list_recipes()


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trees by card, made when they are asked for."""

    class Roots(dict[str, Path]):
        def __missing__(self, card: str) -> Path:
            if card == "sbd":
                pytest.importorskip("scipy")
            self[card] = tmp_path_factory.mktemp(card)
            trees.TREES[card](self[card])
            return self[card]

    return Roots()


def prepared(name: str, roots: dict[str, Path], shapes: Path) -> Keys:
    """The keys of a shortened run on its tree."""
    recipe = load_recipe(name)
    keys = shortened(recipe)
    if name == "own":
        return [*keys, ("data.card", [str(shapes / "card.yaml")])]
    if recipe.data.mix:  # others' pictures: some of the tree's own
        keys.append(("data.mix.0.pictures", [str(roots["cityscapes"] / "leftImg8bit/train")]))
    if recipe.data.card != "streets":
        keys.append(("data.root", [str(roots[recipe.data.card])]))
    for number, stage in enumerate(recipe.stages):
        if stage.data is not None:
            keys.append((f"stages.{number}.data.root", [str(roots[stage.data.card])]))
            keys.append((f"stages.{number}.data.workers", ["0"]))
    return keys


@pytest.mark.parametrize("name", NAMES)
def test_the_network_takes_the_settings(name: str, roots: dict[str, Path], shapes: Path) -> None:
    """Parts, frozen layers, tasks, losses, weights of classes: everything that names something, on the own network."""
    recipe = load_recipe(name, prepared(name, roots, shapes))
    if any(stage.prune for stage in recipe.stages):
        pytest.importorskip("torch_pruning")
    if any(stage.quantise for stage in recipe.stages):
        pytest.importorskip("torchao")
    check_stages(recipe, open_stages(recipe))
    assert recipe.title and (recipe.reference or name == "own" or name.startswith("streets"))
    assert recipe.name == name


@pytest.mark.parametrize("name", NAMES)
def test_shortened(name: str, roots: dict[str, Path], shapes: Path, tmp_path: Path) -> None:
    keys = prepared(name, roots, shapes)
    recipe = load_recipe(name, keys)
    if any(stage.prune for stage in recipe.stages):
        pytest.importorskip("torch_pruning")
    if any(stage.quantise for stage in recipe.stages):
        pytest.importorskip("torchao")
    train = open_stages(recipe)[-1][0]
    if ALL and not recipe.stages[0].frozen_norms:  # fixed statistics let a deep network without trained weights explode
        pass
    elif recipe.network in LIGHTER:
        keys.append(("network", [LIGHTER[recipe.network]]))
    elif recipe.network.startswith("contextnet") and not any(stage.prune for stage in recipe.stages):
        keys.append(("network", ["contextnet14_160"]))
    else:
        assert parameters(bare_network(recipe, train.card)) < 14, "give a lighter one of the family"
    run = tmp_path / "run"
    assert start(name, keys, out=run) == 0
    meta = read_meta(run / "best.safetensors")
    assert meta.recipe == name and 0 <= meta.score["miou"] <= 1
    assert list(meta.classes) == train.card.class_names


def test_lighter_networks_have_the_parts_of_the_heavy_ones() -> None:
    card = load_card("cityscapes")
    for recipe in (load_recipe(name) for name in NAMES):
        parts = {part for stage in recipe.stages for part in (*stage.parts, *stage.freeze)}
        if parts and recipe.network in LIGHTER:
            recipe.network = LIGHTER[recipe.network]
            assert parts <= {name for name, _ in bare_network(recipe, card).named_modules()}


def test_others_pictures_need_a_folder(roots: dict[str, Path], tmp_path: Path) -> None:
    keys = [*SHORT, ("data.root", [str(roots["cityscapes"])])]
    with pytest.raises(SwathError, match=r"--data\.mix\.0\.pictures FOLDER"):
        start("mobilenetv2plus-cityscapes-synthesised", keys, out=tmp_path / "run")


def test_split_is_the_one_to_learn_from() -> None:
    recipe = load_recipe("csfcn-cityscapes", [("data.split", ["train+val"])])
    assert recipe.data.train == "train+val" and recipe.data.val == "val"
    two = load_recipe("csfcn-camvid-pretrained", [("stages.0.data.split", ["train+val"])])
    assert two.stages[0].data is not None and two.stages[0].data.train == "train+val"


def test_a_stage_without_its_folder_says_which(roots: dict[str, Path], tmp_path: Path) -> None:
    keys = [*SHORT, ("data.root", [str(roots["voc"])])]
    with pytest.raises(SwathError, match=r"stage 'sbd': .*--stages\.0\.data\.root FOLDER"):
        start("rf_lw_resnet50-sbd-voc", keys, out=tmp_path / "run")
