"""Frames from a pipe: pictures one after the other (JPEG, PNG), y4m, bare RGB, or a container that needs no seeking."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from swath.errors import SwathError
from swath.inference.streams.capture import Video, open_capture
from swath.inference.streams.frame import Array, Frame, Source
from swath.inference.streams.parts import JPEG, PNG, Y4M, Reader, jpegs, pngs, raw_frames, y4m

_RATE = 25.0  # frames a second, where a pipe does not say
_BLOCK = 1 << 16


def open_pipe(stream: BinaryIO, *, raw: tuple[int, int] | None, rate: float | None, live: bool) -> Source:
    """Look at the first bytes and choose the reader."""
    reader = Reader(stream)
    if raw:
        return Piped(raw_frames(reader, *raw), rate or _RATE, live)
    head = reader.peek(len(Y4M))
    if not head:
        raise SwathError("-: nothing was piped in")
    if head.startswith(JPEG):
        return Piped(jpegs(reader), rate or _RATE, live)
    if head.startswith(PNG):
        return Piped(pngs(reader), rate or _RATE, live)
    if head == Y4M:
        own, frames = y4m(reader)
        return Piped(frames, rate or own, live)
    return _Container(reader, live)


class Piped:
    """Frames of a pipe that carries no times: they are `rate` a second, or when they came if it is live."""

    name = "-"
    total: int | None = None
    returns = 0
    lost = False

    def __init__(self, frames: Iterator[Array | None], rate: float, live: bool):
        self.live = live
        self.rate: float | None = rate
        self.broken = 0
        self._frames = frames
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        began: float | None = None
        assert self.rate
        for place, image in enumerate(self._frames):
            since = perf_counter()
            if self._stopped.is_set():
                return
            if image is None:
                self.broken += 1
                continue
            began = since if began is None else began
            yield Frame(number, since - began if self.live else place / self.rate, image, 0.0, since)
            number += 1

    def stop(self) -> None:
        self._stopped.set()


class _Container(Video):
    """A container, handed on to OpenCV through a named pipe, as OpenCV reads names only."""

    def __init__(self, reader: Reader, live: bool):
        if live:
            raise SwathError("-: only pictures, y4m and raw frames can be live in a pipe; pipe one of these")
        if not hasattr(os, "mkfifo"):
            raise SwathError("-: on this system only pictures, y4m and raw frames can be piped in; name a file")
        self._folder = tempfile.mkdtemp(prefix="swath-pipe-")
        pipe = Path(self._folder, "video")
        os.mkfifo(pipe)
        threading.Thread(target=_pump, args=(reader, pipe), name="swath-pipe", daemon=True).start()
        capture = open_capture(str(pipe))
        if capture is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise SwathError(
                "-: what was piped in is no video that can be read without seeking (an mp4 whose index lies at its end "
                "cannot); name the file, or pipe y4m, MJPEG or MPEG-TS"
            )
        super().__init__("-", capture)
        self.total = None

    def __iter__(self) -> Iterator[Frame]:
        try:
            yield from super().__iter__()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def _pump(reader: Reader, pipe: Path) -> None:
    with suppress(OSError), pipe.open("wb") as file:  # whoever reads may have had enough
        while block := reader.read(_BLOCK):
            file.write(block)
