"""Videos, cameras and network streams, read by OpenCV: sources that keep every frame, and live ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import cv2

from swath.errors import SwathError
from swath.inference.streams.frame import Array, Frame

# FFmpeg inside OpenCV tells of each damaged byte; swath counts the frames instead. Read when the first video is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_COUNTED = {".mp4", ".mov", ".m4v", ".avi"}  # containers that know how many frames they hold
_RATES = (0.5, 480.0)  # frames a second that are believed
_WAIT_MS = 8000  # for a network stream to open, and for its next frame
_BROKEN = 200  # frames in a row that a file may fail to give before it counts as ended
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
        elif "://" in name:
            waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _WAIT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _WAIT_MS]
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, waits)
        else:
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture.isOpened():
        return capture
    capture.release()
    return None


def rgb(image: Any) -> Array:
    """What OpenCV decodes, as RGB."""
    colour: Array = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
    return colour


class Video:
    """A file: every frame, at the times that the file says. Damaged frames are left out."""

    live = False
    returns = 0
    lost = False

    def __init__(self, name: str, capture: Capture):
        self.name = name
        self.broken = 0
        self.rate = believed(capture.get(cv2.CAP_PROP_FPS))
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Other containers hold no count, and what OpenCV gives for them is a guess.
        self.total = int(count) if count > 0 and Path(name).suffix.lower() in _COUNTED else None
        self._capture = capture
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        number, failed, first, last = 0, 0, 0.0, 0.0
        try:
            while not self._stopped.is_set():
                start = perf_counter()
                good, image = self._capture.retrieve() if self._capture.grab() else (False, None)
                if not good:  # a damaged frame looks like the end, until another one comes
                    failed += 1
                    if failed >= _BROKEN or perf_counter() - start > _HANGS:
                        self._missed(number)
                        return
                    continue
                time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                self.broken, failed = self.broken + failed, 0
                first = time if not number else first
                time -= first
                if number and time <= last:  # a container without times, or a damaged one
                    time = last + 1 / (self.rate or 25.0)
                last = time
                picture = rgb(image)
                yield Frame(number, time, picture, perf_counter() - start)
                number += 1
        finally:
            self._capture.release()

    def stop(self) -> None:
        self._stopped.set()

    def _missed(self, number: int) -> None:
        """OpenCV passes over what it cannot decode without a word; what the container promised tells."""
        if self.total is not None:
            self.broken = max(self.broken, self.total - number)


class Live:
    """A camera or a stream: frames as they come, at the times when they came. One that drops is opened again, at first
    after half a second, then more and more rarely, for `patience` seconds."""

    live = True
    total: int | None = None

    def __init__(
        self, name: str, capture: Capture, again: Callable[[], Capture | None], patience: float = _PATIENCE
    ) -> None:
        self.name = name
        self.broken = 0
        self.returns = 0
        self.lost = False
        self.rate = believed(capture.get(cv2.CAP_PROP_FPS))
        self._capture: Capture | None = capture
        self._again = again
        self._patience = patience
        self._stopped = threading.Event()

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
                        self._return()
                    continue
                since = perf_counter()
                good, image = self._capture.retrieve()
                if not good or image is None:
                    self.broken += 1
                    continue
                failed = 0
                began = since if began is None else began
                picture = rgb(image)
                yield Frame(number, since - began, picture, perf_counter() - since, since)
                number += 1
        finally:
            if self._capture is not None:
                self._capture.release()

    def stop(self) -> None:
        self._stopped.set()

    def _return(self) -> None:
        """Open the stream again, or give it up."""
        assert self._capture is not None
        self._capture.release()
        self._capture = None
        until, pause = perf_counter() + self._patience, 0.5
        while (left := until - perf_counter()) > 0:
            if self._stopped.wait(min(pause, left)):
                return
            self._capture = self._again()
            if self._capture is not None:
                self.returns += 1
                return
            pause = min(2 * pause, _LONGEST)
        self.lost = True


def believed(rate: float) -> float | None:
    """A rate that a container claims, if it can be one."""
    return rate if _RATES[0] <= rate <= _RATES[1] else None


def cannot_open(name: str | int) -> SwathError:
    if isinstance(name, int):
        return SwathError(f"camera {name}: cannot be opened; is it plugged in, and does no other program use it?")
    if "://" in name:
        return SwathError(f"{name}: cannot be opened within {_WAIT_MS // 1000} s; check the address and the network")
    if not Path(name).exists():
        return SwathError(f"{name}: no such file")
    return SwathError(f"{name}: is not a readable video; the file may be damaged or cut off")
