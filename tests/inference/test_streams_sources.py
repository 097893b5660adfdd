"""Where frames come from: files with their times, cameras that drop, pipes of all kinds, damage everywhere."""

from __future__ import annotations

import io
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FakeCapture, avi, number_of, numbered

from swath import SwathError
from swath.inference.streams import open_source
from swath.inference.streams.capture import Live, open_capture
from swath.inference.streams.names import camera, is_stream, shown
from swath.inference.streams.pipe import open_pipe
from swath.inference.streams.promise import Promise


def test_a_file_gives_every_frame_once_in_order_at_its_time(tmp_path: Path) -> None:
    source = open_source(avi(tmp_path / "a.avi", 12))
    assert not source.live and source.rate == 10 and source.total == 12
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [frame.number for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([0.1 * k for k in range(12)])
    assert source.broken == 0 and frames[0].image.shape == (48, 64, 3)


def test_colours_are_rgb(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "r.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), (0, 0, 200), np.uint8))  # red, as OpenCV orders it
    writer.release()
    (frame,) = open_source(tmp_path / "r.avi")
    assert np.abs(frame.image.astype(int) - (200, 0, 0)).max() < 8


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from swath.inference.streams.writers import video_file

    times = [0.0, 0.04, 0.3, 0.31, 1.5, 1.52]
    with video_file(tmp_path / "v.mp4", 25) as file:
        for number, time in enumerate(times):
            file.add(time, numbered(10 * number))
    frames = list(open_source(tmp_path / "v.mp4"))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    assert [number_of(frame.image) for frame in frames] == pytest.approx([0, 10, 20, 30, 40, 50], abs=1)


def test_a_broken_frame_is_left_out_and_counted(tmp_path: Path) -> None:
    data = bytearray(avi(tmp_path / "a.avi", 20).read_bytes())
    starts = [k for k in range(len(data)) if data[k : k + 4] == b"00dc" and data[k + 8 : k + 10] == b"\xff\xd8"]
    length = int.from_bytes(data[starts[7] + 4 : starts[7] + 8], "little")
    data[starts[7] + 8 : starts[7] + 8 + length] = bytes(length)
    (tmp_path / "b.avi").write_bytes(data)
    source = open_source(tmp_path / "b.avi")
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [*range(7), *range(8, 20)]
    assert source.broken == 1
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))


def test_a_file_that_is_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    whole = avi(tmp_path / "a.avi", 30).read_bytes()
    (tmp_path / "b.avi").write_bytes(whole[: len(whole) * 7 // 10])
    source = open_source(tmp_path / "b.avi")
    frames = list(source)
    assert 5 < len(frames) < 25 and [number_of(frame.image) for frame in frames] == list(range(len(frames)))
    assert source.broken == 30 - len(frames)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.mp4", "no such file"),
        ("text.mp4", "not a readable video"),
        ("63", "camera 63: cannot be opened"),
        ("picture.png", "is no video"),
    ],
)
def test_what_cannot_be_opened_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video" * 100)
    with pytest.raises(SwathError, match=said) as caught:
        open_source(name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # nor does OpenCV say anything


def test_names_of_videos_are_told_from_those_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("1").mkdir()  # a folder of pictures
    assert all(map(is_stream, ("-", "0", "rtsp://host/a", "http://host/a.jpg", "A.MP4", "a/b.mkv")))
    assert not any(map(is_stream, ("1", "640", "a.png", "photos", "*.jpg", "a.mp4.png")))


def live(first: FakeCapture, *others: FakeCapture | None, patience: float = 30.0) -> tuple[Live, list[float]]:
    """A live source whose waiting takes no time, and how long it would have waited each time."""
    waits: list[float] = []
    coming = iter(others)
    source = Live("camera", first, lambda: next(coming, None), patience)
    source._stopped.wait = lambda seconds: bool(waits.append(seconds))  # type: ignore[method-assign]
    return source, waits


def test_a_stream_that_drops_is_opened_again_more_and_more_rarely() -> None:
    first = FakeCapture([numbered(1), None, numbered(2), False, numbered(3)])
    second = FakeCapture([numbered(4), numbered(5)])
    source, waits = live(first, None, None, None, second, None, None, patience=0.05)
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert source.broken == 1 and source.returns == 1 and source.lost
    assert first.released and second.released
    assert all(wait <= 0.05 for wait in waits)  # never beyond its patience
    times = [frame.time for frame in frames]
    assert times[0] == 0 and times == sorted(times)


def test_the_pauses_between_attempts_grow_to_a_bound() -> None:
    source, waits = live(FakeCapture([numbered(1)]), *[None] * 8, FakeCapture([numbered(2)]), patience=1e6)
    frames = iter(source)
    assert number_of(next(frames).image) == 1 and number_of(next(frames).image) == 2
    assert waits == [0.5, 1, 2, 4, 8, 8, 8, 8, 8]


def test_stopping_ends_the_wait_for_a_stream() -> None:
    source = Live("camera", FakeCapture([numbered(1)]), lambda: None, 1e6)
    frames = iter(source)
    next(frames)
    source.stop()
    assert list(frames) == [] and not source.lost


def jpeg(number: int, quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", numbered(number), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def with_thumbnail(data: bytes) -> bytes:
    """A JPEG that carries another one in a segment, as cameras' do."""
    inner = jpeg(50, 10)
    return data[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + data[2:]


class Dribble(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int = 97):
        self.data, self.step, self.place = data, step, 0

    def read(self, count: int = -1) -> bytes:
        self.place, start = self.place + self.step, self.place
        return self.data[start : self.place]


def piped(data: bytes, **options: object) -> tuple[list[int], list[float], int]:
    choices = {"raw": None, "rate": None, "live": False, **options}
    source = open_pipe(Dribble(data), **choices)  # type: ignore[arg-type]
    frames = list(source)
    return [number_of(frame.image) for frame in frames], [frame.time for frame in frames], source.broken


def test_pictures_one_after_the_other() -> None:
    between = b"--boundary\r\nContent-Type: image/jpeg\r\n\r\n"
    jpegs = [jpeg(1), with_thumbnail(jpeg(2)), jpeg(3)]
    assert piped(between.join(jpegs), rate=20.0) == ([1, 2, 3], [0, 0.05, 0.1], 0)
    pngs = b"".join(cv2.imencode(".png", numbered(k))[1].tobytes() for k in range(4))
    assert piped(pngs) == ([0, 1, 2, 3], [0, 0.04, 0.08, 0.12], 0)


def test_a_damaged_picture_in_a_pipe_is_passed_over() -> None:
    middle = jpeg(2)
    numbers, times, broken = piped(jpeg(1) + middle[: len(middle) // 2] + jpeg(3) + jpeg(4)[:-9])
    assert numbers == [1, 3] and broken >= 2
    assert times[0] == 0 and times[1] >= 0.04


def test_bare_frames_and_y4m() -> None:
    raw = b"".join(numbered(k).tobytes() for k in range(5))
    assert piped(raw, raw=(48, 64))[0] == [0, 1, 2, 3, 4]
    assert piped(raw[:-7], raw=(48, 64))[::2] == ([0, 1, 2, 3], 1)
    frames = [cv2.cvtColor(numbered(k), cv2.COLOR_RGB2YUV_I420).tobytes() for k in range(3)]
    head = b"YUV4MPEG2 W64 H48 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG\n"
    numbers, times, broken = piped(head + b"".join(b"FRAME\n" + each for each in frames))
    assert numbers == [0, 1, 2] and broken == 0
    assert times == pytest.approx([0, 1001 / 30000, 2002 / 30000])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "nothing was piped in"),
        (b"YUV4MPEG2 W64 H48 F25:1 C444\n", "yuv420p"),
        (b"YUV4MPEG2 H48 F25:1\n", "no size and rate"),
        (b"hello, world" * 100, "no video that can be read without seeking"),
    ],
)
def test_pipes_that_cannot_be_read_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(SwathError, match=said):
        open_pipe(Dribble(data, 5000), raw=None, rate=None, live=False)


def test_a_container_in_a_pipe(tmp_path: Path) -> None:
    numbers, times, broken = piped(avi(tmp_path / "a.avi", 9).read_bytes())
    assert numbers == list(range(9)) and broken == 0
    assert times == pytest.approx([0.1 * k for k in range(9)])


def test_a_video_that_was_opened_is_released(tmp_path: Path) -> None:
    capture = open_capture(str(avi(tmp_path / "a.avi", 3)))
    assert capture is not None
    from swath.inference.streams.capture import Video

    assert len(list(Video("a.avi", capture))) == 3 and not capture.isOpened()


def test_a_server_that_lets_in_but_sends_nothing_is_given_up() -> None:
    opened: list[FakeCapture] = []

    def again() -> FakeCapture:
        opened.append(FakeCapture([]))
        return opened[-1]

    source = Live("camera", FakeCapture([numbered(1)]), again, patience=0.2)
    source._stopped.wait = lambda seconds: time.sleep(seconds / 20)  # type: ignore[method-assign]
    assert len(list(source)) == 1
    assert source.lost and source.returns == 0 and len(opened) >= 1


@pytest.mark.parametrize("ending", [".avi", ".mkv", ".mp4"])
@pytest.mark.parametrize("through_pipe", [False, True])
def test_a_container_whose_end_is_missing_is_told(tmp_path: Path, ending: str, through_pipe: bool) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".avi":
        avi(path, 60)
    else:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
        for number in range(60):
            writer.write(numbered(number))
        writer.release()
    whole = index_first(path.read_bytes()) if ending == ".mp4" else path.read_bytes()
    for length, lost in ((len(whole), False), (len(whole) * 6 // 10, True)):
        path.write_bytes(whole[:length])
        if through_pipe:
            source = open_pipe(Dribble(path.read_bytes(), 777), raw=None, rate=None, live=False)
        else:
            source = open_source(path)
        frames = len(list(source))
        assert source.lost == lost and (frames == 60) != lost and frames > 5


def index_first(data: bytes) -> bytes:
    """An MP4 with its index before its pictures, as those on the web have it."""
    parts, at = {}, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts[data[at + 4 : at + 8]] = data[at : at + length]
        at += length
    index = bytearray(parts[b"moov"])
    at = index.find(b"stco") + 8
    for place in range(at + 4, at + 4 + 4 * int.from_bytes(index[at : at + 4], "big"), 4):
        moved = int.from_bytes(index[place : place + 4], "big") + len(index)
        index[place : place + 4] = moved.to_bytes(4, "big")
    rest = b"".join(part for kind, part in parts.items() if kind not in (b"ftyp", b"moov"))
    return parts[b"ftyp"] + bytes(index) + rest


def test_the_promise_is_kept_however_the_bytes_come() -> None:
    boxes = b"".join((len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in BOXES)
    for step in (1, 3, 7, 16, 1000):
        for length, broken in ((len(boxes), False), (len(boxes) - 1, True), (45, True)):
            promise = Promise()
            for start in range(0, length, step):
                promise.add(boxes[start : min(length, start + step)])
            assert not promise.broken  # not yet
            promise.ended = True
            assert promise.broken == broken
    promise = Promise()
    promise.add(b"\xff\xd8\xff" * 100)
    promise.ended = True
    assert not promise.broken  # nothing was promised


BOXES = ((b"ftyp", b"isom0000"), (b"free", b""), (b"mdat", bytes(100)), (b"moov", bytes(9)))


def test_names_that_are_not_utf8_are_opened(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.avi"))
    try:
        avi(tmp_path / "a.avi", 4).rename(path)
    except OSError:
        pytest.skip("this file system has only names that are text")
    source = open_source(path)
    assert len(list(source)) == 4
    assert source.name.endswith("\\udcff.avi") and source.name.encode()  # it can be printed


def test_digits_that_are_no_numbers_name_no_camera() -> None:
    for name in ("²", "٣", "9" * 5000):
        assert camera(name) is None and not is_stream(name)


def test_names_are_shown_without_passwords() -> None:
    assert shown("rtsp://admin:a@b@camera:554/live") == "rtsp://camera:554/live"
    assert shown("http://h/a@b?token=xyz&size=2") == "http://h/a@b?token=***&size=2"
    assert shown("a@b/film.mp4") == "a@b/film.mp4"


def test_decoding_of_piped_pictures_takes_time_but_waiting_for_them_does_not() -> None:
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8))[1].tobytes()

    class Slow(Dribble):
        def read(self, count: int = -1) -> bytes:
            time.sleep(0.02)
            return super().read(count)

    frames = list(open_pipe(Slow(3 * data, len(data) // 5), raw=None, rate=None, live=False))
    assert len(frames) == 3
    assert all(0.0005 < frame.seconds < 0.09 for frame in frames)  # a picture comes in 0.1 s


def test_a_container_in_a_pipe_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    data = avi(tmp_path / "a.avi", 9).read_bytes()
    source = open_pipe(Dribble(data), raw=None, rate=None, live=False)
    assert list((tmp_path / "there").iterdir()) == []  # even if nobody asks for a frame
    assert len(list(source)) == 9
