"""Weights that come with swath: what stands in the package, and a name in the place of a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import tiny
from swath import Segmenter, SwathError, load, load_card
from swath.bench.targets import named
from swath.cli.main import main
from swath.data import read_image, read_label_raw
from swath.deploy import export
from swath.inference import Views
from swath.training import list_recipes, load_recipe
from swath.weights import list_shipped, read_meta, shipped, weights_file

LIMIT = 12_000_000  # bytes, of all together: they are part of the repository


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one file of weights, and a folder with a picture to work in."""
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    monkeypatch.setattr(shipped, "DEFAULT", "small-shapes")
    tiny.weights(tmp_path / "package" / "small-shapes.safetensors")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    from PIL import Image

    Image.fromarray(tiny.picture(1)).save("street.png")
    return tmp_path


def test_those_of_the_package_are_small_whole_and_told_of() -> None:
    names = list_shipped()
    assert shipped.DEFAULT in names
    assert sum(weights_file(name).stat().st_size for name in names) < LIMIT
    for name in names:
        path, meta = weights_file(name), read_meta(name)
        card = load_card(meta.dataset)
        assert meta.classes == card.class_names and not meta.aux
        assert name == meta.recipe and name in list_recipes()
        assert meta.network == load_recipe(name).network and meta.notes["seed"] == load_recipe(name).seed
        assert meta.notes["short_side"] == 360
        told = path.with_suffix(".md").read_text("utf-8")
        assert f"{100 * meta.score['miou']:.1f} % mIoU" in told and f"]({path.stem}.svg)" in told
        assert path.with_suffix(".svg").read_text().startswith("<svg")
        for each, iou in meta.score["class_iou"].items():
            assert f"| {each} | {100 * iou:.1f} |" in told
        with safe_open(str(path), "pt") as file:
            kinds = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118
        assert torch.float16 in kinds and torch.float32 not in kinds


def test_those_of_the_package_see_a_road() -> None:
    """Grey below, blue above: whatever else it says, the two halves are not one thing."""
    picture = np.empty((360, 480, 3), np.uint8)
    picture[:180], picture[180:] = (170, 190, 215), (95, 95, 95)
    for name in list_shipped():
        found = Segmenter(name, engine="torch")(picture)
        share = {half: np.bincount(part.ravel(), minlength=11) for half, part in zip("ab", np.vsplit(found.labels, 2))}
        assert found.class_names[share["a"].argmax()] == "Sky" and found.class_names[share["b"].argmax()] == "Road"


def test_a_name_stands_for_the_file(work: Path) -> None:
    path = work / "package" / "small-shapes.safetensors"
    assert weights_file("small-shapes") == path and list_shipped() == ["small-shapes"]
    assert load("small-shapes").meta == load(path).meta
    picture = tiny.picture(3)
    assert np.array_equal(Segmenter("small-shapes", engine="torch")(picture).labels, Segmenter(path)(picture).labels)
    assert named("small-shapes", 4).name == "small-shapes"


def test_a_file_of_that_name_comes_first(work: Path) -> None:
    Path("small-shapes").write_bytes(b"mine")
    assert weights_file("small-shapes") == Path("small-shapes")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("small-shaped", "did you mean 'small-shapes'?"),
        ("best", "those are: small-shapes"),
        ("runs/best", "is no file of weights that swath can run"),
        ("best.safetensors", "no such file"),
    ],
)
def test_what_is_neither_is_named(work: Path, name: str, said: str) -> None:
    with pytest.raises(SwathError) as error:
        Segmenter(name)
    assert str(error.value).startswith(name) and said in str(error.value)


def test_a_picture_alone_is_enough(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "street.png", "--engine", "torch"]) == 0
    said = capsys.readouterr()
    assert "small-shapes, which come with swath: 4 classes" in said.err
    assert "1 of 1 pictures -> predicted (labels, overlay)" in said.out
    expected = Segmenter("small-shapes", engine="torch")("street.png")
    assert np.array_equal(read_label_raw("predicted/street.png"), expected.labels)
    assert read_image("predicted/street_overlay.jpg").shape == (70, 90, 3)
    assert main(["predict", "--engine", "torch", "--out", "o", "small-shapes", "street.png"]) == 0
    assert np.array_equal(read_label_raw("o/street.png"), expected.labels)


def test_pictures_are_shown_as_it_learnt_unless_one_says_how(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.weights(work / "package" / "small-shapes.safetensors", notes={"short_side": 48})
    assert main(["predict", "street.png", "--engine", "torch", "--out", "a"]) == 0
    assert "short side of 48 pixels" in capsys.readouterr().err
    shown = Segmenter("small-shapes", engine="torch", views=Views(short_side=48))("street.png")
    assert np.array_equal(read_label_raw("a/street.png"), shown.labels)
    whole = Segmenter("small-shapes", engine="torch", views=Views())("street.png")
    assert not np.array_equal(shown.labels, whole.labels)
    assert main(["predict", "street.png", "--engine", "torch", "--out", "b", "--scales", "1"]) == 0
    assert "short side" not in capsys.readouterr().err
    assert np.array_equal(read_label_raw("b/street.png"), whole.labels)


def test_however_they_are_reached_pictures_are_shown_as_they_learnt(work: Path) -> None:
    tiny.weights(work / "package" / "small-shapes.safetensors", notes={"short_side": 48})
    shutil.copy(work / "package" / "small-shapes.safetensors", "copy.safetensors")
    expected = Segmenter("small-shapes", engine="torch", views=Views(short_side=48))("street.png").labels
    export(load("copy.safetensors"), Path("w.pt"), "torchscript")
    for model in ("small-shapes", "copy.safetensors", load("copy.safetensors"), "w.pt"):
        segmenter = Segmenter(model)
        assert segmenter.views == Views(short_side=48)
        assert np.array_equal(segmenter("street.png").labels, expected)
    both = Segmenter("copy.safetensors", engine="torch", views=Views(as_learnt=True, flip=True))
    assert both.views == Views(short_side=48, flip=True)
    assert main(["predict", "copy.safetensors", "street.png", "--engine", "torch", "--out", "c"]) == 0
    assert np.array_equal(read_label_raw("c/street.png"), expected)
    export(load("copy.safetensors"), Path("one.pt"), "torchscript", size=(64, 96))  # it takes no other size
    assert Segmenter("one.pt").views.plain


@pytest.mark.parametrize("said", [0, -3, "48", 4.5, True, None])
def test_a_short_side_that_is_none_is_not_heeded(work: Path, said: object) -> None:
    tiny.weights(work / "package" / "small-shapes.safetensors", notes={"short_side": said})
    assert Segmenter("small-shapes", engine="torch").views.plain


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["small-shapes"], "small-shapes: say what it is to segment"),
        (["w.onnx"], "w.onnx: say what it is to segment"),
        (["nothing.png"], "nothing.png: no such file"),
        (["besst", "street.png"], "besst: no such file, and no weights of this name"),
        (["notes.bin", "street.png"], "notes.bin: is no file of weights"),
    ],
)
def test_which_word_is_wrong_is_said(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["predict", *words]) == 2
    assert said in capsys.readouterr().err
    assert not Path("predicted").exists()


def test_results_about_them_stay_out_of_the_package(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "small-shapes", "--to", "torchscript"]) == 0
    assert Path("small-shapes-torchscript/bundle.json").is_file()
    card = tiny.too_sure(work)
    words = ["calibrate", "small-shapes", "--card", str(card), "--root", str(work), "--split", "val"]
    assert main([*words, "--in-place"]) == 2
    assert "came with swath and stays as it is" in capsys.readouterr().err
    assert main(words) == 0
    assert read_meta("small-shapes.calibrated.safetensors").temperature != 1
    assert [path.name for path in (work / "package").iterdir()] == ["small-shapes.safetensors"]
