"""Archives with one mistake each: it is named, and nothing else is."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card
from swath.submit import SERVERS, Expected, Inspection, inspect

Files = dict[str, bytes]
CITYSCAPES = SERVERS["cityscapes"]
IDS = np.array(sorted(CITYSCAPES.scored().values()), np.uint8)
PICTURES = ["berlin_000000_000019", "bonn_000001_000019", "munich_000002_000019"]
SIZE = (24, 48)
EXPECTED = Expected(3, dict.fromkeys(PICTURES, SIZE))


def png(values: np.ndarray, mode: str = "L") -> bytes:
    picture = Image.fromarray(values)
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3)
    elif mode != "L":
        picture = picture.convert(mode)
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def labels(seed: int, ids: np.ndarray = IDS, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Every value at least once."""
    flat = np.random.default_rng(seed).choice(ids, size[0] * size[1])
    flat[: len(ids)] = ids
    return flat.reshape(size).astype(np.uint8)


def good() -> Files:
    return {f"{picture}_labelIds.png": png(labels(seed)) for seed, picture in enumerate(PICTURES)}


def packed(path: Path, files: Files, kind: str = "zip") -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def kinds(seen: Inspection, fatal: bool = True) -> set[str]:
    return {finding.kind for finding in seen.findings if finding.fatal == fatal}


FIRST = f"{PICTURES[0]}_labelIds.png"


def without(files: Files) -> Files:
    return {name: data for name, data in files.items() if name != FIRST}


def first_as(data: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, FIRST: data}


def train_ids(files: Files) -> Files:
    return {name: png(labels(seed, np.arange(19))) for seed, name in enumerate(files)}


MISTAKES: dict[str, tuple[Callable[[Files], Files], str, str]] = {
    "one is missing": (without, "missing", "is not there"),
    "one too many": (
        lambda files: {**files, "mainz_000009_000019.png": png(labels(9))},
        "unknown",
        "belongs to no picture of the split",
    ),
    "one of val": (
        lambda files: {**files, "frankfurt_000000_000294.png": png(labels(9))},
        "unknown",
        "belongs to no picture of the split",
    ),
    "one twice": (
        lambda files: {**files, f"more/{PICTURES[0]}.png": png(labels(9))},
        "twice",
        f"is a second file for the picture of {FIRST}",
    ),
    "a name of its own": (
        lambda files: {**without(files), "first.png": files[FIRST]},
        "name",
        "does not begin with the name of a picture",
    ),
    "train ids": (train_ids, "meaning", "train ids .0 to 18., the server wants label ids"),
    "colors": (first_as(png(labels(0), "RGB")), "mode", "is in colors"),
    "transparency": (first_as(png(labels(0), "RGBA")), "mode", "is in colors"),
    "16 bits": (first_as(png(labels(0).astype(np.uint16))), "mode", "has 16 bits a pixel"),
    "1 bit": (first_as(png(labels(0), "1")), "mode", "has 1 bit a pixel"),
    "half the size": (first_as(png(labels(0)[::2, ::2])), "size", "is 24 x 12 pixels, its picture 48 x 24"),
    "turned": (first_as(png(labels(0).T)), "size", "is 24 x 48 pixels, its picture 48 x 24"),
    "ignored pixels": (first_as(png(np.where(labels(0) == 7, 255, labels(0)).astype(np.uint8))), "value", "value 255"),
    "a value of none": (first_as(png(np.full(SIZE, 34, np.uint8))), "value", "holds the value 34"),
    "cut off": (first_as(png(labels(0))[:-40]), "damaged", "cannot be decoded"),
    "not a picture": (first_as(b"labels"), "damaged", "cannot be decoded"),
    "a way out": (lambda files: {**files, "../x.png": png(labels(9))}, "path", "leads out of the archive"),
    "backslashes": (
        lambda files: {**without(files), f"berlin\\{FIRST}": files[FIRST]},
        "path",
        "backslashes",
    ),
    "all alike": (lambda files: dict.fromkeys(files, png(labels(0))), "alike", "the very same labels"),
}


def test_a_good_one_has_nothing_to_say(tmp_path: Path) -> None:
    seen = inspect(packed(tmp_path / "a.zip", good()), CITYSCAPES, EXPECTED)
    assert seen.fit and seen.findings == [] and seen.pictures == 3
    assert list(seen.shares()) and sum(seen.shares().values()) == pytest.approx(1)
    assert set(seen.shares()) == set(load_card("cityscapes").class_names)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(tmp_path: Path, mistake: str) -> None:
    change, kind, said = MISTAKES[mistake]
    seen = inspect(packed(tmp_path / "a.zip", change(good())), CITYSCAPES, EXPECTED)
    assert not seen.fit
    mostly = {"name": {"missing"}, "path": {"missing"}}.get(kind, set()) if mistake != "a way out" else set()
    assert kinds(seen) == {kind} | mostly, "and no other"
    assert any(re.search(said, finding.message) for finding in seen.findings if finding.kind == kind)


def test_many_files_with_one_mistake_are_one_finding(tmp_path: Path) -> None:
    wide = {name: png(np.tile(labels(seed), (1, 2))) for seed, name in enumerate(good())}
    (finding,) = inspect(packed(tmp_path / "a.zip", wide), CITYSCAPES, EXPECTED).findings
    assert finding.kind == "size" and len(finding.files) == 3


def test_what_a_server_looks_over_is_a_warning(tmp_path: Path) -> None:
    files = {f"results/berlin/{name}": data for name, data in good().items()}
    files = {**files, "__MACOSX/._x.png": b"", "results/readme.txt": b"hello"}
    files[f"results/berlin/{FIRST}"] = png(labels(0), "P")
    seen = inspect(packed(tmp_path / "a.zip", files), CITYSCAPES, EXPECTED)
    assert seen.fit and kinds(seen, fatal=False) == {"junk", "stranger", "palette"}


def test_void_values_cost_points_and_are_told(tmp_path: Path) -> None:
    static = [np.where(labels(seed) == 7, np.uint8(4), labels(seed)) for seed in range(3)]
    files = {name: png(each) for name, each in zip(good(), static)}
    seen = inspect(packed(tmp_path / "a.zip", files), CITYSCAPES, EXPECTED)
    assert seen.fit and kinds(seen, fatal=False) == {"unscored"}
    assert "value 4" in seen.shares() and seen.shares()["road"] == 0


def test_without_the_pictures_names_and_sizes_come_from_the_benchmark(tmp_path: Path) -> None:
    seen = inspect(packed(tmp_path / "a.zip", good()), CITYSCAPES, Expected(1525))
    assert kinds(seen) == {"size", "count"}
    assert any("the archive has 3 pictures, the server wants 1,525" in finding.message for finding in seen.findings)
    whole = {f"{PICTURES[0]}_x.png": png(labels(0, size=(1024, 2048)))}
    whole["frankfurt_000000_000294_x.png"] = whole[f"{PICTURES[0]}_x.png"]
    seen = inspect(packed(tmp_path / "b.zip", whole), CITYSCAPES, Expected(1))
    assert kinds(seen) == {"unknown"} and seen.pictures == 1


def test_fewer_pictures_on_this_disk_than_there_are(tmp_path: Path) -> None:
    seen = inspect(packed(tmp_path / "a.zip", good()), CITYSCAPES, Expected(4, EXPECTED.sizes))
    assert kinds(seen) == {"count"}
    assert "the split on this disk has 3 pictures, the server wants 4" in seen.findings[0].message


@pytest.mark.parametrize("kind", ["tar.gz", "tar"])
def test_another_archive_is_refused_but_looked_into(tmp_path: Path, kind: str) -> None:
    seen = inspect(packed(tmp_path / "a.zip", without(good()), kind), CITYSCAPES, EXPECTED)
    assert kinds(seen) == {"archive", "missing"}
    assert f"is a {kind}, the server of Cityscapes takes a zip" in seen.findings[0].message


def test_what_is_no_archive_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK nothing")
    assert not inspect(tmp_path / "a.zip", CITYSCAPES, EXPECTED).fit
    (tmp_path / "b.zip").write_bytes(b"Rar!" + bytes(100))
    assert "is a rar" in inspect(tmp_path / "b.zip", CITYSCAPES, EXPECTED).findings[0].message
    (tmp_path / "c.zip").write_bytes(b"")
    assert kinds(inspect(tmp_path / "c.zip", CITYSCAPES, EXPECTED)) == {"archive"}
    with pytest.raises(SwathError, match=r"none\.zip: there is no such file"):
        inspect(tmp_path / "none.zip", CITYSCAPES, EXPECTED)
    with pytest.raises(SwathError, match="cannot be read"):
        inspect(tmp_path, CITYSCAPES, EXPECTED)


def test_every_cut_of_an_archive_is_noticed(tmp_path: Path) -> None:
    for kind in ("zip", "tar.gz"):
        whole = packed(tmp_path / f"whole.{kind}", good(), kind).read_bytes()
        for part in (10, len(whole) // 3, len(whole) // 2, len(whole) - 9):
            (tmp_path / "cut").write_bytes(whole[:part])
            assert not inspect(tmp_path / "cut", CITYSCAPES, EXPECTED).fit


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    data = bytearray(packed(tmp_path / "a.zip", good()).read_bytes())
    data[300] ^= 4  # inside the first picture
    (tmp_path / "a.zip").write_bytes(data)
    assert kinds(inspect(tmp_path / "a.zip", CITYSCAPES, EXPECTED)) == {"damaged"}


def test_a_password_and_a_bomb(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", good())
    data = path.read_bytes().replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00", 1)
    path.write_bytes(data)
    assert kinds(inspect(path, CITYSCAPES, EXPECTED)) == {"password"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FIRST, bytes(65 << 20))
        for name, content in without(good()).items():
            archive.writestr(name, content)
    assert kinds(inspect(path, CITYSCAPES, EXPECTED)) == {"large"}


def voc(folder: str, mode: str = "P") -> Files:
    return {f"{folder}/2008_{i:06}.png": png(labels(i, np.arange(21)), mode) for i in range(2)}


VOC = Expected(2, {f"2008_{i:06}": SIZE for i in range(2)})
COMP6 = "results/VOC2012/Segmentation/comp6_test_cls"


def test_pascal_voc(tmp_path: Path) -> None:
    server = SERVERS["voc"]
    assert inspect(packed(tmp_path / "a.tgz", voc(COMP6), "tar.gz"), server, VOC).findings == []
    assert inspect(packed(tmp_path / "a.tgz", voc(COMP6.replace("6", "5")), "tar.gz"), server, VOC).fit
    assert kinds(inspect(packed(tmp_path / "a.tgz", voc("comp6_test_cls"), "tar.gz"), server, VOC)) == {"folder"}
    assert kinds(inspect(packed(tmp_path / "a.tgz", voc(COMP6, "L"), "tar.gz"), server, VOC)) == {"palette"}
    assert kinds(inspect(packed(tmp_path / "a.zip", voc(COMP6)), server, VOC)) == {"archive"}
    files = {**voc(COMP6), f"{COMP6}/2008_000000.png": png(np.full(SIZE, 255, np.uint8), "P")}
    assert kinds(inspect(packed(tmp_path / "a.tgz", files, "tar.gz"), server, VOC)) == {"value"}


def test_ade20k_and_its_shifted_values(tmp_path: Path) -> None:
    server, size = SERVERS["ade20k"], (40, 50)
    expected = Expected(0, {f"ADE_test_{i:08}": size for i in range(2)})

    def files(ids: np.ndarray) -> Files:
        return {f"ADE_test_{i:08}.png": png(labels(i, ids, size)) for i in range(2)}

    assert inspect(packed(tmp_path / "a.zip", files(np.arange(1, 151))), server, expected).findings == []
    seen = inspect(packed(tmp_path / "a.zip", files(np.r_[np.zeros(8, int), np.arange(150)])), server, expected)
    assert kinds(seen) == {"meaning"} and "1 (wall) to 150 (flag)" in seen.findings[0].message
    nested = {f"test/{name}": data for name, data in files(np.arange(1, 151)).items()}
    assert kinds(inspect(packed(tmp_path / "a.zip", nested), server, expected)) == {"folder"}
    junk = {**files(np.arange(1, 151)), "__MACOSX/._ADE_test_00000000.png": b"", ".DS_Store": b""}
    assert kinds(inspect(packed(tmp_path / "a.zip", junk), server, expected)) == {"junk"}


def test_bdd100k_takes_train_ids(tmp_path: Path) -> None:
    server = SERVERS["bdd100k"]
    expected = Expected(1, {"cabc30fc-e7726578": SIZE})
    for folder in ("", "masks/"):
        files = {f"{folder}cabc30fc-e7726578.png": png(labels(0, np.arange(19)))}
        assert inspect(packed(tmp_path / "a.zip", files), server, expected).findings == []
    files = {"cabc30fc-e7726578.png": png(labels(0, IDS))}
    seen = inspect(packed(tmp_path / "a.zip", files), server, expected)
    assert kinds(seen) == {"meaning", "value"}
    assert any("Cityscapes' label ids" in finding.message for finding in seen.findings)
    deep = {"a/b/cabc30fc-e7726578.png": png(labels(0, np.arange(19)))}
    assert kinds(inspect(packed(tmp_path / "a.zip", deep), server, expected)) == {"folder"}
