"""Where frames come from: files with their times, cameras that drop, pipes of all kinds, damage everywhere."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FakeCapture, avi, number_of, numbered

from swath import SwathError
from swath.inference.streams import open_source
from swath.inference.streams.capture import Live, open_capture
from swath.inference.streams.names import is_stream
from swath.inference.streams.pipe import open_pipe


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
