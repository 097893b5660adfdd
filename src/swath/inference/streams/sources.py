"""From what a person names (a file, a camera's number, an address, `-`) to a source of frames."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import cv2

from swath.errors import SwathError
from swath.inference.streams.capture import Live, Video, cannot_open, open_capture
from swath.inference.streams.frame import Source
from swath.inference.streams.names import is_stream
from swath.inference.streams.pipe import open_pipe


def open_source(
    name: str | Path | int,
    *,
    live: bool = False,
    raw: tuple[int, int] | None = None,
    rate: float | None = None,
    patience: float = 30.0,
) -> Source:
    """A video file, the number of a camera, an address, or `-` for what is piped in.

    `live` keeps only the newest frames of a pipe or of an address that looks like a file. `raw` is the (height, width)
    of bare RGB frames in a pipe, `rate` the frames a second of pipes that carry no times, and `patience` the seconds
    that a stream which dropped is waited for.
    """
    name = str(name)
    if not is_stream(name):
        raise SwathError(f"{name}: is no video; name a file, the number of a camera, an address, or - for a pipe")
    if name == "-":
        # Unbuffered: at the end nobody may wait for a thread that still waits for the pipe, holding a buffer's lock.
        stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return open_pipe(stream, raw=raw, rate=rate, live=live)
    if raw:
        raise SwathError(f"{name}: only frames that are piped in can be raw; name - as the input")
    where = int(name) if name.isdigit() and not Path(name).exists() else name
    capture = open_capture(where)
    if capture is None:
        raise cannot_open(where)
    address = isinstance(where, str) and "://" in where
    counted = capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0  # a film lies there as a whole; a stream has no end
    if isinstance(where, int) or (address and (live or not counted or not where.startswith("http"))):
        return Live(name, capture, partial(open_capture, where), patience)
    if live:
        capture.release()
        raise SwathError(f"{name}: a file is not live, every frame of it is kept; leave the flag out")
    return Video(name, capture)
