"""Stand-ins for cameras, streams and videos, which no test can have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from swath.inference.streams import Frame


def numbered(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture whose grey value tells its number (to 60), even after a lossy codec."""
    return np.full((height, width, 3), 4 * number, np.uint8)


def number_of(picture: np.ndarray) -> int:
    return round(float(picture.mean()) / 4)


def avi(path: Path, frames: int, rate: float = 10.0) -> Path:
    """Motion JPEG of numbered pictures."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    for number in range(frames):
        writer.write(numbered(number))
    writer.release()
    return path


class Frames:
    """A source of numbered frames, each `pause` seconds after the other."""

    name = "frames"
    total = None
    returns = 0
    lost = False
    broken = 0

    def __init__(self, count: int, *, live: bool = False, pause: float = 0.0, rate: float | None = 10.0):
        self.count, self.live, self.pause, self.rate = count, live, pause, rate
        self.given = 0
        self.stopped = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.count):
            start = time.perf_counter()
            time.sleep(self.pause)
            if self.stopped:
                return
            self.given += 1
            yield Frame(number, number / 10, numbered(number % 60), time.perf_counter() - start)

    def stop(self) -> None:
        self.stopped = True


class FakeCapture:
    """A camera: `script` says of each grab what comes: a picture, None for a broken one, False for nothing."""

    def __init__(self, script: list[np.ndarray | bool | None], wait: Callable[[], None] = lambda: None):
        self.script, self.wait = list(script), wait
        self.released = False
        self._held: np.ndarray | bool | None = None

    def grab(self) -> bool:
        self.wait()
        self._held = self.script.pop(0) if self.script else False
        return self._held is not False

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        assert not isinstance(self._held, bool)
        return self._held is not None, self._held

    def get(self, what: int) -> float:
        return 30.0 if what == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True
