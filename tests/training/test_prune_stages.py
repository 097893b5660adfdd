"""A run that narrows its network: what comes out, and that death at any moment changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import deaths
import runs
from swath.errors import SwathError
from swath.training import loop, start
from swath.weights import load_weights, read_meta, save_weights

pytest.importorskip("torch_pruning")


@pytest.fixture(scope="module")
def narrowing(shapes: Path) -> Path:
    """A run of three stages of four iterations, the network narrower in each."""
    first = {**runs.RECIPE["stages"][0], "epochs": None, "iterations": 4, "span": [0, 0.4]}  # type: ignore[index]
    stages = [
        {**first, "name": "wide"},
        {**first, "name": "narrower", "prune": {"width": 0.4125}, "span": [0.4, 0.7], "warmup": 1, "warmup_from": 0.1},
        {**first, "name": "narrow", "prune": {"width": 0.25}, "span": [0.7, 1]},
    ]
    recipe = {
        **runs.RECIPE,
        "network_options": {"width": 0.5},
        "data": {**runs.RECIPE["data"], "card": str(shapes / "card.yaml")},  # type: ignore[dict-item]
        "stages": stages,
        "validation": {"iterations": 2},
    }
    file = shapes / "narrowing.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


@pytest.fixture(scope="module")
def undisturbed(narrowing: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, deaths.whole(narrowing, run)


def test_what_comes_out_is_the_narrow_network(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    run, _ = undisturbed
    meta = read_meta(run / "best.safetensors")
    assert meta.network == "contextnet14_160" and meta.arguments["width"] == 0.25
    model = load_weights(run / "last.safetensors")
    assert model.classifier[3].in_channels == 32  # 128 channels at a quarter
    said = (run / "log.txt").read_text()
    assert said.count("pruned 24 groups of channels") == 2 and "before any training" in said


def before_pruning(number: int) -> None:
    inner, seen = loop.prune_to, []

    def prune(*rest: object, **more: object) -> object:
        seen.append(1)
        if len(seen) == number:
            deaths.die()
        return inner(*rest, **more)  # type: ignore[arg-type]

    loop.prune_to = prune  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (before_pruning, 1),
        (before_pruning, 2),
        (deaths.before_optimiser_step, 6),
        (deaths.before_optimiser_step, 11),
        (deaths.in_validation, 8),
    ],
)
def test_sigkill_then_resume_is_bit_identical(
    moment: Callable[[int], None],
    number: int,
    narrowing: Path,
    tmp_path: Path,
    undisturbed: tuple[Path, dict[str, bytes]],
) -> None:
    assert deaths.killed_and_resumed(narrowing, tmp_path / "run", moment, number) == undisturbed[1]


def test_a_trained_wide_network_can_be_where_it_begins(shapes: Path, narrowing: Path, tmp_path: Path) -> None:
    """`init` of a stage that prunes is the network before the cut."""
    from swath.networks import create_model

    wide = create_model("contextnet14_160", 3, width=0.5)
    save_weights(tmp_path / "wide.safetensors", wide, classes=["a", "b", "c"], colors=[(0, 0, i) for i in range(3)])
    tree = yaml.safe_load(narrowing.read_text())
    tree["stages"] = [{**tree["stages"][2], "init": str(tmp_path / "wide.safetensors")}]
    (shapes / "from_wide.yaml").write_text(yaml.safe_dump(tree))
    assert start(str(shapes / "from_wide.yaml"), out=tmp_path / "run") == 0
    assert read_meta(tmp_path / "run" / "last.safetensors").arguments["width"] == 0.25


def test_mistakes_are_found_before_anything_is_trained(narrowing: Path, tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="it is not narrower"):
        start(str(narrowing), [("stages.2.prune", ["{width: 2.0}"])], out=tmp_path / "run")
    with pytest.raises(SwathError, match="widht"):
        start(str(narrowing), [("stages.2.prune", ["{widht: 0.25}"])], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
