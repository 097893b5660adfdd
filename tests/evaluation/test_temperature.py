"""One temperature: found by its definition, kept with the weights, and no label moves by it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import swath
import tiny
from swath import Segmenter, SwathError, finish, load_card
from swath.cli.main import command_module, main
from swath.evaluation.page.calibration import CalibrationCounts
from swath.evaluation.temperature import Sample, calibrate, collect, confidences, fit, judged, nll, thresholds
from swath.inference import Description, Views
from swath.weights import describe_again, read_meta


def heated(segmenter: Segmenter, temperature: float) -> Segmenter:
    """As though its weights said so."""
    description = segmenter.runtime.description
    segmenter.runtime.description = replace(description, meta=replace(description.meta, temperature=temperature))
    return segmenter


@pytest.fixture
def source(tmp_path: Path) -> Any:
    return load_card(tiny.too_sure(tmp_path)).open("val")


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_temperature_of_made_up_truths_is_found(true: float) -> None:
    noise = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(60_000, 5, generator=noise)
    truth = torch.multinomial((logits / true).softmax(1), 1, generator=noise)[:, 0]
    found = fit(logits, truth)
    assert found == pytest.approx(true, rel=0.03)
    around = [nll(logits, truth, found * factor) for factor in (0.98, 1, 1.02)]
    assert around[1] == min(around)


def test_the_ends_of_what_is_looked_at() -> None:
    logits = torch.eye(4).repeat(50, 1)
    assert fit(logits, logits.argmax(1)) == 1 / 64, "all right: it cannot be too sure"
    assert fit(logits, (logits.argmax(1) + 1) % 4) == 64, "all wrong: it cannot be too unsure"
    assert fit(1e4 * torch.randn(500, 3), torch.randint(0, 3, (500,))) == 64


def test_thresholds_are_the_lowest_that_do() -> None:
    draw = np.random.default_rng(0)
    sure = torch.from_numpy(draw.uniform(0.2, 1, 20_000)).float()
    hit = torch.from_numpy(draw.random(20_000)) < 0.9 * sure
    found = thresholds(sure, hit, (0.7, 0.8, 0.999))
    assert [each.accuracy for each in found] == [0.7, 0.8], "what cannot be reached is left out"
    for each in found:
        steps = np.arange(1000) / 1000
        right = [float(hit[sure >= t].double().mean()) >= each.accuracy for t in steps if (sure >= t).any()]
        assert each.confidence == pytest.approx(steps[right.index(True)], abs=0.0011)
        assert each.left_out == pytest.approx(float((sure < each.confidence).double().mean()), abs=1e-3)
        assert float(hit[sure >= each.confidence].double().mean()) >= each.accuracy - 1e-3
    (every,) = thresholds(sure, torch.ones_like(hit), (0.99,))
    assert (every.confidence, every.left_out) == (0, 0)


@pytest.mark.parametrize("corners", [False, True])
def test_kept_logits_are_those_that_the_finish_sees(source: Any, corners: bool) -> None:
    segmenter = Segmenter(tiny.network(), optimise=False)
    segmenter.runtime.description = replace(segmenter.runtime.description, align_corners=corners)
    sample = collect(segmenter, source, pixels=3 * 70 * 90)
    truth = torch.from_numpy(np.stack([source.labels(index) for index in range(3)])).long()
    assert len(sample.truth) == int((truth != 255).sum()), "all of them, but not what is ignored"
    assert torch.equal(sample.truth, truth[truth != 255])
    full = []
    for index in range(3):
        pixels = segmenter.prepare(torch.from_numpy(source.image(index))[None])
        logits = segmenter.runtime.run(pixels)
        full.append(F.interpolate(logits, pixels.shape[1:3], mode="bilinear", align_corners=corners)[0, :, :70, :90])
    expected = torch.stack(full).permute(0, 2, 3, 1)[truth != 255]
    assert torch.allclose(sample.logits, expected, atol=2e-4)


def test_few_pixels_are_the_same_few_every_time(source: Any) -> None:
    segmenter = Segmenter(tiny.network(), optimise=False)
    first, second = (collect(segmenter, source, pixels=900) for _ in range(2))
    assert torch.equal(first.logits, second.logits) and torch.equal(first.truth, second.truth)
    known = [int((source.labels(index) != 255).sum()) for index in range(3)]
    counts = torch.bincount(first.picture.long()).tolist()
    assert counts == [int(np.ceil(900 / (3 * 70 * 90) * each)) for each in known], "as many as a picture has"


def test_calibrating_makes_it_more_honest(source: Any) -> None:
    segmenter = Segmenter(tiny.network(), optimise=False)
    found = calibrate(segmenter, source)
    assert found.nll_after < found.nll_before and found.ece_after < found.ece_before
    assert found.ece_checked is not None and found.temperature > 1, "an untrained network is too sure"
    assert calibrate(heated(segmenter, 3.0), source).temperature == found.temperature, "not twice"
    assert calibrate(segmenter, source, limit=1).ece_checked is None
    sample = collect(segmenter, source)
    assert judged(sample, 1.0).ece_after == judged(sample, 1.0).ece_before


def test_each_half_is_judged_by_itself() -> None:
    """One half too sure and the other not sure enough, at each other's temperature: on average that looks honest."""
    noise = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(40_000, 5, generator=noise)
    picture = torch.arange(40_000) // 20_000
    true = torch.where(picture == 0, 0.5, 2.0)
    truth = torch.multinomial((logits / true[:, None]).softmax(1), 1, generator=noise)[:, 0]
    sample = Sample(logits, truth, picture, 2)
    found = judged(sample, fit(logits, truth))
    halves = []
    for number in (0, 1):
        mine, others = picture == number, picture != number
        temperature = fit(logits[others], truth[others])
        sure = confidences(logits[mine], temperature)
        hit = logits[mine].argmax(1) == truth[mine]
        counts = CalibrationCounts(5)
        counts.update(logits[mine].argmax(1).to(torch.uint8).numpy(), sure.numpy(), hit.numpy())
        halves.append(counts.ece())
        for each in found.thresholds:
            told = thresholds(
                confidences(logits[others], temperature), logits[others].argmax(1) == truth[others], (each.accuracy,)
            )
            right = float(hit[sure >= told[0].confidence].double().mean()) if told else None
            assert each.checked[number] == (None if right is None else pytest.approx(right))
    assert found.ece_checked == pytest.approx(np.mean(halves), abs=1e-6) and min(halves) > 0.1
    assert found.thresholds and len(found.thresholds[0].checked) == 2


def test_pictures_shown_at_another_size_are_judged_as_they_are_seen(source: Any) -> None:
    for views in (Views(size=(96, 128)), Views(short_side=50)):
        segmenter = Segmenter(tiny.network(), views=views, optimise=False)
        sample = collect(segmenter, source, limit=1, pixels=70 * 90)
        result, truth = segmenter(source.image(0), confidence=True), source.labels(0).reshape(-1)
        assert result.confidence is not None
        expected = result.confidence.reshape(-1)[truth != 255]
        assert np.abs(confidences(sample.logits, 1.0).numpy() - expected).max() < 2e-3


def test_what_cannot_be_calibrated_is_refused(source: Any) -> None:
    with pytest.raises(SwathError, match="whole pictures"):
        calibrate(Segmenter(tiny.network(), views=Views(flip=True)), source)
    with pytest.raises(SwathError, match="no picture"):
        calibrate(Segmenter(tiny.network()), source, limit=0)
    labels_only = Segmenter(tiny.network(), optimise=False)
    labels_only.runtime.description = replace(labels_only.runtime.description, finish="inside")
    with pytest.raises(SwathError, match="calibrate the weights"):
        calibrate(labels_only, source)
    broken = tiny.network()
    broken.classifier[-1].bias.data[:] = float("nan")
    with pytest.raises(SwathError, match="no numbers"):
        calibrate(Segmenter(broken, optimise=False), source)


@pytest.mark.parametrize("way", ["c", "torch"])
def test_the_finish_divides_by_it_and_moves_no_label(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from swath.finish.labels import _missing

    if way == "c" and _missing("c"):
        pytest.skip("there is no C compiler here")
    monkeypatch.setenv("SWATH_FINISH", way)
    draw = torch.Generator().manual_seed(0)
    for trial in range(60):
        h, w, classes = (int(torch.randint(1, 7, (), generator=draw)) for _ in range(3))
        logits = 4 * torch.randn(1, classes, h, w, generator=draw)
        if trial % 3 == 0:
            logits = logits.round()  # ties
        size = (h * 3 + trial % 4, w * 4 + trial % 3)
        temperature = (0.3, 1.7, 4.1)[trial % 3]
        plain, tempered = finish.confident(logits, size), finish.confident(logits, size, False, temperature)
        assert torch.equal(plain.labels, tempered.labels) and torch.equal(plain.labels, finish.labels(logits, size))
        full = F.interpolate(logits, size=size, mode="bilinear").div(temperature).softmax(1)
        best = full.topk(min(2, classes), 1).values
        assert torch.allclose(tempered.confidence, best[:, 0], atol=1e-4)
        assert torch.allclose(tempered.margin, best[:, 0] - (best[:, 1] if classes > 1 else 0), atol=1e-4)
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SwathError, match="above 0"):
            finish.confident(logits, size, False, wrong)


@pytest.mark.parametrize(
    "views",
    [
        Views(),
        Views(size=(96, 128)),
        Views(size=(50, 70)),
        Views(flip=True, scales=(0.75, 1.0)),
        Views(window=(48, 64)),
        Views(flip=True, average="logits"),
    ],
)
def test_confidence_of_every_view_uses_it_and_labels_do_not(views: Views) -> None:
    image = tiny.picture(2)
    plain, cool, warm = (
        heated(Segmenter(tiny.network(), views=views), temperature)(image, confidence=True)
        for temperature in (1.0, 0.5, 3.0)
    )
    assert np.array_equal(plain.labels, cool.labels) and np.array_equal(plain.labels, warm.labels)
    assert plain.confidence is not None and cool.confidence is not None and warm.confidence is not None
    assert (cool.confidence >= plain.confidence - 1e-5).all() and (plain.confidence >= warm.confidence - 1e-5).all()
    assert warm.confidence.mean() < plain.confidence.mean() - 0.05 and warm.confidence.min() >= 0.25 - 1e-5


def test_the_confidence_is_that_of_the_tempered_logits() -> None:
    segmenter = heated(Segmenter(tiny.network(), optimise=False), 2.0)
    image = tiny.picture(4)
    pixels = segmenter.prepare(torch.from_numpy(image)[None])
    corners = segmenter.description.align_corners
    logits = F.interpolate(segmenter.runtime.run(pixels), pixels.shape[1:3], mode="bilinear", align_corners=corners)
    by_hand = confidences(logits[0, :, :70, :90].flatten(1).T, 2.0).reshape(70, 90)
    found = segmenter(image, confidence=True).confidence
    assert np.abs(found - by_hand.numpy()).max() < 1e-4


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.too_sure(tmp_path)
    tiny.weights(tmp_path / "w.safetensors", dataset="card.yaml", score={"miou": 0.3}, dtype=torch.float16)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_whole_way(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("w.safetensors").read_bytes()
    assert main(["calibrate", "w.safetensors", "--json", "c.json"]) == 0
    printed = capsys.readouterr().out
    assert Path("w.safetensors").read_bytes() == before
    meta = read_meta("w.calibrated.safetensors")
    assert meta.temperature > 1 and meta.score == {"miou": 0.3} and meta.calibration["split"] == "val"
    assert json.loads(Path("c.json").read_text())["temperature"] == meta.temperature
    chosen = "fitted on val, and the weights were chosen on it"
    for word in ("too sure", "ECE", "each half", chosen, "cannot be reached"):
        assert word in printed
    old, new = load_file("w.safetensors"), load_file("w.calibrated.safetensors")
    assert old.keys() == new.keys() and all(torch.equal(old[key], new[key]) for key in old)
    assert torch.float16 in {each.dtype for each in new.values()}
    image = tiny.picture(0)
    first, second = (Segmenter(name)(image, confidence=True) for name in ("w.safetensors", "w.calibrated.safetensors"))
    assert np.array_equal(first.labels, second.labels)
    assert first.confidence is not None and second.confidence is not None
    assert second.confidence.mean() < first.confidence.mean()

    assert main(["calibrate", "w.safetensors", "--in-place", "--limit", "2"]) == 0
    assert read_meta("w.safetensors").calibration["pictures"] == 2
    assert sorted(each.name for each in work.iterdir() if each.is_file()) == [
        "c.json", "card.yaml", "w.calibrated.safetensors", "w.safetensors",
    ]  # fmt: skip


def test_pictures_of_the_training_are_told_about(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "train").symlink_to(work / "val")
    assert main(["calibrate", "w.safetensors", "--split", "train", "--out", "t.safetensors"]) == 0
    assert "pictures that the network was trained on" in capsys.readouterr().out
    assert read_meta("t.safetensors").calibration["split"] == "train"


@pytest.mark.parametrize(
    ("score", "split", "said"),
    [
        ({"train": "train+val"}, "val", "pictures that the network was trained on"),
        ({"train": "trainval", "split": "val"}, "val", "pictures that the network was trained on"),
        ({"train": "train", "split": "val"}, "train+val", "pictures that the network was trained on"),
        ({"train": "train", "split": "val"}, "val", "fitted on val, and the weights were chosen on it"),
        ({"train": "val", "split": "train"}, "train", "fitted on train, and the weights were chosen on it"),
        ({"miou": 0.3}, "training", "pictures that the network was trained on"),
        ({"train": "train", "split": "test"}, "val", "fitted on val: errors told on val"),
        ({}, "val", "fitted on val: errors told on val"),
    ],
)
def test_what_the_weights_have_seen_is_told(
    work: Path, capsys: pytest.CaptureFixture[str], score: dict[str, str], split: str, said: str
) -> None:
    (work / "train").symlink_to(work / "val")
    describe_again("w.safetensors", "w.safetensors", score=score)
    assert main(["calibrate", "w.safetensors", "--split", split, "--limit", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"note: {said}" in printed or f"note: fitted on {split}, {said}" in printed
    better = {"train+val": "a split that it never saw", "trainval": "a split that it never saw", "val": "--split train"}
    if "trained on" in said:
        assert better.get(score.get("train", ""), "--split val") in printed


@pytest.mark.parametrize(
    ("card", "learnt", "same"),
    [
        ("cityscapes-multitask", "cityscapes", True),
        ("cityscapes", "camvid", False),
        ("camvid", "camvid-exact", True),
        ("streets", "", True),
        ("streets", "streets-of-mine", False),
    ],
)
def test_splits_are_those_of_one_dataset(card: str, learnt: str, same: bool) -> None:
    assert command_module("calibrate")._of_one_dataset(learnt, card, load_card(card)) == same


def test_splits_that_names_say_share_pictures() -> None:
    pictures = command_module("calibrate")._pictures
    voc, cityscapes = load_card("voc"), load_card("cityscapes")
    assert pictures(voc, "trainval") == {"train", "val"} and pictures(voc, "trainaug_noval") == {"train"}
    assert pictures(cityscapes, "trainval") == {"train", "val"} and pictures(cityscapes, "val_coarse") == {"val"}
    assert pictures(cityscapes, "train_extra") == {"train_extra"} and pictures(cityscapes, "nobody's") == {"nobody's"}


def test_one_picture_has_no_halves_and_next_lines_can_be_typed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "w.safetensors", "--limit", "1", "--out", "my own.safetensors", "--json", "c.json"]) == 0
    printed = capsys.readouterr().out
    assert "half" not in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("next:")]
    assert shlex.split(line) == ["next:", "swath", "predict", "my own.safetensors", "PICTURES", "--out", "out"], (
        "where no threshold is reached, none is proposed"
    )
    assert "swath export 'my own.safetensors' --to onnx" in printed
    told = json.loads(Path("c.json").read_text())
    assert told["nll_after"] < told["nll_before"] and told["confidence_after"] < told["confidence_before"]
    for when in ("before", "after"):
        assert sum(each["share"] for each in told[f"bins_{when}"]) == pytest.approx(1)
    assert "bins_before" not in read_meta("my own.safetensors").calibration, "that would be too much to carry about"


def test_the_ends_are_shown_and_not_kept(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Truths that have nothing to do with the picture, or all to do with it: 64 or 1/64 would make it useless."""
    segmenter = Segmenter("w.safetensors", engine="torch")
    for shift, said in ((1, "its confidence says nothing"), (0, "it is right however unsure it is")):
        for index in range(3):
            labels = (segmenter(tiny.picture(index)).labels + shift) % 4
            cv2.imwrite(f"val/labels/p{index}.png", labels)
        assert main(["calibrate", "w.safetensors"]) == 2
        printed, error = capsys.readouterr()
        assert "right pixels, %" in printed and "next:" not in printed
        assert said in error and "Nothing was written" in error
    assert not Path("w.calibrated.safetensors").exists()


def test_what_cannot_be_written_is_refused_before_the_work(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swath.evaluation.temperature.calibrate", None)
    for more in (["--json", "card.yaml/c.json"], ["--out", "card.yaml/w.safetensors"], ["--json", "val"]):
        assert main(["calibrate", "w.safetensors", *more]) == 2
        assert "a file, a folder of that name" in capsys.readouterr().err or more[1] == "val"
    assert sorted(each.name for each in work.iterdir()) == ["card.yaml", "val", "w.safetensors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.onnx"], "export them again"),
        (["none.safetensors"], "no such file"),
        (["w.safetensors", "--out", "x.pt"], "written as .safetensors"),
        (["w.safetensors", "--card", "streets"], "4 classes"),
        (["w.safetensors", "--out", "x.safetensors", "--in-place"], "not allowed with"),
    ],
)
def test_mistakes_are_one_line(work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["calibrate", *words]) == 2
    assert said in capsys.readouterr().err


def test_weights_of_before_have_a_temperature_of_one(tmp_path: Path) -> None:
    path = tiny.weights(tmp_path / "w.safetensors")
    describe_again(path, tmp_path / "again.safetensors", dataset="other")
    assert read_meta(tmp_path / "again.safetensors").dataset == "other"
    told = vars(read_meta(path))
    meta = {key: value for key, value in told.items() if key not in ("temperature", "calibration")}
    from safetensors.torch import save_file

    save_file(load_file(path), tmp_path / "old.safetensors", metadata={"swath": json.dumps(meta)})
    assert read_meta(tmp_path / "old.safetensors").temperature == 1.0
    assert swath.load(tmp_path / "old.safetensors").meta.calibration == {}


def test_descriptions_of_exported_files_carry_it(work: Path) -> None:
    assert main(["calibrate", "w.safetensors", "--in-place"]) == 0
    model = swath.load("w.safetensors")
    description = Description.of(model)
    again = Description.from_json(description.as_json(), Path("m.onnx"))
    assert again.meta.temperature == read_meta("w.safetensors").temperature != 1
    assert again.meta.calibration == read_meta("w.safetensors").calibration


def test_exported_files_are_as_sure_as_the_weights(work: Path) -> None:
    assert main(["calibrate", "w.safetensors", "--in-place"]) == 0
    assert main(["export", "w.safetensors", "--to", "torchscript", "--out", "m.pt"]) == 0
    image = tiny.picture(0)
    ours, theirs = (Segmenter(name)(image, confidence=True) for name in ("w.safetensors", "m.pt"))
    assert ours.confidence is not None and theirs.confidence is not None
    assert np.abs(ours.confidence - theirs.confidence).max() < 1e-2
    assert (ours.labels != theirs.labels).mean() < 1e-2
