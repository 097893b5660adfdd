"""A run of a float and an int8 stage: what comes out, that death changes nothing, that it exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import deaths
import runs
from swath.errors import SwathError
from swath.inference import Segmenter
from swath.training import start
from swath.weights import load_weights, read_meta

pytest.importorskip("torchao")


@pytest.fixture(scope="module")
def recipe(shapes: Path) -> Path:
    """Two stages of four iterations."""
    first = {**runs.RECIPE["stages"][0], "epochs": None, "iterations": 4}  # type: ignore[index]
    second = {**first, "name": "int8", "quantise": {"scheme": "int8"}, "lr": 1e-3, "schedule": "constant"}
    tree = {
        **runs.RECIPE,
        "network_options": {"width": 0.25},
        "data": {**runs.RECIPE["data"], "card": str(shapes / "card.yaml")},  # type: ignore[dict-item]
        "stages": [{**first, "name": "float"}, second],
        "validation": {"iterations": 2},
    }
    file = shapes / "quantised.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, deaths.whole(recipe, run)


def test_what_comes_out_computes_with_8_bits(undisturbed: tuple[Path, dict[str, bytes]]) -> None:
    run, _ = undisturbed
    meta = read_meta(run / "last.safetensors")
    assert (meta.quantised, meta.network) == ("int8", "contextnet14_160")
    model = load_weights(run / "last.safetensors")
    assert model.quantised == "int8" and not model.training
    assert sum(int(each.seen) for each in model.ranges()) == 3 * 62  # fixed after 60 % of four iterations
    said = (run / "log.txt").read_text()
    assert "int8: 52 weights and 62 activations pass through 8 bits" in said


def test_the_score_is_that_of_the_file(undisturbed: tuple[Path, dict[str, bytes]], shapes: Path) -> None:
    from swath.cards import load_card
    from swath.evaluation import evaluate

    run, _ = undisturbed
    scores = evaluate(load_weights(run / "last.safetensors"), load_card(shapes / "card.yaml").open("val", shapes))
    assert scores.miou == read_meta(run / "last.safetensors").score["miou"]


@pytest.mark.parametrize(
    ("moment", "number"),
    [(deaths.before_optimiser_step, 5), (deaths.in_validation, 11)],
)
def test_sigkill_then_resume_is_bit_identical(
    moment: Callable[[int], None],
    number: int,
    recipe: Path,
    tmp_path: Path,
    undisturbed: tuple[Path, dict[str, bytes]],
) -> None:
    assert deaths.killed_and_resumed(recipe, tmp_path / "run", moment, number) == undisturbed[1]


def test_onnx_runtime_computes_the_same_with_int8(undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from swath.deploy import export

    model = load_weights(undisturbed[0] / "last.safetensors")
    report = export(model, tmp_path / "int8.onnx", "onnx")
    assert report.passed and {check.size for check in report.checks} >= {(97, 131), (256, 512)}
    nodes = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert nodes.count("Conv") == 52 and nodes.count("DequantizeLinear") > 100
    pixels = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    ours, theirs = Segmenter(model).labels(pixels), Segmenter(tmp_path / "int8.onnx").labels(pixels)
    assert float((ours != theirs).float().mean()) < 0.02
    with pytest.raises(SwathError, match="--to onnx can"):
        export(model, tmp_path / "int8.pt2", "pt2")


def refused(recipe: Path, tmp_path: Path, message: str, *changes: tuple[str, str]) -> None:
    with pytest.raises(SwathError, match=message):
        start(str(recipe), [(key, [value]) for key, value in changes], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mistakes_are_found_before_anything_is_trained(
    recipe: Path, tmp_path: Path, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    refused(recipe, tmp_path, "int9", ("stages.1.quantise.scheme", "int9"))
    refused(recipe, tmp_path, "freeze does not go with quantise", ("stages.1.freeze", "[context]"))
    refused(recipe, tmp_path, "compile does not go", ("stages.1.compile", "true"))
    refused(recipe, tmp_path, "between 0 and 1", ("stages.1.quantise.norms", "2"))
    refused(recipe, tmp_path, "comes after one with quantise", ("stages.0.quantise.scheme", "power2"))
    last = str(undisturbed[0] / "last.safetensors")
    refused(recipe, tmp_path, "quantised already", ("stages.1.init", last))
