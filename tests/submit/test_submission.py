"""From weights to an archive that a server takes: the labels in it are the network's, under the server's values."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import swath
import tiny
from swath import Segmenter, SwathError, load_card
from swath.data.source import Source
from swath.submit import SERVERS, Expected, inspect, write_submission
from swath.submit.archives import kind_of, members, write_archive

PICTURES = ["berlin/berlin_000000_000019", "berlin/berlin_000001_000019", "mainz/mainz_000000_000019"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Three test pictures as they are unpacked, of two sizes, and weights for nineteen classes."""
    for index, picture in enumerate(PICTURES):
        file = tmp_path / "data" / "leftImg8bit" / "test" / f"{picture}_leftImg8bit.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), tiny.picture(index, 64 + 8 * (index % 2), 96))
    weights(tmp_path / "w.safetensors", "cityscapes")
    return tmp_path


def weights(path: Path, card_name: str, seed: int = 0) -> None:
    card = load_card(card_name)
    torch.manual_seed(seed)
    model = swath.create_model("contextnet14_160", num_classes=card.num_classes).eval()
    with torch.no_grad():
        last = [each for each in model.modules() if isinstance(each, torch.nn.Conv2d)][-1]
        last.weight.normal_(0, 30)
    swath.save(path, model, classes=card.class_names, colors=card.colors, dataset=card.name)


def opened(work: Path) -> Source:
    return load_card("cityscapes").open("test", work / "data")


def written(work: Path, name: str = "out.zip", **more: object) -> Path:
    out = work / name
    segmenter = Segmenter(work / "w.safetensors")
    write_submission(segmenter, opened(work), SERVERS["cityscapes"], out, split="test", **more)  # type: ignore[arg-type]
    return out


def test_the_labels_are_the_predictions_under_official_ids(work: Path) -> None:
    out, source = written(work), opened(work)
    segmenter = Segmenter(work / "w.safetensors")
    table = load_card("cityscapes").layouts["default"]["val"].table
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == sorted(f"{Path(each).name}_labelIds.png" for each in PICTURES)
        different = set()
        for index, picture in enumerate(PICTURES):
            image = Image.open(io.BytesIO(archive.read(f"{Path(picture).name}_labelIds.png")))
            assert image.mode == "L"
            raw = np.array(image)
            said = segmenter.label_maps([source.image(index)])[0]
            assert np.array_equal(table.apply(raw), said), "read as a truth, it is the prediction"
            different |= set(np.unique(said))
        assert len(different) > 1, "a network that says one thing proves nothing"
    seen = inspect(out, SERVERS["cityscapes"], Expected.of(source))
    assert seen.fit and seen.pictures == 3 and not [each for each in seen.findings if each.fatal]
    assert not (work / "out.zip.parts").exists()


def test_the_same_bytes_each_time(work: Path) -> None:
    first = hashlib.sha256(written(work, "a.zip").read_bytes()).hexdigest()
    assert hashlib.sha256(written(work, "b.zip").read_bytes()).hexdigest() == first
    with zipfile.ZipFile(work / "a.zip") as archive:
        infos = archive.infolist()
        assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


class Stopped(Exception):
    pass


def test_a_stopped_run_goes_on_where_it_was(work: Path) -> None:
    whole = written(work, "whole.zip").read_bytes()

    def stop(done: int, total: int) -> None:
        assert total == 3
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        written(work, watch=stop)
    assert not (work / "out.zip").exists()
    parts = sorted((work / "out.zip.parts").glob("*.png"))
    assert len(parts) == 2
    times = [part.stat().st_mtime_ns for part in parts]
    seen: list[int] = []

    def look(done: int, total: int) -> None:
        seen.append(done)
        assert [part.stat().st_mtime_ns for part in parts] == times

    written(work, watch=look)
    assert seen == [3], "only the third was left"
    assert (work / "out.zip").read_bytes() == whole


def test_predictions_of_other_weights_are_not_mixed_in(work: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        written(work, watch=stop)
    weights(work / "w.safetensors", "cityscapes", seed=1)
    with pytest.raises(SwathError, match=r"out\.zip\.parts: holds predictions of another run \(sha256: .*delete it"):
        written(work)
    shutil.rmtree(work / "out.zip.parts")
    assert written(work).exists()


def test_mistakes_are_told_before_anything_is_predicted(work: Path) -> None:
    with pytest.raises(SwathError, match=r"out\.tar\.gz: the server of Cityscapes takes a \.zip; name it cityscapes\."):
        written(work, "out.tar.gz")
    weights(work / "w.safetensors", "camvid")
    with pytest.raises(SwathError, match="has 11 classes and the card cityscapes 19"):
        written(work)
    assert sorted(path.name for path in work.iterdir()) == ["data", "w.safetensors"]


def test_two_pictures_of_one_name_are_refused(work: Path) -> None:
    copy = work / "data" / "leftImg8bit" / "test" / "bonn" / "berlin_000000_000019_leftImg8bit.png"
    copy.parent.mkdir()
    shutil.copy(work / "data" / "leftImg8bit" / "test" / f"{PICTURES[0]}_leftImg8bit.png", copy)
    with pytest.raises(SwathError, match="share a name"):
        written(work)


def test_pascal_voc_gets_a_palette_in_a_tar(tmp_path: Path) -> None:
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    names = ["2008_000006", "2008_000011"]
    for index, name in enumerate(names):
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), tiny.picture(index, 60, 80 + index))
    (root / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(names) + "\n")
    weights(tmp_path / "w.safetensors", "voc")
    card = load_card("voc")
    source, server, out = card.open("test", root), SERVERS["voc"], tmp_path / "results.tar.gz"
    write_submission(Segmenter(tmp_path / "w.safetensors"), source, server, out, split="test")
    assert kind_of(out) == "tar.gz"
    said = Segmenter(tmp_path / "w.safetensors").label_maps([source.image(0)])[0]
    files = {member.name: member.read() for member in members(out, "tar.gz")}
    assert list(files) == [f"results/VOC2012/Segmentation/comp6_test_cls/{name}.png" for name in names]
    image = Image.open(io.BytesIO(files[server.file_name(names[0])]))
    assert image.mode == "P" and np.array_equal(np.array(image), said)
    assert image.getpalette()[3:6] == list(card.colors[1])  # type: ignore[index]
    assert inspect(out, server, Expected.of(source)).fit
    again = out.read_bytes()
    write_submission(Segmenter(tmp_path / "w.safetensors"), source, server, out, split="test")
    assert out.read_bytes() == again


def test_ade20k_counts_from_one(tmp_path: Path) -> None:
    (tmp_path / "ade.yaml").write_text("extends: ade20k\nname: ade\nsplits:\n  test: {folder: testing, labels: none}\n")
    folder = tmp_path / "images" / "testing"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "ADE_test_00000001.jpg"), tiny.picture(1, 64, 80))
    weights(tmp_path / "w.safetensors", "ade20k")
    card = load_card(tmp_path / "ade.yaml")
    source, server, out = card.open("test", tmp_path), SERVERS["ade20k"], tmp_path / "a.zip"
    segmenter = Segmenter(tmp_path / "w.safetensors")
    write_submission(segmenter, source, server, out, split="test")
    ((name, data),) = [(member.name, member.read()) for member in members(out, "zip")]
    assert name == "ADE_test_00000001.png"
    raw = np.array(Image.open(io.BytesIO(data)))
    assert np.array_equal(raw, segmenter.label_maps([source.image(0)])[0] + 1)


def test_archives_keep_their_files_in_order(tmp_path: Path) -> None:
    files = []
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
        files.append((f"top/{name}.png", tmp_path / name))
    for kind in ("zip", "tar.gz"):
        out = tmp_path / f"out.{kind}"
        write_archive(out, kind, files)  # type: ignore[arg-type]
        assert kind_of(out) == kind
        found = [(member.name, member.size, member.read()) for member in members(out, kind)]
        assert found == [("top/a.png", 1000, b"a" * 1000), ("top/b.png", 1000, b"b" * 1000)]
