"""`swath predict`, the whole way, with what goes wrong on the way."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import tiny
from swath import Segmenter
from swath.cli.main import main
from swath.data import read_image, read_label_raw
from swath.inference import Views


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.weights(tmp_path / "w.safetensors")
    for index, name in enumerate(("in/a.png", "in/sub/b.jpg")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), tiny.picture(index, 60 + index, 80)[:, :, ::-1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: str) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in Path(folder).rglob("*") if file.is_file())


def test_several_views_are_averaged(work: Path) -> None:
    words = ["--out", "out", "--write", "labels", "--scales", "0.5,1", "--flip"]
    assert main(["predict", "w.safetensors", "in/a.png", *words]) == 0
    found = read_label_raw("out/a.png")
    assert np.array_equal(found, Segmenter("w.safetensors", views=Views(scales=(0.5, 1), flip=True))("in/a.png").labels)
    assert not np.array_equal(found, Segmenter("w.safetensors")("in/a.png").labels)


def test_a_legend_stands_below_what_is_drawn(work: Path) -> None:
    words = ["--out", "out", "--write", "labels,color", "--legend"]
    assert main(["predict", "w.safetensors", "in/a.png", *words]) == 0
    result = Segmenter("w.safetensors")("in/a.png")
    height = result.labels.shape[0]
    drawn = read_image("out/a_color.png")
    assert np.array_equal(read_label_raw("out/a.png"), result.labels) and np.array_equal(drawn[:height], result.color())
    below = {tuple(map(int, color)) for color in drawn[height:].reshape(-1, 3)}
    assert set(result.legend().values()) <= below
    absent = set(result.key().values()) - set(result.legend().values())
    assert not absent & below
    assert main(["predict", "w.safetensors", "in", "--out", "o", "--legend", "--engine", "ray"]) == 2


def test_a_folder_becomes_labels_overlays_and_colors(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "w.safetensors", "in", "--out", "out", "--write", "labels,overlay,color"]) == 0
    assert written("out") == [
        "a.png",
        "a_color.png",
        "a_overlay.jpg",
        "sub/b.png",
        "sub/b_color.png",
        "sub/b_overlay.jpg",
    ]
    result = Segmenter("w.safetensors")("in/a.png")
    assert np.array_equal(read_label_raw("out/a.png"), result.labels)
    assert np.array_equal(read_image("out/a_color.png"), result.color())
    assert "2 of 2 pictures -> out (labels, overlay, color)" in capsys.readouterr().out


def test_a_bad_picture_does_not_stop_the_others(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path("in/a.png").read_bytes()
    Path("in/a0.png").write_bytes(whole[: len(whole) // 2])
    Path("in/zero.jpg").write_bytes(b"")
    assert main(["predict", "w.safetensors", "in", "--out", "out", "--write", "labels"]) == 2
    assert written("out") == ["a.png", "sub/b.png"]
    said = capsys.readouterr()
    assert "2 of 4 pictures" in said.out
    lines = said.err.strip().splitlines()
    assert len(lines) == 3 and "in/a0.png" in lines[0] and "in/zero.jpg" in lines[1] and "2 of 4" in lines[2]


def huge() -> bytes:
    """A PNG that promises 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"), [(b"no picture", "not a picture"), (huge(), "header promises"), (None, "no such file")]
)
def test_one_bad_picture_is_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    if content is not None:
        Path("bad.png").write_bytes(content)
    assert main(["predict", "w.safetensors", "bad.png", "--out", "out"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("swath: bad.png") and said in lines[0]
    assert not Path("out").exists() or not written("out")


def test_a_full_disk_stops_with_one_line_and_no_half_file(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main(["predict", "w.safetensors", "in", "--out", "out"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "no room left" in lines[0]
    assert written("out") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in", "--write", "labels,masks"], "unknown choice of --write 'masks'"),
        (["in", "--alpha", "2"], "--alpha '2'"),
        (["in", "--device", "quantum"], "device 'quantum'"),
        (["in", "--threads", "none"], "--threads 'none'"),
        (["in/a.png", "in/sub/../a.png", "in/*.png", "nothing.png"], "nothing.png: no such file"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["predict", "w.safetensors", *words, "--out", "out"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()
