"""Writing videos: H.264 with exact times by PyAV where it is installed, else MPEG-4 at a constant rate by OpenCV."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2

from swath.errors import SwathError
from swath.files import atomic_path
from swath.inference.streams.frame import Array
from swath.inference.streams.names import shown

ENDINGS = (".mp4", ".mov", ".mkv", ".avi")
_ROOM = 32 << 20  # bytes that must stay free, for the index that a container needs at its end
_CLOCK = 90000  # ticks a second of exact times


class Writer(Protocol):
    """Takes frames (RGB, all of one size) with their times in seconds."""

    @property
    def note(self) -> str:
        """What a person should know about the file."""

    def add(self, time: float, image: Array) -> None: ...

    def close(self) -> None: ...


class VideoFile:
    """A video that is being written: frames of other sizes are fitted; it stops while the disk has room to end it."""

    def __init__(self, target: Path, temporary: Path, rate: float):
        self.target = target
        self.frames = 0
        self._temporary = temporary
        self._rate = rate
        self._writer: Writer | None = None
        self._size = (0, 0)  # height, width

    @property
    def note(self) -> str:
        return self._writer.note if self._writer else ""

    def add(self, time: float, image: Array) -> None:
        if shutil.disk_usage(self._temporary.parent).free < _ROOM:
            raise self._full()
        if self._writer is None:
            height, width = image.shape[:2]
            self._size = (height + height % 2, width + width % 2)  # half the colours' resolution needs even sides
            self._writer = _open(self._temporary, self._size, self._rate)
        try:
            self._writer.add(time, _fitted(image, self._size))
        except OSError as error:
            raise self._full() from error
        self.frames += 1

    def close(self) -> None:
        """End the file, so that it plays; complains when it does not."""
        if self._writer is None:
            raise SwathError(f"{self.target}: nothing was written, as no frame came")
        # A full disk was complained about when it was met; whether the file plays is looked at below.
        with contextlib.suppress(OSError):
            self._writer.close()
        if not _plays(self._temporary):
            raise SwathError(f"{self.target}: could not be written whole and does not play; is the disk full?")

    def _full(self) -> SwathError:
        kept = f"after {self.frames} frames; the video up to there is kept" if self.frames else "for a video"
        return SwathError(f"{self.target}: no room left on the disk {kept}. Free some space and run it again")


@contextlib.contextmanager
def video_file(path: Path, rate: float) -> Iterator[VideoFile]:
    """A video that gets its name when the block ends; `rate` is for the formats that need a constant one."""
    check_ending(path)
    with atomic_path(path) as temporary:
        file = VideoFile(path, temporary, rate)
        yield file
        file.close()


def check_ending(path: Path) -> None:
    if (said := shown(str(path))) != str(path):
        raise SwathError(f"{said}: videos cannot be written under a name that is not UTF-8; choose another --out")
    if path.suffix.lower() not in ENDINGS:
        raise SwathError(f"{path}: videos are written as {', '.join(ENDINGS)}; give it such a name")


def exact(path: Path) -> bool:
    """Whether frames keep their exact times in this file, with what is installed."""
    return path.suffix.lower() != ".avi" and find_spec("av") is not None


def _open(path: Path, size: tuple[int, int], rate: float) -> Writer:
    return ByAv(path, size, rate) if exact(path) else ByOpenCV(path, size, rate)


class ByAv:
    """H.264, each frame at its own time. The file can be played at any moment, even when the power fails."""

    note = "H.264, every frame at its own time, no sound"

    def __init__(self, path: Path, size: tuple[int, int], rate: float):
        import av

        # Fragments on the way, one ordinary index once it ends.
        options = {} if path.suffix.lower() == ".mkv" else {"movflags": "hybrid_fragmented"}
        self._container = av.open(str(path), "w", options=options)
        whole = Fraction(rate).limit_denominator(1001)
        # No frames that look ahead ("bf"): with them the first one would not stand at 0.
        quality = {"preset": "veryfast", "crf": "20", "bf": "0", "g": str(max(1, round(2 * rate)))}
        self._stream: Any = self._container.add_stream("libx264", rate=whole, options=quality)
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, _CLOCK)
        self._frame = av.VideoFrame
        self._last = -1

    def add(self, time: float, image: Array) -> None:
        frame = self._frame.from_ndarray(image, "rgb24")
        self._last = frame.pts = max(self._last + 1, round(time * _CLOCK))
        frame.time_base = Fraction(1, _CLOCK)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class ByOpenCV:
    """A constant rate: a frame is repeated until the next one's time, and left out where two fall on one place."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float):
        # On a full disk it would print a line a frame, and say nothing to its caller; the file is looked at in the end.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        code = "MJPG" if path.suffix.lower() == ".avi" else "mp4v"
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), rate, (size[1], size[0]))
        if not self._writer.isOpened():
            raise SwathError(f"{path.suffix}: this OpenCV cannot write such videos; try a name that ends in .avi")
        self._codec = "Motion JPEG" if code == "MJPG" else "MPEG-4 part 2"
        self._rate = rate
        self._next = 0  # the place that is to be written next
        self._waiting: Array | None = None  # what stands there, until it is known how long it stays
        self._repeated = self._left_out = 0

    @property
    def note(self) -> str:
        uneven = ""
        if self._repeated or self._left_out:
            uneven = f" ({self._repeated} frames repeated, {self._left_out} left out to keep the times)"
        better = 'pip install "swath[video]" for H.264'
        return f"{self._codec}, a constant {self._rate:g} frames/s{uneven}, no sound; {better}"

    def add(self, time: float, image: Array) -> None:
        place = int(time * self._rate + 0.5)
        if self._waiting is None:
            self._next = place = 0  # a video begins with its first frame
        elif place <= self._next:
            self._left_out += 1  # the later of two stays
        else:
            self._repeated += place - self._next - 1
            for _ in range(place - self._next):
                self._writer.write(self._waiting)
            self._next = place
        self._waiting = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)

    def close(self) -> None:
        if self._waiting is not None:
            self._writer.write(self._waiting)
        self._writer.release()


def _fitted(image: Array, size: tuple[int, int]) -> Array:
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    if (height + height % 2, width + width % 2) == size:
        edged: Array = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        return edged
    resized: Array = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return resized


def _plays(path: Path) -> bool:
    from swath.inference.streams.capture import open_capture

    capture = open_capture(str(path))
    if capture is None:
        return False
    try:
        return bool(capture.grab())
    finally:
        capture.release()
