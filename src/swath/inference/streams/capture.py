"""Videos, cameras and network streams, read by OpenCV: sources that keep every frame, and live ones."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import cv2

from swath.errors import SwathError
from swath.inference.streams.frame import Array, Frame
from swath.inference.streams.names import ending, is_address, shown
from swath.inference.streams.web import is_web

# FFmpeg inside OpenCV tells of each damaged byte; swath counts the frames instead. Read when the first video is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# So FFmpeg takes up a transfer that broke off at its byte, where the server can do that; where not, it at least leaves
# out the frame that was torn.
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_RECONNECT = "reconnect;1|reconnect_on_network_error;1|reconnect_delay_max;4|fflags;discardcorrupt"

_COUNTED = {".mp4", ".mov", ".m4v", ".avi"}  # containers that know how many frames they hold
_RATES = (0.5, 480.0)  # frames a second that are believed
_WAIT_MS = 8000  # for a network stream to open, and for its next frame
_BROKEN = 200  # frames in a row that a file may fail to give before it counts as ended
_FEW = 5  # frames that may be missing at the end of a film
_TRIES = 5  # frames in a row that a live source may fail to give before it counts as dropped
_HANGS = 1.0  # seconds, after which a frame that did not come means that the stream dropped
_PATIENCE = 30.0  # seconds to wait for a stream that dropped
_LONGEST = 8.0  # seconds between two attempts to open it again


class Capture(Protocol):
    """What is used of cv2.VideoCapture."""

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Any]: ...

    def get(self, what: int) -> float: ...

    def release(self) -> None: ...


def open_capture(name: str | int) -> cv2.VideoCapture | None:
    """A file, an address or the number of a camera; None when it cannot be opened."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        if isinstance(name, int):
            capture = cv2.VideoCapture(name)
        elif is_address(name):
            waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _WAIT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _WAIT_MS]
            with _reconnecting(name), _utf8(name) as path:
                capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, waits)
        else:
            with _utf8(name) as path:
                capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture.isOpened():
        return capture
    capture.release()
    return None


@contextmanager
def _reconnecting(address: str) -> Iterator[None]:
    """What a person has set is left as it is."""
    if _OPTIONS in os.environ or not is_web(address):
        yield
        return
    os.environ[_OPTIONS] = _RECONNECT
    try:
        yield
    finally:
        del os.environ[_OPTIONS]


@contextmanager
def _utf8(name: str) -> Iterator[str]:
    """A name for this file that OpenCV can take: it dies of one that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        if is_address(name):
            raise SwathError(f"{shown(name)}: is not UTF-8, as addresses are") from None
        with tempfile.TemporaryDirectory(prefix="swath-name-") as folder:
            link = Path(folder, f"video{ending(name)}")
            try:
                link.symlink_to(Path(name).absolute())
            except OSError as error:
                raise SwathError(f"{shown(name)}: OpenCV cannot open a name that is not UTF-8; rename it") from error
            yield str(link)
    else:
        yield name


def rgb(image: Any) -> Array:
    """What OpenCV decodes, as RGB."""
    colour: Array = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
    return colour


class Again:
    """Opens a stream again that dropped: at first after half a second, then more and more rarely, and for `patience`
    seconds in all until a frame comes. Merely to be let in is nothing: there are servers that then send nothing."""

    def __init__(self, again: Callable[[], Capture | None], patience: float, stopped: threading.Event):
        self._again = again
        self._patience = patience
        self._stopped = stopped
        self._until: float | None = None  # while nothing comes
        self._pause = 0.0

    def came(self) -> bool:
        """A frame has come; whether the stream had dropped."""
        dropped, self._until = self._until is not None, None
        return dropped

    def __call__(self) -> Capture | None:
        """None once patience is at its end, or nobody wants frames any more."""
        if self._until is None:
            self._until, self._pause = perf_counter() + self._patience, 0.5
        while (left := self._until - perf_counter()) > 0:
            if self._stopped.wait(min(self._pause, left)):
                break
            self._pause = min(2 * self._pause, _LONGEST)
            capture = self._again()
            if capture is not None:
                return capture
        return None


class Video:
    """A film: every frame, at the times that it says. Damaged frames are left out. One that breaks off on its way over
    a network is opened `again`, and goes on with the frame that comes next. `cut` tells, at the end, whether the
    container had promised more."""

    live = False

    def __init__(
        self,
        name: str,
        capture: Capture,
        again: Callable[[], Capture | None] | None = None,
        patience: float = _PATIENCE,
        cut: Callable[[], bool] | None = None,
    ):
        self.name = shown(name)
        self.broken = 0
        self.returns = 0
        self.lost = False
        self.rate = believed(capture.get(cv2.CAP_PROP_FPS))
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Other containers hold no count, and what OpenCV gives for them is a guess.
        self.total = int(count) if count > 0 and ending(name) in _COUNTED else None
        self._capture: Capture | None = capture
        self._stopped = threading.Event()
        self._again = Again(again, patience, self._stopped) if again else None
        self._cut = cut or (lambda: False)

    def __iter__(self) -> Iterator[Frame]:
        number, failed, first, last = 0, 0, 0.0, 0.0
        behind = 0  # frames that came before the film broke off, and come again
        broke_at: int | None = None
        try:
            while not self._stopped.is_set() and self._capture is not None:
                start = perf_counter()
                good, image = self._capture.grab(), None
                if good and behind:
                    behind, failed = behind - 1, 0
                    continue
                if good:
                    good, image = self._capture.retrieve()
                if not good:  # a damaged frame looks like the end, until another one comes
                    failed += 1
                    hangs = perf_counter() - start > _HANGS
                    if failed < _BROKEN and not hangs:
                        continue
                    whole = not (hangs or behind or self._lacks(number, last))
                    twice = broke_at == number and not behind and not hangs
                    if self._again is None or whole or twice:
                        self._end(number, last)
                        return
                    broke_at, behind, failed = number, number, 0
                    self._reopen(self._again)
                    continue
                time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                self.broken, failed = self.broken + failed, 0
                first = time if not number else first
                time -= first
                if number and time <= last:  # a container without times, or a damaged one
                    time = last + 1 / (self.rate or 25.0)
                last = time
                picture = rgb(image)
                if self._again:
                    self.returns += self._again.came()
                yield Frame(number, time, picture, perf_counter() - start)
                number += 1
        finally:
            if self._capture is not None:
                self._capture.release()

    def stop(self) -> None:
        self._stopped.set()

    def _reopen(self, again: Again) -> None:
        assert self._capture is not None
        self._capture.release()
        self._capture = again()
        self.lost = self._capture is None and not self._stopped.is_set()

    def _lacks(self, number: int, last: float) -> bool:
        """Whether the end of the film is missing: frames, and their time. Damage on the way costs frames only."""
        if self.total is None:
            return False
        return self.total - number > _FEW and self.total - last * (self.rate or 25.0) > _FEW + 1

    def _end(self, number: int, last: float) -> None:
        """OpenCV passes over what it cannot decode without a word; what the container promised tells."""
        missing = 0 if self.total is None else self.total - number
        self.broken = max(self.broken, missing)
        doubtful = self._lacks(number, last) if self._again else self.total is None or missing > 0
        self.lost = doubtful and self._cut()


class Live:
    """A camera or a stream: frames as they come, at the times when they came. One that drops is opened again."""

    live = True
    total: int | None = None

    def __init__(
        self, name: str, capture: Capture, again: Callable[[], Capture | None], patience: float = _PATIENCE
    ) -> None:
        self.name = shown(name)
        self.broken = 0
        self.returns = 0
        self.lost = False
        self.rate = believed(capture.get(cv2.CAP_PROP_FPS))
        self._capture: Capture | None = capture
        self._stopped = threading.Event()
        self._again = Again(again, patience, self._stopped)

    def __iter__(self) -> Iterator[Frame]:
        number, failed = 0, 0
        began: float | None = None
        try:
            while not self._stopped.is_set() and self._capture is not None:
                start = perf_counter()
                if not self._capture.grab():
                    failed += 1
                    if failed >= _TRIES or perf_counter() - start > _HANGS:
                        failed = 0
                        self._reopen()
                    continue
                since = perf_counter()
                good, image = self._capture.retrieve()
                if not good or image is None:
                    self.broken += 1
                    continue
                failed = 0
                self.returns += self._again.came()
                began = since if began is None else began
                picture = rgb(image)
                yield Frame(number, since - began, picture, perf_counter() - since, since)
                number += 1
        finally:
            if self._capture is not None:
                self._capture.release()

    def stop(self) -> None:
        self._stopped.set()

    def _reopen(self) -> None:
        assert self._capture is not None
        self._capture.release()
        self._capture = self._again()
        self.lost = self._capture is None and not self._stopped.is_set()


def believed(rate: float) -> float | None:
    """A rate that a container claims, if it can be one."""
    return rate if _RATES[0] <= rate <= _RATES[1] else None


def cannot_open(name: str | int) -> SwathError:
    if isinstance(name, int):
        return SwathError(f"camera {name}: cannot be opened; is it plugged in, and does no other program use it?")
    said = shown(name)
    if is_address(name):
        return SwathError(f"{said}: cannot be opened within {_WAIT_MS // 1000} s; check the address and the network")
    if not Path(name).exists():
        return SwathError(f"{said}: no such file")
    return SwathError(f"{said}: is not a readable video; the file may be damaged or cut off")
