"""A weights file rebuilds its network, says what it is, and refuses what it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from swath import SwathError, create_model, load, save
from swath.networks import Preprocess
from swath.weights import describe_again, read_meta

ABOUT = {"classes": ["road", "sky"], "colors": [(128, 64, 128), (70, 130, 180)]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = create_model("contextnet14_160", num_classes=2, width=0.25)
    model.preprocess = Preprocess((0.1, 0.2, 0.3), (0.5, 0.5, 0.5), order="BGR", multiple=32)
    save(tmp_path / "w.safetensors", model, dataset="streets", recipe="x", score={"miou": 0.5}, **ABOUT)
    return tmp_path / "w.safetensors"


def test_everything_comes_back(path: Path) -> None:
    model = load(path)
    assert not model.training
    assert model.arguments == {"num_classes": 2, "in_channels": 3, "width": 0.25}
    assert model.preprocess == Preprocess((0.1, 0.2, 0.3), (0.5, 0.5, 0.5), order="BGR", multiple=32)
    meta = model.meta
    assert meta is not None
    assert (meta.classes, meta.dataset, meta.score) == (["road", "sky"], "streets", {"miou": 0.5})


def test_keys_of_the_description_are_frozen(path: Path) -> None:
    """Files in the world hold these; renaming one needs a new FORMAT and a reader for the old."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["swath"]
    assert sorted(json.loads(metadata["swath"])) == [
        "arguments", "aux", "calibration", "categories", "classes", "colors", "dataset", "format", "network", "notes",
        "preprocesses", "quantised", "recipe", "score", "swath", "temperature",
    ]  # fmt: skip
    assert sorted(json.loads(metadata["swath"])["preprocesses"]["image"]) == [
        "mean", "multiple", "order", "scale", "std",
    ]  # fmt: skip


def test_heads_of_training_stay_with_the_file_or_stay_away(tmp_path: Path) -> None:
    model = create_model("contextnet14_160", num_classes=2, aux=True)
    save(tmp_path / "with.safetensors", model, **ABOUT)
    save(tmp_path / "without.safetensors", model.drop_aux(), **ABOUT)
    assert len(load(tmp_path / "with.safetensors").aux_heads) == 2
    assert len(load(tmp_path / "without.safetensors").aux_heads) == 0


def test_half_precision_file_is_half_the_size_and_loads_as_float(tmp_path: Path, path: Path) -> None:
    model = load(path)
    save(tmp_path / "half.safetensors", model, dtype=torch.float16, **ABOUT)
    again = load(tmp_path / "half.safetensors")
    assert next(again.parameters()).dtype == torch.float32
    assert (tmp_path / "half.safetensors").stat().st_size < 0.75 * path.stat().st_size


def test_other_files_are_refused_by_name(tmp_path: Path, path: Path) -> None:
    with pytest.raises(SwathError, match="no such file"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "short.safetensors").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SwathError, match=r"short\.safetensors: is not a readable"):
        load(tmp_path / "short.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(SwathError, match="no description"):
        load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"temperature": "hot"}, {"calibration": [1]}])
def test_a_damaged_temperature_is_refused(path: Path, wrong: dict[str, object]) -> None:
    describe_again(path, path, **wrong)
    with pytest.raises(SwathError, match="description is damaged"):
        read_meta(path)


def test_tensors_of_another_network_are_named(tmp_path: Path, path: Path) -> None:
    meta = json.dumps({**vars_of(path), "arguments": {"num_classes": 2, "in_channels": 3, "width": 0.5}})
    save_file(load_file(path), tmp_path / "wrong.safetensors", metadata={"swath": meta})
    with pytest.raises(SwathError, match=r"not weights of contextnet14_160 .* where .* is needed \(and \d+ more"):
        load(tmp_path / "wrong.safetensors")


def test_a_file_of_a_newer_swath_says_so(tmp_path: Path, path: Path) -> None:
    meta = json.dumps({**vars_of(path), "format": 99})
    save_file(load_file(path), tmp_path / "new.safetensors", metadata={"swath": meta})
    with pytest.raises(SwathError, match="newer swath"):
        read_meta(tmp_path / "new.safetensors")


def vars_of(path: Path) -> dict:
    return dict(vars(read_meta(path)))


def test_class_names_must_fit_the_network(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="1 names, 2 colours for 3 classes"):
        save(tmp_path / "w.safetensors", create_model("contextnet14_160", 3), classes=["a"], colors=[(0, 0, 0)] * 2)
    assert not list(tmp_path.iterdir())
