"""`swath evaluate`, the whole way."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import swath
import tiny
from swath import load_card
from swath.cli.main import main
from swath.data import read_image
from swath.evaluation import evaluate
from telling import cityscapes


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.dataset(tmp_path)
    tiny.weights(tmp_path / "w.safetensors")
    tiny.weights(tmp_path / "named.safetensors", dataset="card.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_writes_every_number_and_prints_the_table(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "w.safetensors", "--card", "card.yaml", "--json", "s.json", "--confusion", "c.png"]
    assert main(command) == 0
    told = json.loads(Path("s.json").read_text())
    scores = evaluate(tiny.network(), load_card("card.yaml").open("val"))
    assert np.abs(np.array(told["counts"]) - scores.counts).sum() <= 10
    assert (told["card"], told["split"], told["pictures"]) == ("shapes", "val", 3)
    assert told["miou"] == pytest.approx(scores.miou, abs=1e-3)
    printed = capsys.readouterr().out
    for word in ("ground", "disc", "(thing)", f"mIoU {100 * told['miou']:.2f}", "category mIoU"):
        assert word in printed
    height, width = read_image("c.png").shape[:2]
    assert height > 100 and width > 100


def test_the_weights_name_their_dataset(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "named.safetensors", "--limit", "2"]) == 0
    assert "on shapes val, 2 pictures" in capsys.readouterr().out
    assert main(["evaluate", "w.safetensors"]) == 2
    assert "give one with --card" in capsys.readouterr().err


def test_absent_classes_are_listed_as_absent(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = tiny.CARD.replace("images:", "  ghost: {color: [1, 2, 3]}\nimages:")
    Path("more.yaml").write_text(more)
    model = swath.create_model("contextnet14_160", num_classes=5).eval()
    model.classifier[-1].bias.data[4] = -100.0
    swath.save("five.safetensors", model, classes=[*tiny.NAMES, "ghost"], colors=[*tiny.COLORS, (1, 2, 3)])
    assert main(["evaluate", "five.safetensors", "--card", "more.yaml"]) == 0
    assert "left out of the means" in (printed := capsys.readouterr().out)
    assert "ghost" in printed.split("left out of the means")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["w.safetensors", "--card", "streets"], "4 classes and the card streets 11"),
        (["none.safetensors", "--card", "card.yaml"], "no such file"),
        (["w.safetensors", "--card", "card.yaml", "--split", "test"], "split"),
        (["w.safetensors", "--card", "card.yaml", "--limit", "0"], "--limit '0'"),
        (["w.safetensors", "--card", "card.yaml", "--scales", "1,big"], "--scales '1,big'"),
        (["w.safetensors", "--card", "card.yaml", "--scales", "0"], "scales [0.0]"),
        (["w.safetensors", "--card", "card.yaml", "--stride", "8x8"], "give their size too"),
        (["w.safetensors", "--card", "card.yaml", "--boundary", "1,,3"], "--boundary '1,,3'"),
        (["w.safetensors", "--card", "card.yaml", "--boundary", "900"], "boundary widths [900]"),
        (["w.safetensors", "--card", "card.yaml", "--instances"], "average size"),
        (["none.safetensors", "--report", "page.pdf"], "--report page.pdf: is written as .html or .htm"),
        (["none.safetensors", "--per-picture", "p.xls"], "--per-picture p.xls: is written as .csv"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["evaluate", *words, "--json", "s.json"]) == 2
    said_by_swath = capsys.readouterr().err.strip().splitlines()
    assert len(said_by_swath) == 1 and said in said_by_swath[0]
    assert not Path("s.json").exists()


def test_what_the_network_sees_is_chosen_and_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from swath.inference import Segmenter, Views

    views = ["--size", "96x64", "--scales", "0.5,1", "--flip", "--window", "64x48", "--stride", "32x48"]
    assert main(["evaluate", "w.safetensors", "--card", "card.yaml", "--json", "s.json", *views]) == 0
    told = json.loads(Path("s.json").read_text())
    assert told["views"] == "at 96x64, scales 0.5, 1, mirrored too, windows of 64x48"
    assert f"3 pictures, {told['views']}" in capsys.readouterr().out
    same = Views(size=(64, 96), scales=(0.5, 1), flip=True, window=(48, 64), stride=(48, 32))
    scores = evaluate(Segmenter("w.safetensors", views=same), load_card("card.yaml").open("val"))
    assert np.array_equal(told["counts"], scores.counts)
    plain = evaluate(Segmenter("w.safetensors"), load_card("card.yaml").open("val"))
    assert not np.array_equal(told["counts"], plain.counts)


def test_boundaries_and_the_table_of_pictures(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "w.safetensors", "--card", "card.yaml", "--json", "s.json", "--per-picture", "p.csv"]
    assert main([*command, "--boundary", "2,4", "--batch", "2"]) == 0
    told = json.loads(Path("s.json").read_text())
    assert told["boundary"]["widths"] == [2, 4] and len(told["boundary"]["class_f"][1]) == 4
    printed = capsys.readouterr().out
    assert "F 2 px" in printed and f"{100 * told['boundary']['trimap_miou'][1]:.2f}" in printed
    rows = list(csv.DictReader(Path("p.csv").read_text().splitlines()))
    assert sorted(row["picture"] for row in rows) == ["p0", "p1", "p2"]
    shares = [float(row["miou"]) for row in rows]
    assert shares == sorted(shares) and sum(int(row["pixels"]) for row in rows) == told["pixels"]
    assert main([*command, "--boundary"]) == 0
    assert json.loads(Path("s.json").read_text())["boundary"]["widths"] == [1, 3, 5, 9, 12]


def test_a_page_of_the_worst(work: Path) -> None:
    assert main(["evaluate", "w.safetensors", "--card", "card.yaml", "--report", "r.html", "--flip"]) == 0
    page = Path("r.html").read_text()
    assert "mirrored too" in page and "w.safetensors" in page and "disc" in page


def test_streets_through_the_whole_way(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = load_card("streets")
    model = swath.create_model("contextnet14_160", num_classes=11)
    swath.save("s.safetensors", model, classes=card.class_names, colors=card.colors, dataset="streets")
    assert main(["evaluate", "s.safetensors", "--limit", "1", "--boundary", "3", "--size", "256x128"]) == 0
    assert "on streets val, 1 picture, at 256x128" in capsys.readouterr().out


def test_objects_count_each_as_much(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cityscapes(work / "tree", 0, ())
    card = load_card("cityscapes")
    model = swath.create_model("contextnet14_160", num_classes=19)
    swath.save("c.safetensors", model, classes=card.class_names, colors=card.colors)
    command = ["evaluate", "c.safetensors", "--card", "cityscapes", "--root", "tree", "--json", "s.json", "--instances"]
    assert main(command) == 0
    told = json.loads(Path("s.json").read_text())["instances"]
    assert list(told["class_iiou"])[:2] == ["person", "rider"] and set(told["category_iiou"]) == {"human", "vehicle"}
    assert f"iIoU {100 * told['mean_class_iiou']:.2f}" in capsys.readouterr().out


def test_every_task_of_a_network_has_its_numbers(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"inputs": {"image": 3, "flow": 2}, "tasks": {"segmentation": 11, "depth": 1, "motion": 2}}
    card = load_card("streets")
    model = swath.create_model("deeplabv3plus_lite_mobilenetv2", num_classes=11, **options)
    swath.save("tasks.safetensors", model, classes=card.class_names, colors=card.colors, dataset="streets")
    assert main(["evaluate", "tasks.safetensors", "--limit", "1", "--json", "t.json"]) == 0
    printed = capsys.readouterr().out
    told = json.loads(Path("t.json").read_text())
    assert told["pictures"] == 1 and told["segmentation"]["pixels"] == 256 * 512 == told["motion"]["pixels"]
    for words in (f"depth RMSE {told['depth']['rmse']:.2f} m", "motion mIoU", "Bicyclist"):
        assert words in printed
    assert main(["evaluate", "tasks.safetensors", "--card", "card.yaml"]) == 2
    assert "takes image and flow, the card shapes supplies no flow" in capsys.readouterr().err
    assert main(["evaluate", "tasks.safetensors", "--flip"]) == 2
    assert "--flip is for networks that make label maps of pictures" in capsys.readouterr().err


def test_tasks_without_a_truth_are_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = swath.create_model("rf_lw_mtl_mobilenetv2", num_classes=4)
    swath.save("two.safetensors", model, classes=tiny.NAMES, colors=tiny.COLORS)
    assert main(["evaluate", "two.safetensors", "--card", "card.yaml"]) == 0
    assert "without a truth in card shapes, and not scored: depth" in capsys.readouterr().out


def test_torchrun_splits_the_pictures(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "w.safetensors", "--card", "card.yaml", "--boundary", "3", "--threads", "1", "--json"]
    assert main([*command, "one.json"]) == 0
    alone = capsys.readouterr().out
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "swath"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*start, *command, "two.json"], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[1:] == alone.splitlines()[1:], "printed once, the same numbers"
    assert json.loads(Path("two.json").read_text()) == json.loads(Path("one.json").read_text())
