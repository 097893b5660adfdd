"""Packed sets: the same pictures as their source's, to the byte; nothing damaged is used."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from swath import SwathError
from swath.cards import Card, load_card
from swath.data import Source, Windows, WindowSpec
from swath.data.packed import PackedSource, pack, part, plan, plan_packing, verify
from swath.data.source import supplied
from yard import SIZES, card_file, contents, do, read, same, write


def spec() -> WindowSpec:
    return WindowSpec((48, 64), brightness=0.3, contrast=0.2, saturation=0.2, hue=0.1)


def same_windows(one: Source, other: Source, maps: tuple[str, ...] = (), images: bool = True) -> None:
    first, second = Windows(one, spec(), 5, maps), Windows(other, spec(), 5, maps)
    for epoch in range(6):
        for index in range(len(other)):
            got, wanted = first[epoch, index], second[epoch, index]
            for name in wanted if images else ("labels", *maps):
                assert np.array_equal(got[name], wanted[name]), (name, epoch, index)


def test_packed_pictures_are_those_of_the_folder(yard: Card, tmp_path: Path) -> None:
    planned = do(yard)
    assert len(planned.todo) > 3 and planned.exact
    packed = tmp_path / "packed"
    for split in ("train", "val", "train+val"):
        same(yard.open(split, packed), yard.open(split, tmp_path / "source"))
    same_windows(yard.open("train", packed), yard.open("train", tmp_path / "source"))
    assert verify(packed) == []
    written = sum(path.stat().st_size for path in packed.iterdir())
    assert planned.needed < written < planned.needed + 30_000  # what was announced, and the index


def test_a_split_without_labels_is_packed_as_pictures(yard: Card, tmp_path: Path) -> None:
    do(yard)
    test = yard.open("test", tmp_path / "packed")
    same(test, yard.open("test", tmp_path / "source"), labels=False)
    with pytest.raises(SwathError, match="'test' of card 'yard' has no labels"):
        test.labels(0)


def test_jpeg_is_smaller_and_keeps_labels(yard: Card, tmp_path: Path) -> None:
    do(yard, packing="raw", splits=["train"])
    raw = sum(map(len, contents(tmp_path / "packed").values()))
    planned = do(yard, packing="jpeg", splits=["train"])
    assert not planned.exact and "NOT" in plan.FORMATS["jpeg"]
    files = contents(tmp_path / "packed")
    assert sum(map(len, files.values())) < raw / 2
    assert 0.5 < planned.needed / sum(map(len, files.values())) < 1.5
    assert {len(part.file) and part.file for part in read(tmp_path / "packed").parts} == files.keys() - {"pack.json"}
    packed, folder = yard.open("train", tmp_path / "packed"), yard.open("train", tmp_path / "source")
    same_windows(packed, folder, images=False)
    for index in range(len(folder)):
        off = np.abs(packed.image(index).astype(int) - folder.image(index))
        assert off.mean() < 2.5 and off.max() < 40


@pytest.mark.parametrize("packing", ["raw", "jpeg"])
def test_maps_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    streets = load_card("streets")
    options = {"count": 3, "size": (70, 96)}
    drawn = streets.open("train", **options)
    monkeypatch.setattr(Card, "_generate", lambda self, split, given: drawn)
    pack(plan_packing(streets, tmp_path / "packed", splits=["train"], packing=packing), 1)
    packed = streets.open("train", tmp_path / "packed", **options)
    assert isinstance(packed, PackedSource) and packed.maps == supplied(drawn) == {"depth": 1, "flow": 2, "motion": 1}
    for name in packed.maps:
        assert np.array_equal(packed.map(1, name), drawn.map(1, name))
        assert packed.map(1, name).dtype == drawn.map(1, name).dtype
    same_windows(packed, drawn, ("depth", "flow", "motion"), images=packing == "raw")


def test_a_generator_gives_way_to_what_was_packed_of_it(tmp_path: Path) -> None:
    streets = load_card("streets")
    small = [{**vars(info), "count": 4, "size": (32, 64)} for info in streets.split_infos]
    streets = Card(**{**vars(streets), "split_infos": tuple(type(streets.split_infos[0])(**info) for info in small)})
    pack(plan_packing(streets, tmp_path, splits=["val"]), 1)
    some = streets.open("val", tmp_path, count=2)
    same(some, streets.open("val", count=2))
    for other in ({"count": 5}, {"size": (64, 128)}, {"seed": 1}):
        with pytest.raises(SwathError, match="holds 4 pictures of 64 x 32 pixels, others are asked for"):
            streets.open("val", tmp_path, **other)


def test_instances_are_packed_and_missing_files_told(yard: Card, tmp_path: Path) -> None:
    card = card_file(tmp_path, instances="{split}/objects/{id}.png", splits=["train"])
    planned = do(card)
    assert re.match("instances is left out: .*objects/town/000.png", planned.splits[0].left_out[0])
    with pytest.raises(SwathError, match="was packed without instances"):
        card.open("train", tmp_path / "packed").instances(0)
    numbers = {}
    for index in range(9):
        numbers[index] = np.full(SIZES[index % 6], 7000 + index, np.uint16)
        write(tmp_path / f"source/train/objects/town/{index:03}.png", numbers[index])
    do(card)
    assert np.array_equal(card.open("train", tmp_path / "packed").instances(8), numbers[8])


def test_only_needed_rows_are_read(yard: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do(yard)
    source = yard.open("train", tmp_path / "packed")
    read: list[int] = []
    inner = part.PartFiles.read

    def counted(self: part.PartFiles, number: int, start: int, stop: int) -> np.ndarray:
        read.append(stop - start)
        return inner(self, number, start, stop)

    monkeypatch.setattr(part.PartFiles, "read", counted)
    for _ in range(2):
        source.cut(0, slice(70, 80), slice(5, 9), ["image", "labels"])
    height, width = source.size(0)
    assert (height, width) == (150, 210)
    # First the whole band of 64 rows, for its checksum; then the rows alone.
    assert read == [64 * width * 3, 64 * width, 10 * width * 3, 10 * width]


def test_a_flipped_bit_is_refused(yard: Card, tmp_path: Path) -> None:
    do(yard)
    split = read(tmp_path / "packed")
    picture = split.pictures[2]
    at = picture.arrays[1].at + 70 * picture.size[1] + 11  # row 70 of its labels
    path = tmp_path / "packed" / split.parts[picture.part].file
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    source = yard.open("train", tmp_path / "packed")
    assert np.array_equal(source.image(2), yard.open("train", tmp_path / "source").image(2))
    source.cut(2, slice(0, 64), slice(0, 9), ["labels"])  # another band
    with pytest.raises(SwathError, match=rf"{path.name}: is damaged: 'town/002', rows 64 to 127 of its labels.*delete"):
        source.labels(2)
    complaints = verify(tmp_path / "packed")
    assert len(complaints) == 1 and "'town/002'" in complaints[0]
    path.unlink()  # as the message says
    assert [job.file for _, job in do(yard).todo] == [path.name]
    assert verify(tmp_path / "packed") == []


def test_a_truncated_file_is_refused(yard: Card, tmp_path: Path) -> None:
    do(yard)
    split = read(tmp_path / "packed")
    path = tmp_path / "packed" / split.parts[0].file
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SwathError, match=rf"{path.name}: does not have the .* bytes.*delete it and run `swath pack`"):
        yard.open("train", tmp_path / "packed").image(0)
    assert len(verify(tmp_path / "packed")) == sum(picture.part == 0 for picture in split.pictures)
    do(yard)  # needs no deletion
    assert verify(tmp_path / "packed") == []
    path.unlink()
    with pytest.raises(SwathError, match=rf"{path.name}: there is no such file"):
        yard.open("train", tmp_path / "packed").image(0)


def test_a_manifest_that_is_not_ours_is_refused(yard: Card, tmp_path: Path) -> None:
    do(yard)
    path = tmp_path / "packed/pack.json"
    text = path.read_text()
    for wrong, match in (
        (text[:-40], "is damaged"),
        ("{}", "is damaged"),
        ("[1]", "is damaged"),
        (json.dumps({**json.loads(text), "version": 9}), "version 9.*update swath"),
    ):
        path.write_text(wrong)
        with pytest.raises(SwathError, match=match):
            yard.open("train", tmp_path / "packed")


def test_a_read_only_folder_is_read(yard: Card, tmp_path: Path) -> None:
    do(yard)
    packed = tmp_path / "packed"
    before = {path: path.stat() for path in packed.iterdir()}
    for path in packed.iterdir():
        path.chmod(0o444)
    packed.chmod(0o555)
    try:
        same(yard.open("train", packed), yard.open("train", tmp_path / "source"))
        assert verify(packed) == []
        after = {path: path.stat() for path in packed.iterdir()}
        assert after.keys() == before.keys()
        assert all(after[path].st_mtime_ns == before[path].st_mtime_ns for path in before)
    finally:
        packed.chmod(0o755)


def test_systems_without_preadv(yard: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do(yard)
    monkeypatch.delattr(os, "preadv", raising=False)
    same(yard.open("train", tmp_path / "packed"), yard.open("train", tmp_path / "source"))


def test_few_files_are_open_at_once(yard: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do(yard)
    monkeypatch.setattr(part, "_OPEN", 2)
    packed = yard.open("train", tmp_path / "packed")
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir())) if files.is_dir() else 0
    for _ in range(3):
        same(packed, yard.open("train", tmp_path / "source"))
    assert not before or len(list(files.iterdir())) <= before + 2


def test_a_read_that_fails_is_told(yard: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do(yard)
    packed = yard.open("train", tmp_path / "packed")

    def gone(self: part.PartFiles, file: object, data: object, at: int) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(part.PartFiles, "_read_into", gone)
    with pytest.raises(SwathError, match=r"\.part: cannot be read \(Input/output error\)"):
        packed.image(0)


def sums(source: PackedSource, results) -> None:  # type: ignore[no-untyped-def]
    windows = Windows(source, spec(), 1)
    results.put([int(windows[epoch, i]["image"].sum()) for epoch in range(3) for i in range(len(source))])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_read_at_once(yard: Card, tmp_path: Path, start: str) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    do(yard)
    source = yard.open("train", tmp_path / "packed")
    source.image(3)  # a file is open, and comes along in a fork
    windows = Windows(source, spec(), 1)
    wanted = [int(windows[epoch, i]["image"].sum()) for epoch in range(3) for i in range(len(source))]
    context = multiprocessing.get_context(start)
    results = context.Queue()
    processes = [context.Process(target=sums, args=(source, results)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [wanted, wanted]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_sources_are_pickled_without_open_files(yard: Card, tmp_path: Path) -> None:
    do(yard)
    source = yard.open("train", tmp_path / "packed")
    source.image(0)
    same(pickle.loads(pickle.dumps(source)), yard.open("train", tmp_path / "source"))
