"""Frames from a pipe: pictures one after the other (JPEG, PNG), y4m, bare RGB, or a container that needs no seeking."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from swath.errors import SwathError
from swath.inference.streams.capture import Video, open_capture
from swath.inference.streams.frame import Frame, Source
from swath.inference.streams.parts import JPEG, PNG, Y4M, Part, Reader, jpegs, pngs, raw_frames, y4m
from swath.inference.streams.promise import Promise

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

    def __init__(self, parts: Iterator[Part | None], rate: float, live: bool):
        self.live = live
        self.rate: float | None = rate
        self.broken = 0
        self._parts = parts
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        began: float | None = None
        assert self.rate
        for place, part in enumerate(self._parts):
            since = perf_counter()
            if self._stopped.is_set():
                return
            image = part() if part else None
            if image is None:
                self.broken += 1
                continue
            began = since if began is None else began
            time = since - began if self.live else place / self.rate
            yield Frame(number, time, image, perf_counter() - since, since)
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
        promise = Promise()
        # Once both sides have opened it, the pipe needs its name no more.
        with tempfile.TemporaryDirectory(prefix="swath-pipe-", ignore_cleanup_errors=True) as folder:
            pipe = Path(folder, "video")
            os.mkfifo(pipe)
            threading.Thread(target=_pump, args=(reader, pipe, promise), name="swath-pipe", daemon=True).start()
            capture = open_capture(str(pipe))
        if capture is None:
            raise SwathError(
                "-: what was piped in is no video that can be read without seeking (an mp4 whose index lies at its end "
                "cannot); name the file, or pipe y4m, MJPEG or MPEG-TS"
            )
        super().__init__("-", capture, cut=lambda: promise.broken)
        self.total = None


def _pump(reader: Reader, pipe: Path, promise: Promise) -> None:
    with suppress(OSError), pipe.open("wb") as file:  # whoever reads may have had enough
        while block := reader.read(_BLOCK):
            file.write(block)
            promise.add(block)
        promise.ended = True
