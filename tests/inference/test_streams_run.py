"""Whole runs: videos that are written, smoothing and its flicker, full disks, windows."""

from __future__ import annotations

import errno
import json
import shutil
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fakes import Frames, avi, number_of, numbered

import tiny
from swath import Segmenter, SwathError
from swath.inference import Views
from swath.inference.streams import Flicker, Smoothing, Wishes, open_source, run_stream, writers
from swath.inference.streams.writers import ByOpenCV, VideoFile, video_file


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(tiny.network())


@pytest.fixture
def opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where PyAV is not installed."""
    monkeypatch.setattr(writers, "exact", lambda path: False)


def test_video_gives_times_and_what_each_picture_would_give(segmenter: Segmenter, tmp_path: Path) -> None:
    path = avi(tmp_path / "a.avi", 6)
    found = list(segmenter.video(path))
    assert [time for time, _ in found] == pytest.approx([0.1 * k for k in range(6)])
    for (_, result), frame in zip(found, open_source(path), strict=True):
        assert np.array_equal(result.image, frame.image)
        assert np.array_equal(result.labels, segmenter(frame.image).labels)


@pytest.mark.parametrize("views", [Views(size=(96, 128)), Views(size=(50, 70)), Views(flip=True)])
def test_frames_are_seen_as_pictures_are(views: Views) -> None:
    segmenter = Segmenter(tiny.network(), views=views)
    for _, result in segmenter.video(Frames(2)):
        assert np.array_equal(result.labels, segmenter(result.image).labels)


def test_videos_labels_and_lines_all_hold_every_frame(segmenter: Segmenter, tmp_path: Path, opencv: None) -> None:
    path = avi(tmp_path / "a.avi", 15)
    with (tmp_path / "l.jsonl").open("w") as lines:
        wishes = Wishes(
            videos={"overlay": tmp_path / "o.mp4", "color": tmp_path / "c.avi"},
            labels=tmp_path / "labels",
            lines=lines,
            alpha=0.0,
        )
        outcome = run_stream(segmenter, open_source(path), wishes)
    assert outcome.frames == 15 and outcome.dropped == 0
    seen = list(open_source(tmp_path / "o.mp4"))
    assert len(seen) == 15 and [frame.time for frame in seen] == pytest.approx([0.1 * k for k in range(15)])
    assert len(list(open_source(tmp_path / "c.avi"))) == 15
    read = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in read] == list(range(15)) and read[3]["time"] == pytest.approx(0.3)
    assert all(sum(line["shares"].values()) == pytest.approx(1, abs=1e-4) for line in read)
    names = sorted(file.name for file in (tmp_path / "labels").iterdir())
    assert names == [f"{k:06d}.png" for k in range(15)]
    assert [line.name for line in outcome.budget.stages()] == ["decode", "pre", "network", "finish", "draw", "encode"]
    assert "MPEG-4 part 2" in outcome.notes[str(tmp_path / "o.mp4")]


def test_a_constant_rate_keeps_uneven_times_to_the_nearest_place(tmp_path: Path) -> None:
    writer = ByOpenCV(tmp_path / "v.avi", (48, 64), 10.0)
    for time, number in ((0.0, 1), (0.1, 2), (0.52, 3), (0.53, 4), (0.8, 5)):
        writer.add(time, numbered(number))
    writer.close()
    found = [number_of(frame.image) for frame in open_source(tmp_path / "v.avi")]
    assert found == [1, 2, 2, 2, 2, 4, 4, 4, 5]
    assert "5 frames repeated, 1 left out" in writer.note


def test_odd_sides_and_changing_sizes_are_fitted(tmp_path: Path, opencv: None) -> None:
    with video_file(tmp_path / "v.mp4", 10) as file:
        for number, (height, width) in enumerate(((47, 63), (48, 64), (24, 100))):
            file.add(number / 10, numbered(10 * number, height, width))
    frames = list(open_source(tmp_path / "v.mp4"))
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * 3
    assert [number_of(frame.image) for frame in frames] == pytest.approx([0, 10, 20], abs=1)


def test_a_full_disk_ends_the_video_properly_with_one_line(
    segmenter: Segmenter, tmp_path: Path, opencv: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = iter([1 << 30] * 7 + [1 << 20] * 99)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, next(room)))
    with pytest.raises(SwathError, match="no room left on the disk after 7 frames; the video up to there is kept"):
        run_stream(segmenter, Frames(500), Wishes(videos={"overlay": tmp_path / "o.mp4"}))
    assert len(list(open_source(tmp_path / "o.mp4"))) == 7
    assert [file.name for file in tmp_path.iterdir()] == ["o.mp4"]


def test_a_writer_that_meets_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, time: float, image: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ByOpenCV, "add", full)
    monkeypatch.setattr(writers, "exact", lambda path: False)
    with pytest.raises(SwathError, match="no room left on the disk"):
        VideoFile(tmp_path / "o.mp4", tmp_path / "t.mp4", 10).add(0, numbered(1))


def test_a_video_that_does_not_play_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opencv: None) -> None:
    monkeypatch.setattr(ByOpenCV, "close", lambda self: None)  # OpenCV says nothing when it cannot write the index
    with pytest.raises(SwathError, match="does not play"), video_file(tmp_path / "o.mp4", 10) as file:
        file.add(0, numbered(1))
    assert not (tmp_path / "o.mp4").exists()


def test_lines_end_whole_on_a_full_disk(segmenter: Segmenter, tmp_path: Path) -> None:
    with (tmp_path / "l.jsonl").open("w") as file:

        class Full:
            left = 3

            def write(self, text: str) -> None:
                self.left -= 1
                file.write(text if self.left >= 0 else text[:20])
                file.flush()
                if self.left < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")

            flush, fileno = file.flush, file.fileno

        with pytest.raises(SwathError, match="no room left on the disk; the lines up to there are kept"):
            run_stream(segmenter, Frames(50), Wishes(lines=Full(), lines_name="l.jsonl"))  # type: ignore[arg-type]
    lines = (tmp_path / "l.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1, 2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_lines_on_a_full_disk_end_in_one_message(segmenter: Segmenter) -> None:
    with pytest.raises(SwathError, match="/dev/full: no room left on the disk"):
        run_stream(segmenter, Frames(5), Wishes(lines=Path("/dev/full")))


def test_lines_replace_older_ones_only_when_there_are_any(tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("old\n" * 1000)
    several, plain = Segmenter(tiny.network(), views=Views(flip=True)), Segmenter(tiny.network())
    for segmenter, wishes in (
        (several, Wishes(lines=old, smooth=0.5)),
        (plain, Wishes(lines=old, videos={"overlay": tmp_path / "o.txt"})),
    ):
        with pytest.raises(SwathError):
            run_stream(segmenter, Frames(3), wishes)
        assert old.read_text() == "old\n" * 1000
    run_stream(plain, Frames(3), Wishes(lines=old))
    assert [json.loads(line)["frame"] for line in old.read_text().splitlines()] == [0, 1, 2]


def test_a_source_without_a_frame_leaves_no_file(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="not one frame"):
        run_stream(segmenter, Frames(0), Wishes(videos={"overlay": tmp_path / "o.mp4"}))
    assert list(tmp_path.iterdir()) == []


def test_a_window_that_is_closed_ends_the_run(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "destroyWindow", lambda *_: shown.append(np.zeros(0)))
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 3 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    outcome = run_stream(segmenter, Frames(10_000, live=True, pause=0.005), Wishes(display=True))
    assert 3 <= outcome.frames < 12 and len(shown) == 4 and shown[0].shape == (48, 64, 3)


def test_smoothing_is_an_exponential_mean_that_starts_anew() -> None:
    first, second = torch.randn(2, 1, 4, 6, 8)
    smoothing = Smoothing(0.75)
    assert torch.equal(smoothing(first, (48, 64), 0.0), first)
    assert torch.allclose(smoothing(second, (48, 64), 0.1), 0.75 * first + 0.25 * second)
    assert torch.equal(smoothing(second, (48, 64), 5.0), second)  # after a gap
    assert torch.equal(smoothing(first, (40, 64), 5.1), first)  # another size
    smoothing(torch.full_like(first, torch.nan), (40, 64), 5.2)
    assert torch.equal(smoothing(second, (40, 64), 5.3), second)  # never poisoned
    with pytest.raises(SwathError, match="less than 1"):
        Smoothing(1.0)


def test_smoothing_calms_noise_and_flicker_counts_it() -> None:
    torch.manual_seed(1)
    still = torch.randn(1, 4, 12, 16)
    truth = still.argmax(1)[0].to(torch.uint8).numpy()
    figures = []
    for keep in (0.0, 0.8):
        smoothing, flicker = Smoothing(keep), Flicker()
        draw = torch.Generator().manual_seed(2)
        for number in range(30):
            logits = smoothing(still + 0.7 * torch.randn(still.shape, generator=draw), (48, 64), number / 10)
            flicker.add(truth, logits.argmax(1)[0].to(torch.uint8).numpy())
        figures.append(flicker.share)
    assert figures[1] < figures[0] / 2


def test_flicker_leaves_out_what_truly_changes() -> None:
    flicker = Flicker()
    assert flicker.share is None
    one, two = np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 255]], np.uint8)
    flicker.add(one, np.array([[0, 0, 0, 0]], np.uint8))
    flicker.add(two, np.array([[2, 2, 0, 2]], np.uint8))  # the first changes though its truth stays, the third does not
    assert flicker.share == 0.5


def test_what_answers_labels_cannot_be_smoothed(segmenter: Segmenter) -> None:
    with pytest.raises(SwathError, match="one view"):
        next(Segmenter(tiny.network(), views=Views(flip=True)).video(Frames(1), smooth=0.5))
