"""Shards: the same pictures, labels and windows as the folder's, from a disk, a web server and an object store."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from swath import SwathError
from swath.cards import Card, load_card
from swath.data import Windows, WindowSpec
from swath.data.shards import ShardSource, open_shards, plan_shards, web, write_shards
from swath.data.shards.cache import Cache
from swath.training.stream import Stream

CARD = """
name: tiny
classes: {road: 250 0 0, sky: 10 20 30, thing: 0 0 250}
images: "{split}/pictures/{id}.*"
labels: "{split}/labels/{id}.png"
label_values: {7: road, 8: sky, 9: thing, 255: ignore}
splits: {train: {}, val: {}}
"""
NAMES = ("a/one.v1", "a/one_v1", "b/two", "b/drei", "f", "z")


@pytest.fixture
def card(tmp_path: Path) -> Card:
    """Pictures of several kinds and sizes; `a/one.v1` and `a/one_v1` want the same key."""
    rng = np.random.default_rng(3)
    folder = tmp_path / "tiny"
    for split, names in (("train", NAMES), ("val", ("only",))):
        for number, name in enumerate(names):
            height, width = 40 + number, 64
            picture = cv2.resize(rng.integers(0, 256, (5, 8, 3), np.uint8), (width, height))
            path = folder / split / "pictures" / f"{name}.{'jpg' if number % 2 else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            path = folder / split / "labels" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.choice(np.array([7, 8, 9, 255], np.uint8), (height, width))).save(path)
    (folder / "tiny.yaml").write_text(CARD)
    return load_card(folder / "tiny.yaml")


@pytest.fixture
def shards(card: Card, tmp_path: Path) -> Path:
    """Several shards of train, one of val."""
    write_shards(card, ["train", "val"], None, tmp_path / "shards", shard_bytes=20_000)
    return tmp_path / "shards"


class Server(SimpleHTTPRequestHandler):
    """Files with ranges, and troubles: `trouble` may answer a request in its own way, and then says True."""

    protocol_version = "HTTP/1.1"
    ranges = True
    trouble: Callable[[Server, str], bool] = staticmethod(lambda server, path: False)

    def do_GET(self) -> None:
        if type(self).trouble(self, self.path):
            return
        asked = self.headers.get("Range")
        if not asked or not self.ranges:
            super().do_GET()
            return
        first, last = (int(each) for each in asked.removeprefix("bytes=").split("-"))
        data = Path(self.translate_path(self.path)).read_bytes()
        self.answer(206, data[first : last + 1], f"bytes {first}-{last}/{len(data)}")

    def answer(self, status: int, data: bytes, content_range: str = "", cut: int | None = None) -> None:
        self.send_response(status)
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(web, "_wait", lambda seconds: None)
    monkeypatch.setattr(Server, "trouble", staticmethod(lambda server, path: False))
    monkeypatch.setattr(Server, "ranges", True)
    made = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Server(*given, directory=str(shards)))
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join()


def same(one: object, other: object) -> bool:
    """Every picture, label, name and size of two sources."""
    assert len(one) == len(other)
    return all(
        one.name(i) == other.name(i)
        and one.size(i) == other.size(i)
        and np.array_equal(one.image(i), other.image(i))
        and np.array_equal(one.labels(i), other.labels(i))
        for i in range(len(one))
    )


def test_a_folder_of_shards_is_the_dataset(card: Card, shards: Path) -> None:
    for split in ("train", "val"):
        assert same(open_shards(card, split, shards), card.open(split))
    assert len(list(shards.glob("train-*.tar"))) > 1


def test_parts_are_the_parts(card: Card, shards: Path) -> None:
    source, folder = open_shards(card, "train", shards), card.open("train")
    for index in range(len(source)):
        got = source.cut(index, slice(3, 17), slice(5, 60), ["labels", "image"])
        assert np.array_equal(got["image"], folder.image(index)[3:17, 5:60])
        assert np.array_equal(got["labels"], folder.labels(index)[3:17, 5:60])
        assert got["labels"].flags.c_contiguous


def test_windows_and_batches_are_those_of_the_folder(card: Card, served: str) -> None:
    spec = WindowSpec((24, 32), brightness=0.3, hue=0.1)
    ours, theirs = (Windows(each, spec, seed=4) for each in (open_shards(card, "train", served), card.open("train")))
    pairs = zip(Stream(ours, 2, seed=1, workers=1).batches(1, 6), Stream(theirs, 2, seed=1).batches(1, 6))
    for mine, folder in pairs:
        assert all(np.array_equal(mine[key], folder[key]) for key in ("image", "labels", "index"))


def test_other_readers_of_such_tars_find_the_files(card: Card, shards: Path) -> None:
    folder, seen = card.open("train"), {}
    for path in sorted(shards.glob("train-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                base, _, suffix = member.name.rpartition("/")[2].partition(".")
                key = member.name[: len(member.name) - len(suffix) - 1]
                assert base and key.endswith(base)
                seen.setdefault(key, {})[suffix] = tar.extractfile(member).read()
    assert len(seen) == len(NAMES)
    for index, files in enumerate(seen.values()):
        told = json.loads(files["json"])
        assert (told["name"], told["split"]) == (folder.name(index), "train")
        kind = folder.pairs[index].image.suffix[1:]
        assert files[kind] == folder.pairs[index].image.read_bytes()
        assert np.array_equal(np.array(Image.open(io.BytesIO(files["labels.png"]))), folder.labels(index))


def test_maps_come_along(tmp_path: Path) -> None:
    streets = load_card("streets")
    write_shards(streets, ["train"], None, tmp_path / "s", maps=["depth", "flow"], count=2, size=(64, 128), jobs=2)
    source, drawn = open_shards(streets, "train", tmp_path / "s"), streets.open("train", count=2, size=(64, 128))
    assert source.maps == {"depth": 1, "flow": drawn.maps["flow"]}
    assert same(source, drawn)
    for name in source.maps:
        assert np.array_equal(source.map(1, name), drawn.map(1, name))
    with pytest.raises(SwathError, match="hold no motion"):
        source.cut(0, slice(None), slice(None), ["motion"])


def test_writing_goes_on_where_it_was_interrupted(card: Card, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    write_shards(card, ["train"], None, whole, shard_bytes=20_000)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(card, ["train"], None, broken, shard_bytes=20_000, told=stop)
    assert not (broken / "shards.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in broken.glob("*.tar")}
    assert 0 < len(kept) < len(list(whole.glob("*.tar")))
    said: list[tuple[int, int]] = []
    write_shards(card, ["train"], None, broken, shard_bytes=20_000, told=lambda *numbers: said.append(numbers))
    assert {name: (broken / name).stat().st_mtime_ns for name in kept} == kept
    assert said[-1] == (len(NAMES), len(NAMES)) and said[0][0] > 1
    for path in whole.iterdir():
        if path.suffix == ".tar" or path.name == "shards.json":
            assert (broken / path.name).read_bytes() == path.read_bytes(), path.name
    assert {path.name for path in broken.iterdir()} == {path.name for path in whole.iterdir()}


def test_a_split_can_be_added_and_a_changed_picture_is_written_anew(card: Card, tmp_path: Path) -> None:
    out = tmp_path / "s"
    write_shards(card, ["val"], None, out)
    write_shards(card, ["train"], None, out, shard_bytes=20_000)
    assert same(open_shards(card, "val", out), card.open("val"))
    many = len(list(out.glob("train-*.tar")))
    changed = card.open("train").pairs[0].image
    Image.fromarray(np.full((40, 64, 3), 7, np.uint8)).save(changed)
    write_shards(card, ["train"], None, out)  # all in one shard
    assert same(open_shards(card, "train", out), card.open("train"))
    assert many > len(list(out.glob("train-*.tar"))) == len(list(out.glob("train-*.json"))) == 1


def test_a_plan_tells_what_will_be_written(card: Card, tmp_path: Path) -> None:
    plan = plan_shards(card, ["train", "val"], shard_bytes=20_000)
    write_shards(card, ["train", "val"], None, tmp_path / "s", shard_bytes=20_000)
    tars = list((tmp_path / "s").glob("*.tar"))
    assert (plan.pictures, plan.shards) == (len(NAMES) + 1, len(tars))
    assert plan.bytes == pytest.approx(sum(path.stat().st_size for path in tars), rel=0.3)


def test_what_is_broken_is_not_written(card: Card, tmp_path: Path) -> None:
    path = card.open("train").pairs[2].image
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SwathError, match=path.name):
        write_shards(card, ["train"], None, tmp_path / "s")
    assert not list((tmp_path / "s").glob("*.tar")) and not list((tmp_path / "s").glob(".*"))


def test_a_web_server_gives_the_same(card: Card, served: str) -> None:
    assert same(open_shards(card, "train", served), card.open("train"))
    source = pickle.loads(pickle.dumps(open_shards(card, "train", served + "/")))
    source.ahead([0, 3], ("image", "labels"))
    for index in (3, 0, 1):
        got = source.cut(index, slice(0, 9), slice(0, 9), ("image", "labels"))
        assert np.array_equal(got["image"], card.open("train").image(index)[:9, :9])


def test_a_fork_does_not_wait_for_what_its_parent_fetches(card: Card, served: str) -> None:
    source = open_shards(card, "train", served)
    source.ahead(range(len(source)), ("image", "labels"))
    child = multiprocessing.get_context("fork").Process(
        target=lambda: [source.cut(i, slice(0, 9), slice(0, 9), ("image", "labels")) for i in range(len(source))]
    )
    child.start()
    child.join(20)
    assert child.exitcode == 0


def test_passing_troubles_are_passed_over(card: Card, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = ["503", "cut", "429", "drop"]

    def trouble(server: Server, path: str) -> bool:
        if not path.endswith(".tar") or not left:
            return False
        kind = left.pop(0)
        if kind == "drop":
            server.close_connection = True
        elif kind == "cut":
            server.answer(206, bytes(4000), "bytes 0-3999/9999", cut=100)
            server.close_connection = True
        else:
            server.answer(int(kind), b"later")
        return True

    monkeypatch.setattr(Server, "trouble", staticmethod(trouble))
    source = open_shards(card, "train", served)
    assert np.array_equal(source.image(0), card.open("train").image(0))
    assert not left


@pytest.mark.parametrize(
    ("status", "said"), [(404, "no such file"), (403, "does not let you"), (500, "status 500"), (416, "cut off")]
)
def test_lasting_troubles_name_address_and_status(
    card: Card, served: str, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    asked = []

    def trouble(server: Server, path: str) -> bool:
        if not path.endswith(".tar"):
            return False
        asked.append(path)
        server.answer(status, b"no")
        return True

    monkeypatch.setattr(Server, "trouble", staticmethod(trouble))
    source = open_shards(card, "train", served)
    with pytest.raises(SwathError, match=rf"http://.*\.tar: .*{status}") as caught:
        source.image(0)
    assert said in str(caught.value) and len(asked) == (web.TRIES if status == 500 else 1)


def test_a_server_without_ranges_is_told_apart(card: Card, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "ranges", False)
    with pytest.raises(SwathError, match="whole files only"):
        open_shards(card, "train", served).image(0)


def test_redirections_are_followed(card: Card, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(server: Server, path: str) -> bool:
        if not path.startswith("/there/"):
            return False
        server.send_response(302)
        server.send_header("Location", path.removeprefix("/there") if "loop" not in path else path)
        server.send_header("Content-Length", "0")
        server.end_headers()
        return True

    monkeypatch.setattr(Server, "trouble", staticmethod(trouble))
    assert np.array_equal(open_shards(card, "train", served + "/there").image(1), card.open("train").image(1))
    with pytest.raises(SwathError, match="redirections"):
        open_shards(card, "train", served + "/there/loop")


def test_an_address_that_nobody_answers(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_wait", lambda seconds: None)
    with pytest.raises(SwathError, match=r"http://127.0.0.1:1/x/shards.json: no answer in 8 tries"):
        open_shards(card, "train", "http://127.0.0.1:1/x")


def test_changed_bytes_are_noticed(card: Card, shards: Path) -> None:
    source = open_shards(card, "train", shards)
    part = source.split.entry(2).parts["image"]
    path = shards / source.split.entry(2).shard
    data = bytearray(path.read_bytes())
    data[part.offset + part.length // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SwathError, match=r"\.tar: b/drei: does not have the checksum"):
        source.image(2)
    assert source.labels(2).shape == source.size(2)
    path.write_bytes(data[: part.offset])
    with pytest.raises(SwathError, match="shorter than shards"):
        source.image(2)


def test_an_object_store_by_fsspec(card: Card, shards: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for path in shards.iterdir():
        files.pipe_file(f"/bucket/deep/{path.name}", path.read_bytes())
    source = open_shards(card, "train", "memory://bucket/deep")
    assert same(pickle.loads(pickle.dumps(source)), card.open("train"))
    files.rm_file("/bucket/deep/train-00000.tar")
    with pytest.raises(SwathError, match=r"memory://bucket/deep/train-00000.tar: there is no such file"):
        source.image(0)
    for address, said in (("nokind://x", "no known kind"), ("memory://nowhere", "no such file")):
        with pytest.raises(SwathError, match=f"{address}.*{said}"):
            open_shards(card, "train", address)


def test_a_missing_package_is_named(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def fails(name: str) -> object:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(importlib, "import_module", fails)
    with pytest.raises(SwathError, match=r"s3://bucket: needs a package .*s3fs"):
        open_shards(card, "train", "s3://bucket")


def test_a_cache_spares_the_second_reading(
    card: Card, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_shards(card, "train", served, cache=tmp_path / "cache")
    assert same(source, card.open("train"))
    kept = list((tmp_path / "cache").glob("*/*"))
    assert len(kept) == 2 * len(NAMES)
    kept[0].write_bytes(b"spoilt")
    asked: list[str] = []
    monkeypatch.setattr(Server, "trouble", staticmethod(lambda server, path: asked.append(path)))
    assert same(source, card.open("train"))
    assert len(asked) == 1  # what was spoilt


def test_a_cache_is_bounded_and_drops_the_longest_unused(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000, "about")
    for number in range(9):
        cache.put(f"k{number}", bytes([number]) * 100)
        os.utime(cache.folder / f"k{number}", (number, number))
    assert cache.get("k0") == bytes(100)  # used now, so the last to go
    for number in range(9, 12):
        cache.put(f"k{number}", bytes([number]) * 100)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 1000
    assert cache.get("k0") is not None and cache.get("k11") is not None and cache.get("k1") is None


def test_shards_of_other_classes_or_values_are_refused(card: Card, shards: Path, tmp_path: Path) -> None:
    def other(old: str, new: str) -> Card:
        path = tmp_path / "tiny" / "other.yaml"
        path.write_text(CARD.replace(old, new))
        return load_card(path)

    with pytest.raises(SwathError, match="3 classes of card 'tiny'"):
        open_shards(other("thing", "stuff"), "train", shards)
    with pytest.raises(SwathError, match="the card has changed since"):
        open_shards(other("255: ignore", "254: ignore"), "train", shards)
    with pytest.raises(SwathError, match="choose another folder"):
        write_shards(other("thing", "stuff"), ["train"], None, shards)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "no index"),
        ("nonsense", "no index"),
        ('{"format": "swath shards", "version": 9}', "update swath"),
        (
            '{"format": "swath shards", "version": 1, "card": "tiny", "classes": ["road", "sky", "thing"], "splits": '
            '{"train": {"rules": null, "maps": {}, "parts": ["image"], "shards": ["../../etc/x.tar"], "rows": []}}}',
            "no index",
        ),
    ],
)
def test_other_indices_are_refused(card: Card, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "shards.json").write_text(text)
    with pytest.raises(SwathError, match=rf"shards.json: .*{said}"):
        open_shards(card, "train", tmp_path)
    with pytest.raises(SwathError, match="no such file"):
        open_shards(card, "train", tmp_path / "nowhere")


def test_a_split_without_labels_has_none(card: Card, tmp_path: Path) -> None:
    path = tmp_path / "tiny" / "bare.yaml"
    path.write_text(CARD.replace('"{split}/labels/{id}.png"', "none").replace("name: tiny", "name: bare"))
    bare = load_card(path)
    write_shards(bare, ["val"], None, tmp_path / "s")
    source = open_shards(bare, "val", tmp_path / "s")
    assert isinstance(source, ShardSource) and np.array_equal(source.image(0), bare.open("val").image(0))
    with pytest.raises(SwathError, match="hold no labels"):
        source.labels(0)
