"""`swath predict` with videos, the whole way: files, pipes, signals and mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import tiny
from swath.cli.main import main
from swath.inference.streams import open_source


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.weights(tmp_path / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def video(name: str, frames: int) -> None:
    writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    for number in range(frames):
        writer.write(tiny.picture(number % 7, 48, 64))
    writer.release()


def test_a_video_becomes_a_video_with_its_times_and_a_table(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video("street.avi", 20)
    words = ["--out", "seen.mp4", "--jsonl", "shares.jsonl", "--json", "times.json", "--smooth", "0.5"]
    assert main(["predict", "w.safetensors", "street.avi", *words]) == 0
    said = capsys.readouterr()
    assert "street.avi -> seen.mp4 (" in said.out and "20 frames in" in said.out and said.err == ""
    for stage in ("decode", "pre", "network", "finish", "draw", "encode"):
        assert stage in said.out
    assert "late: over 80.0 ms" in said.out
    assert [frame.time for frame in open_source("seen.mp4")] == pytest.approx([0.08 * k for k in range(20)], abs=1e-3)
    assert len(Path("shares.jsonl").read_text().splitlines()) == 20
    told = json.loads(Path("times.json").read_text())
    assert told["frames"] == 20 and told["dropped"] == told["broken"] == 0 and told["deadline_ms"] == 80
    assert set(told["times"]) == {"decode", "pre", "network", "finish", "draw", "encode", "all together", "latency"}
    assert not [file for file in work.iterdir() if file.name.startswith(".")]


def test_a_film_whose_end_is_missing_is_segmented_and_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video("street.avi", 30)
    whole = Path("street.avi").read_bytes()
    Path("cut.avi").write_bytes(whole[: len(whole) * 7 // 10])
    assert main(["predict", "w.safetensors", "cut.avi", "--out", "o.avi", "--jsonl", "l", "--json", "t.json"]) == 2
    frames = len(Path("l").read_text().splitlines())
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said == f"swath: cut.avi: is cut off, its end is missing; the {frames} of 30 frames before are kept"
    assert 10 < frames < 25 and len(list(open_source("o.avi"))) == frames
    assert json.loads(Path("t.json").read_text())["lost"]


def test_names_that_are_not_utf8_become_videos(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video("a.avi", 3)
    name = os.fsdecode(b"\xff.avi")
    try:
        Path("a.avi").rename(name)
    except OSError:
        pytest.skip("this file system has only names that are text")
    assert main(["predict", "w.safetensors", name, "--engine", "torch"]) == 0
    assert [path.name for path in Path("predicted").iterdir()] == ["\ufffd_overlay.mp4"]
    assert main(["predict", "w.safetensors", name, "--out", os.fsdecode(b"\xfe.mp4"), "--engine", "torch"]) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_a_folder_takes_videos_and_labels(work: Path) -> None:
    video("street.avi", 4)
    words = ["--out", "out", "--write", "labels,overlay,color", "--deadline", "5"]
    assert main(["predict", "w.safetensors", "street.avi", *words]) == 0
    assert sorted(file.name for file in Path("out").iterdir()) == [
        "street_color.mp4",
        "street_labels",
        "street_overlay.mp4",
    ]
    assert len(list(Path("out/street_labels").iterdir())) == 4


def swath(*words: str, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "swath", "predict", "w.safetensors", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def test_frames_from_a_pipe_become_lines(work: Path) -> None:
    pictures = [cv2.imencode(".jpg", tiny.picture(number, 48, 64))[1].tobytes() for number in range(5)]
    Path("pipe.mjpg").write_bytes(b"".join(pictures[:3]) + pictures[3][:300] + pictures[4])
    with Path("pipe.mjpg").open() as pipe:
        process = swath("-", "--jsonl", "-", "--fps", "10", stdin=pipe)
        out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert [line["time"] for line in lines[:3]] == [0, 0.1, 0.2]
    assert "4 frames in" in said and "1 broken" in said


def test_a_video_alone_is_enough(work: Path) -> None:
    video("a.avi", 3)
    assert main(["predict", "w.safetensors", "a.avi", "--engine", "torch"]) == 0
    assert [path.name for path in Path("predicted").iterdir()] == ["a_overlay.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")
@pytest.mark.parametrize(("number", "live", "status"), [("SIGINT", False, 2), ("SIGTERM", True, 143)])
def test_a_signal_ends_the_files_properly(work: Path, number: str, live: bool, status: int) -> None:
    process = swath(
        "-", "--raw", "64x48", "--out", "o.mp4", "--jsonl", "l.jsonl", *(["--live"] if live else []),
        stdin=subprocess.PIPE,
    )  # fmt: skip
    pipe = process.stdin.buffer  # type: ignore[union-attr]
    until = time.monotonic() + 100
    done = Path("l.jsonl")
    while time.monotonic() < until and (not done.exists() or len(done.read_text().splitlines()) < 5):
        pipe.write(np.zeros((48, 64, 3), np.uint8).tobytes())
        pipe.flush()
        time.sleep(0.01)
    process.send_signal(getattr(signal, number))
    # The pipe stays open: nobody waits for another frame.
    assert process.wait(30) == status
    said = process.stderr.read()  # type: ignore[union-attr]
    assert "Traceback" not in said and (live or "stopped after" in said)
    lines = [json.loads(line) for line in done.read_text().splitlines()]
    assert len(lines) >= 5
    frames = len(list(open_source("o.mp4")))
    assert frames == len(lines) if not live else frames >= 1
    process.communicate()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["0"], "say what is to come of it"),
        (["a.avi", "a.avi", "--out", "o"], "one at a time"),
        (["a.avi", "--out", "o.png"], "videos are written as"),
        (["a.avi", "--out", "a.avi"], "would overwrite the video"),
        (["a.avi", "--jsonl", "a.avi"], "would overwrite the video that is read; choose another --jsonl"),
        (
            ["a.avi", "--jsonl", "l", "--json", "./a.avi"],
            "would overwrite the video that is read; choose another --json",
        ),
        (["a.avi", "--jsonl", "w.safetensors"], "would overwrite the weights"),
        (["a.avi", "--jsonl", "l", "--json", "./l"], "would overwrite what --jsonl writes"),
        (["a.avi", "--out", "o.avi", "--jsonl", "o.avi"], "would overwrite what --out writes"),
        (["a.avi", "--jsonl", "."], "is a folder"),
        (["a.avi", "--jsonl", "l", "--json", "a.avi/t.json"], "a folder of that name is needed"),
        (["a.avi", "--jsonl", "l", "--smooth", "0.5", "--flip"], "one view"),
        (["a.avi", "--out", "o.mp4", "--write", "overlay,color"], "one file holds one video"),
        (["a.avi", "--out", "o.mp4", "--write", "labels"], "give --out a folder"),
        (["a.avi", "--jsonl", "l", "--write", "labels"], "--write needs --out"),
        (["a.avi", "--out", "o.mp4", "--live"], "a file is not live"),
        (["a.avi", "--out", "o.mp4", "--raw", "4x4"], "only frames that are piped in"),
        (["a.avi", "--out", "o.mp4", "--smooth", "1"], "--smooth '1'"),
        (["a.avi", "--out", "o.mp4", "--deadline", "-3"], "--deadline '-3'"),
        (["a.avi", "--out", "o.mp4", "--smooth", "0.5", "--flip"], "one view"),
        (["a.png", "--out", "o", "--smooth", "0.5"], "--smooth is for one video"),
        (["b.avi", "--out", "o.mp4"], "b.avi: no such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    video("a.avi", 2)
    assert main(["predict", "w.safetensors", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
    assert sorted(file.name for file in work.iterdir()) == ["a.avi", "w.safetensors"]
