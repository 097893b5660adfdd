""" "unsure": a class of its own for what is less sure than somebody wants."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import Frames, avi
from PIL import Image

import tiny
from swath import Segmentation, Segmenter, SwathError
from swath.cli.main import main
from swath.data import read_image
from swath.inference.segmentation import unsure_color
from swath.weights import describe_again


@pytest.fixture
def sure() -> Segmentation:
    """Confidence from 0.25 at the left to 1 at the right."""
    labels = np.where(tiny.labels(3) == 255, np.uint8(3), tiny.labels(3))
    confidence = np.tile(np.linspace(0.25, 1, 90, dtype=np.float32), (70, 1))
    return Segmentation(labels, tiny.NAMES, tiny.COLORS, tiny.picture(3), confidence)


def test_what_is_below_the_threshold_has_a_class_of_its_own(sure: Segmentation) -> None:
    result = sure.unsure(0.6)
    assert sure.confidence is not None
    below = sure.confidence < 0.6
    assert (result.labels[below] == 255).all() and np.array_equal(result.labels[~below], sure.labels[~below])
    assert result.shares()["unsure"] == pytest.approx(below.mean())
    assert sum(result.shares().values()) == pytest.approx(1) and next(iter(result.shares())) == "unsure"
    assert result.legend()["unsure"] == (255, 255, 255) and list(result.legend()) == list(result.shares())
    assert (result.color()[below] == 255).all() and np.array_equal(result.overlay(1)[:, :30], result.color()[:, :30])
    assert "unsure" not in sure.shares() and 255 not in sure.labels, "the first one stays what it is"
    assert "unsure 4" in repr(result)
    assert np.array_equal(result.unsure(0.8).labels, sure.unsure(0.8).labels)
    assert result.unsure(0.3).threshold == 0.6, "what was left out does not come back"


def test_a_class_of_that_name_loses_no_pixel(sure: Segmentation) -> None:
    named = replace(sure, class_names=["unsure", *tiny.NAMES[1:]])
    shares = named.unsure(0.6).shares()
    assert sum(shares.values()) == pytest.approx(1)
    labels = named.unsure(0.6).labels
    assert shares["unsure"] == pytest.approx(((labels == 0) | (labels == 255)).mean())
    assert set(named.unsure(0.6).legend()) == set(shares)


def test_a_confidence_that_is_no_number_is_not_sure(sure: Segmentation) -> None:
    assert sure.confidence is not None
    broken = sure.confidence.copy()
    broken[:5] = np.nan
    for threshold in (0.0, 0.1):
        labels = replace(sure, confidence=broken).unsure(threshold).labels
        assert (labels[:5] == 255).all() and np.array_equal(labels[5:], sure.labels[5:])


def test_the_ends_of_the_threshold(sure: Segmentation) -> None:
    assert np.array_equal(sure.unsure(0).labels, sure.labels) and "unsure" not in sure.unsure(0).shares()
    assert (sure.unsure(1).labels == 255).sum() == 70 * 89, "as sure as can be is sure enough"


def test_it_is_kept_in_files(sure: Segmentation, tmp_path: Path) -> None:
    sure.unsure(0.6).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), sure.unsure(0.6).labels)
        assert np.array_equal(np.asarray(picture.convert("RGB")), sure.unsure(0.6).color())


def test_its_colour_is_nobody_elses() -> None:
    assert unsure_color([]) == (255, 255, 255)
    assert unsure_color([(250, 250, 240), (0, 0, 0)]) == (255, 0, 255)
    draw = np.random.default_rng(0)
    for _ in range(50):
        colors = [tuple(map(int, color)) for color in draw.integers(0, 256, (40, 3))]
        assert unsure_color(colors) not in colors  # type: ignore[comparison-overlap]


def test_what_cannot_be_unsure_says_why(sure: Segmentation) -> None:
    with pytest.raises(SwathError, match="between 0 and 1"):
        sure.unsure(1.5)
    with pytest.raises(SwathError, match=r"segmenter\(picture, confidence=True\)"):
        replace(sure, confidence=None).unsure(0.5)
    many = replace(sure, class_names=[str(i) for i in range(256)], colors=[(i, i, i) for i in range(256)])
    with pytest.raises(SwathError, match="256 classes"):
        many.unsure(0.5)


def test_a_segmenter_leaves_out_what_it_is_told_to() -> None:
    image = tiny.picture(1)
    plain = Segmenter(tiny.network())
    asked = plain(image, confidence=True)
    assert asked.confidence is not None and plain(image).confidence is None
    middle = float(np.median(asked.confidence))
    result = Segmenter(tiny.network(), unsure=middle)(image)
    assert np.array_equal(result.labels, asked.unsure(middle).labels)
    assert 0.4 < result.shares()["unsure"] < 0.6
    strict = Segmenter(tiny.network(), unsure=middle)
    assert np.array_equal(strict.label_maps([image])[0], asked.labels), "bare labels stay bare"
    for _, frame in strict.video(Frames(2)):
        assert np.array_equal(frame.labels, strict(frame.image).labels) and 255 in frame.labels


def test_accuracies_stand_for_stored_thresholds(tmp_path: Path) -> None:
    path = tiny.weights(tmp_path / "w.safetensors")
    with pytest.raises(SwathError, match="run `swath calibrate`"):
        Segmenter(path, unsure="95%")
    stored = {"thresholds": {"95": {"confidence": 0.625, "left_out": 0.2}}}
    describe_again(path, path, calibration=stored)
    for text in ("95%", " 95.0 %"):
        assert Segmenter(path, unsure=text).unsure == 0.625
    for wrong, said in (("99%", "has them for 95%"), ("often", "such as 0.6"), (1.2, "between 0 and 1")):
        with pytest.raises(SwathError, match=said):
            Segmenter(path, unsure=wrong)  # type: ignore[arg-type]


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.dataset(tmp_path, 2)
    path = tiny.weights(tmp_path / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    sure = Segmenter(path)("val/images/p0.png", confidence=True).confidence
    assert sure is not None
    middle = round(float(np.median(sure)), 3)
    describe_again(path, path, calibration={"thresholds": {"95": {"confidence": middle, "left_out": 0.5}}})
    assert main(["predict", "w.safetensors", "val/images", "--out", "out", "--unsure", "95%"]) == 0
    with Image.open("out/p0.png") as picture:
        labels = np.asarray(picture)
    expected = Segmenter("w.safetensors", unsure=middle)(read_image("val/images/p0.png"))
    assert (labels != expected.labels).mean() < 0.01 and 0 < (labels == 255).mean() < 1
    for wrong in ("1.5", "lots", "-3"):
        assert main(["predict", "w.safetensors", "val/images", "--out", "out", f"--unsure={wrong}"]) == 2
        assert "a confidence from 0 to 1 is needed" in capsys.readouterr().err

    avi(tmp_path / "a.avi", 3)
    assert main(["predict", "w.safetensors", "a.avi", "--jsonl", "s.jsonl", "--unsure", "1"]) == 0
    lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
    assert len(lines) == 3 and all(line["shares"]["unsure"] > 0.9 for line in lines)
