"""An archive, every picture exactly once, whatever happens on the way. The cluster is this process (archives.py)."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from archives import PICTURES, Death, Here, files, go

import tiny
from swath import Segmenter
from swath.cli.main import main
from swath.cluster import label_map
from swath.cluster.places import Folder
from swath.cluster.worker import Worker
from swath.data import read_image, read_label_raw
from swath.errors import SwathError
from swath.inference import Views
from swath.weights import shipped


def good() -> list[str]:
    return sorted(
        path.relative_to("in").as_posix()
        for path in Path("in").rglob("*.*")
        if path.is_file() and "broken" not in path.name
    )


def rows(out: str) -> list[dict]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (swath[ray]) writes tables")
    return [row for path in sorted(Path(out).glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def test_labels_in_the_same_tree(here: Here, archive: Path) -> None:
    found = go()
    assert (found.pictures, found.done, found.now) == (PICTURES + 1, PICTURES, PICTURES + 1)
    assert sorted(files("out")) == sorted([*(str(Path(name).with_suffix(".png")) for name in good()), "bad.csv"])
    segmenter = Segmenter("w.safetensors")
    pixels = np.zeros(4)
    for name in good():
        labels = read_label_raw(Path("out", name).with_suffix(".png"))
        assert np.array_equal(labels, segmenter(f"in/{name}").labels)
        pixels += np.bincount(labels.ravel(), minlength=4)
    assert [found.shares.get(name, 0) for name in tiny.NAMES] == pytest.approx(list(pixels / pixels.sum()))
    assert list(csv.reader(io.StringIO(Path("out/bad.csv").read_text()))) == [["name", "reason"], *found.bad]
    assert [name for name, _ in found.bad] == ["a/broken.jpg"] and "is not a picture" in found.bad[0][1]
    assert json.loads(Path("out/summary.json").read_text())["done"] == PICTURES


def test_weights_that_come_with_swath(here: Here, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("package").mkdir()
    monkeypatch.setattr(shipped, "FOLDER", Path("package"))
    tiny.weights(Path("package", "small.safetensors"), notes={"short_side": 40})
    segmenter = Segmenter("small", views=Views(short_side=40))
    assert main(["predict", "small", "in", "--engine", "ray", "--out", "out"]) == 1  # one is broken
    for name in good():
        assert np.array_equal(read_label_raw(Path("out", name).with_suffix(".png")), segmenter(f"in/{name}").labels)


def test_masks_in_tables(here: Here, archive: Path) -> None:
    go(kind="parquet")
    found = rows("out")
    assert [row["name"] for row in found] == good()
    segmenter = Segmenter("w.safetensors")
    for row in found:
        labels = segmenter(f"in/{row['name']}").labels
        assert np.array_equal(label_map(row["height"], row["width"], row["classes"], row["counts"]), labels)
        assert row["areas"] == [int((labels == value).sum()) for value in row["classes"]]
        assert row["engine"].startswith("torch") and len(row["model"]) == 32


@pytest.mark.parametrize("kind", ["stats", "stats-csv"])
def test_statistics(here: Here, archive: Path, kind: str) -> None:
    go(kind=kind)
    if kind == "stats":
        found = rows("out")
    else:
        found = [
            row
            for path in sorted(Path("out").glob("part-*.csv"))
            for row in csv.DictReader(io.StringIO(path.read_text()))
        ]
    assert [row["name"] for row in found] == good()
    segmenter = Segmenter("w.safetensors")
    for row in found:
        (answer,) = segmenter.answers([read_image(f"in/{row['name']}")], confidence=True)
        assert float(row["mean_confidence"]) == pytest.approx(answer.confidence.mean(), abs=1e-5)
        shares = [float(row[f"share_{name}"]) for name in tiny.NAMES]
        assert shares == pytest.approx(
            (np.bincount(answer.labels.ravel(), minlength=4) / answer.labels.size).tolist(), abs=1e-5
        )


def test_unsure_pixels_have_no_class(here: Here, archive: Path) -> None:
    go(unsure=0.9)
    segmenter = Segmenter("w.safetensors", unsure=0.9)
    found = [read_label_raw(Path("out", name).with_suffix(".png")) for name in good()]
    assert all(np.array_equal(labels, segmenter(f"in/{name}").labels) for labels, name in zip(found, good()))
    assert any((labels == 255).any() for labels in found)


def test_what_is_done_is_not_done_again(here: Here, archive: Path) -> None:
    go()
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")}
    here.parts.clear()
    again = go()
    assert here.parts == [] and again.done == PICTURES and again.now == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.png")}


def test_goes_on_after_ctrl_c(here: Here, archive: Path) -> None:
    here.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        go(kind="parquet")
    assert len(rows("out")) == 7 and Path("out/bad.csv").read_text().count("a/broken.jpg,") == 1
    here.stop_after = None
    assert go(kind="parquet").now == PICTURES + 1 - 8
    assert here.parts == [0, 1, 2, 3, 4, 5]
    assert [row["name"] for row in rows("out")] == good()


@pytest.mark.parametrize("kind", ["png", "stats-csv"])
def test_dies_at_any_write(here: Here, archive: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    go("whole", kind)
    inner, writes = Folder.write, 0

    def write(self: Folder, file: str, data: bytes) -> None:
        nonlocal writes
        writes -= 1
        if writes == 0:
            raise Death
        inner(self, file, data)

    monkeypatch.setattr(Folder, "write", write)
    for number in (2, 4, 7):  # the first write says what the run is; with no parts done, it begins anew
        writes, here.parts = number, []
        go(f"out{number}", kind)
        assert len(here.parts) == 7 and files(f"out{number}") == files("whole")


def test_another_model_or_other_settings_are_refused(here: Here, archive: Path) -> None:
    go()
    before = files("out")
    for message, change in (
        ("begun with as png, this is parquet", {"kind": "parquet"}),
        ("begun with views", {"views": Views(flip=True)}),
        ("begun with unsure null, this is 0.5", {"unsure": 0.5}),
        ("begun with pictures a part 4, this is 5", {"each": 5}),
    ):
        with pytest.raises(SwathError, match=message):
            go(**change)
    import swath

    swath.save("w.safetensors", tiny.network(), classes=["other", *tiny.NAMES[1:]], colors=tiny.COLORS)
    with pytest.raises(SwathError, match="begun with model"):
        go()
    assert files("out") == before


def test_a_mended_picture_is_tried_again_when_asked(here: Here, archive: Path) -> None:
    go(kind="parquet")
    cv2.imwrite("in/a/broken.jpg", tiny.picture(3))
    assert len(go(kind="parquet").bad) == 1
    assert go(kind="parquet", retry=True).bad == []
    assert [row["name"] for row in rows("out")] == sorted([*good(), "a/broken.jpg"])


def test_a_picture_that_kills_is_found_and_left_alone(
    here: Here, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Worker._picture

    def picture(self: Worker, name: str) -> object:
        if name == "b/c/p005.png":
            raise Death
        return inner(self, name)

    monkeypatch.setattr(Worker, "_picture", picture)
    found = go(kind="parquet")
    assert sorted(name for name, _ in found.bad) == ["a/broken.jpg", "b/c/p005.png"]
    assert "died of it" in dict(found.bad)["b/c/p005.png"]
    assert [row["name"] for row in rows("out")] == [name for name in good() if name != "b/c/p005.png"]


def test_one_that_the_network_refuses_takes_no_other_with_it(
    here: Here, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite("in/a/huge.png", np.zeros((50, 200, 3), np.uint8))
    inner = Segmenter.answers

    def answers(self: Segmenter, images: list, confidence: bool = False) -> object:
        if any(image.shape[1] == 200 for image in images):
            raise MemoryError("of 9 GB")
        return inner(self, images, confidence)

    monkeypatch.setattr(Segmenter, "answers", answers)
    found = go(batch=4)
    assert dict(found.bad)["a/huge.png"] == "MemoryError: of 9 GB" and found.done == PICTURES


def test_a_broken_device_is_not_the_pictures_fault(here: Here, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(self: Segmenter, images: list, confidence: bool = False) -> object:
        if here.passes:
            raise RuntimeError("the device fell off the bus")
        return inner(self, images, confidence)

    inner = Segmenter.answers
    monkeypatch.setattr(Segmenter, "answers", answers)
    with pytest.raises(
        SwathError, match=r"part 0 \(from a/broken.jpg on\) could not be done in 5 attempts: RuntimeError: the device"
    ):
        go()
    assert list(files("out")) == ["bad.csv"]
    here.passes = -1  # the pass that begins is number 0
    assert go().done == PICTURES


def test_results_that_cannot_be_written_stop_the_run(
    here: Here, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Folder.write

    def write(self: Folder, file: str, data: bytes) -> None:
        if file == "b/c/p005.png":
            raise SwathError(f"{file}: no room left on the disk")
        inner(self, file, data)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", write)
        with pytest.raises(
            SwathError, match=r"no room left on the disk; what is done is kept, the same command goes on"
        ):
            go()
    assert go().done == PICTURES


def test_command_line(here: Here, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "w.safetensors", "in", "--out", "out", "--engine", "ray"]
    assert main([*words, "--as", "stats-csv"]) == 1
    told = capsys.readouterr()
    assert "in: 22 pictures in 3 parts of up to 8\n" in told.out
    assert "2 actors of 1 thread (2 cores on 1 machine" in told.out and "21 of 22 pictures -> out" in told.out
    assert "1 of 22 pictures were not segmented; all of them are listed in bad.csv" in told.err
    Path("in/a/broken.jpg").unlink()
    assert main([*words[:4], "other", *words[5:]]) == 0
    for more, message in (
        (["--write", "overlay"], "--write does not go with --engine ray"),
        (["--device", "cuda:1"], "on a cluster it is cpu or cuda"),
        (["--as", "pgn"], "did you mean 'png'?"),
        (["in"], "takes one folder"),
    ):
        assert main([*words[:3], *more, *words[3:]]) == 2
        assert message in capsys.readouterr().err
    assert main(["predict", "w.safetensors", "in", "--out", "out", "--retry"]) == 2
    assert "--retry goes with --engine ray" in capsys.readouterr().err


def test_importing_is_cheap() -> None:
    heavy = ("torch", "ray", "numpy", "pyarrow")
    code = f"import swath.cluster, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
