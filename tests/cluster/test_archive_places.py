"""Where pictures of an archive come from and results go to, and how many actors a cluster gets."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from archives import PICTURES, Here, files, go

import tiny
from swath.cluster import predict_archive
from swath.cluster.listing import Listing, read_part, share_out, write_listing
from swath.cluster.machine import Node, Trial, crew, try_out
from swath.cluster.places import Folder, open_place
from swath.cluster.sources import Reader, entries, locate, origin_of, png_name
from swath.cluster.worker import Job, Model
from swath.errors import SwathError
from swath.inference import Views


def listed(name: str, out: str = "out") -> list[str]:
    return list(entries(origin_of(name), str(Path(out).absolute())))


@pytest.fixture
def server(archive: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(archive))) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_a_folder_in_order_without_hidden_files_and_results(archive: Path) -> None:
    for file in (".hidden.png", ".git/x.png", "results/y.png", "note.txt", "z.PNG"):
        Path("in", file).parent.mkdir(exist_ok=True)
        Path("in", file).write_bytes(b"")
    found = listed("in", "in/results")
    assert found[0] == "z.PNG" and found[1] == "a/broken.jpg" and len(found) == PICTURES + 2
    assert found[1:] == sorted(found[1:])


def test_a_web_server_lists_the_same(archive: Path, server: str) -> None:
    Path("in/a/an odd näme#1.png").write_bytes(b"odd")
    assert sorted(listed(f"{server}/in")) == sorted(listed("in"))
    assert Reader(f"{server}/in")("a/an odd näme#1.png") == b"odd"


def test_a_list_of_addresses(here: Here, archive: Path, server: str) -> None:
    Path("list.txt").write_text(
        f"# chosen\nin/a/p000.jpg\n\n./in/b/c/p001.png\n{server}/in/a/p002.png\n{archive}/in/a/p004.png\n"
    )
    assert predict_archive("w.safetensors", "list.txt", "out", tell=lambda line: None).done == 4
    host = server.removeprefix("http://")
    inside = str(archive).lstrip("/")
    assert sorted(files("out")) == sorted(
        ["bad.csv", "in/a/p000.png", "in/b/c/p001.png", f"{host}/in/a/p002.png", f"{inside}/in/a/p004.png"]
    )


def test_an_object_store_in_and_out(here: Here, archive: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec (swath[ray]) knows object stores")
    store = fsspec.filesystem("memory")
    for path in Path("in").rglob("*.*"):
        store.pipe_file(f"/bucket/{path.as_posix()}", path.read_bytes())
    go("local")
    more = {"each": 4, "batch": 2, "tell": lambda line: None}
    address = "memory://bucket/in"
    here.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        predict_archive("w.safetensors", address, "memory://bucket/in/results", **more)
    here.stop_after, here.parts = None, []
    found = predict_archive("w.safetensors", address, "memory://bucket/in/results", **more)
    assert found.done == PICTURES and len(here.parts) == 4
    top = "/bucket/in/results/"
    names = {path.removeprefix(top) for path in store.find(top) if "_swath" not in path} - {"summary.json"}
    expected = files("local")
    assert names == set(expected)
    assert all(store.cat_file(top + name) == expected[name] for name in names)
    store.rm("/bucket", recursive=True)


def test_two_pictures_that_would_be_one_file(here: Here, archive: Path) -> None:
    Path("in/a/p002.jpg").write_bytes(Path("in/a/p000.jpg").read_bytes())
    with pytest.raises(SwathError, match=r"a/p002.jpg and a/p002.png would both become a/p002.png"):
        go()
    assert go(kind="stats-csv").done == PICTURES + 1
    Path("twice.txt").write_text("in/a/p000.jpg\nin/a/p002.png\nin/a/p000.jpg\n")
    with pytest.raises(SwathError, match=r"listed twice \(pictures 1 and 3\)"):
        predict_archive("w.safetensors", "twice.txt", "other", "parquet", tell=lambda line: None)


def test_mistakes_are_told_before_anything_is_begun(here: Here, archive: Path) -> None:
    Path("empty").mkdir()
    Path("up.txt").write_text("../in/a/p000.jpg\n")
    for source, out, message in (
        ("nowhere", "out", "nowhere: no such folder"),
        ("in/a/p000.jpg", "out", "is one file"),
        ("empty", "out", "empty: holds no pictures"),
        ("up.txt", "out", "without '..'"),
        ("in", "http://host/out", "a web server takes no results"),
        ("in", "w.safetensors", "w.safetensors"),
        ("nokind://x/y", "out", "nokind"),
    ):
        with pytest.raises(SwathError, match=message):
            predict_archive("w.safetensors", source, out, tell=lambda line: None)
    with pytest.raises(SwathError, match="no such file"):
        predict_archive("none.safetensors", "in", "out", tell=lambda line: None)
    assert not here.parts


def test_entries_and_names() -> None:
    assert locate("/data", "a/b.jpg") == ("/data", "a/b.jpg")
    assert locate("/data", "/other/b.jpg") == ("/", "other/b.jpg")
    assert locate("s3://b/x", "a.jpg") == ("s3://b/x", "a.jpg")
    assert locate("/data", "s3://b/x/a.jpg") == ("s3://b", "x/a.jpg")
    assert locate("/data", "file:///x/a.jpg") == ("/", "x/a.jpg")
    assert png_name("a/b.c.jpg") == "a/b.c.png"
    assert png_name("s3://b/x/a.jpg") == "b/x/a.png"
    assert png_name("/x/a.jpg") == "x/a.png"


def test_parts_are_the_whole_listing(tmp_path: Path) -> None:
    place = Folder(str(tmp_path))
    for count in (1, 2, 7, 8, 9, 40):
        names = [f"päth/{index} with spaces.jpg" for index in range(count)]
        listing = write_listing(names, place, "list", str, each=4)
        parts = [read_part(place, "list", listing.part(number)) for number in range(len(listing.ends))]
        assert [name for part in parts for name in part] == names
        assert [len(part) for part in parts] == [listing.size(number) for number in range(len(parts))]
    assert (share_out(10), share_out(4000), share_out(10**8)) == (8, 16, 1024)
    assert Listing(9, 4, [1, 2, 3]).size(2) == 1


def test_files_that_are_not_object_stores_are_renamed_into_place(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec (swath[ray]) knows object stores")
    place = open_place(f"local://{tmp_path}/deep")
    assert place.names("x") == [] and place.read("x/a") is None
    place.write("x/a", b"one")
    place.write("x/a", b"two")
    (tmp_path / "made").write_bytes(b"long")
    place.take("x/b", tmp_path / "made")
    assert place.names("x") == ["a", "b"] and place.read("x/a") == b"two" and place.range("x/b", 1, 2) == b"on"
    place.remove("x/a")
    place.remove("x/a")
    assert sorted(path.name for path in (tmp_path / "deep/x").iterdir()) == ["b"]


def test_a_worker_tries_the_model(archive: Path) -> None:
    job = Job(Model.of(Path("w.safetensors")), None, "cpu", Views(), None, "png", str(archive / "in"), "out", "run")
    found = try_out(job, ["a/broken.jpg", "a/p002.png", "b/c/p001.png"], None)
    assert found.class_names == tiny.NAMES and found.memory > 1e8 and found.seconds and found.batch in (1, 2, 4, 8)
    assert re.match(r"64x56: [\d.e+]+ ms a picture in batches of \d, ", found.why)
    assert try_out(job, ["b/c/p001.png"], 3).batch == 3
    found = try_out(job, ["a/broken.jpg"], None)
    assert found.batch == 1 and "none of the pictures" in found.why
    bad = replace(job, model=Model("w.safetensors", False, {"w.safetensors": b"no weights"}))
    with pytest.raises(SwathError, match=r"^w\.safetensors: "):
        try_out(bad, [], None)


def test_a_processor_is_left_for_reading() -> None:
    trial = Trial(["a"], "torch", 1, "", int(1e9), 0.01)
    for nodes, actors, cpus, threads in (
        ([Node(2, 0, 8e9)], 2, 0.5, 1),
        ([Node(1, 0, 8e9)], 1, 0.5, 1),
        ([Node(1, 0, 8e9)] * 3, 3, 0.66, 1),
        ([Node(16, 0, 64e9)] * 4, 64, 0.98, 1),
        ([Node(16, 0, 6e9), Node(0, 0, 1e9)], 3, 1.0, 5),  # memory for three
    ):
        found = crew(nodes, trial, None, gpu=False)
        assert (found.actors, found.cpus, found.threads) == (actors, cpus, threads)
        assert found.actors * found.cpus <= max(0.5, sum(node.cpus for node in nodes) - 1)
    assert crew([Node(8, 0, 8e9)], trial, 2, gpu=False).threads == 4
    found = crew([Node(16, 4, 64e9)] * 2, trial, None, gpu=True)
    assert (found.actors, found.gpus, found.cpus, found.threads) == (8, 1, 3.75, 3)
    with pytest.raises(SwathError, match="no GPU"):
        crew([Node(8, 0, 8e9)], trial, None, gpu=True)
