"""From what a person names (a file, a camera's number, an address, `-`) to a source of frames."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import cv2

from swath.errors import SwathError
from swath.inference.streams.capture import Live, Video, cannot_open, open_capture
from swath.inference.streams.frame import Source
from swath.inference.streams.names import camera, is_address, is_stream, shown
from swath.inference.streams.pipe import open_pipe
from swath.inference.streams.promise import cut_off
from swath.inference.streams.web import endless, may_be_film, resumable


def open_source(
    name: str | Path | int,
    *,
    live: bool = False,
    raw: tuple[int, int] | None = None,
    rate: float | None = None,
    patience: float = 30.0,
) -> Source:
    """A video file, the number of a camera, an address, or `-` for what is piped in.

    `live` keeps only the newest frames of a pipe or of an http address whose answer is not known for a stream (pictures
    that replace one another, HLS), and which would else be a film. `raw` is the (height, width) of bare RGB frames in a
    pipe, `rate` the frames a second of pipes that carry no times, and `patience` the seconds that a stream or a film
    which dropped is waited for.
    """
    name, said = str(name), shown(str(name))
    if not is_stream(name):
        raise SwathError(f"{said}: is no video; name a file, the number of a camera, an address, or - for a pipe")
    if name == "-":
        # Unbuffered: at the end nobody may wait for a thread that still waits for the pipe, holding a buffer's lock.
        stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return open_pipe(stream, raw=raw, rate=rate, live=live)
    if raw:
        raise SwathError(f"{said}: only frames that are piped in can be raw; name - as the input")
    number = camera(name)
    where = name if number is None else number
    capture = open_capture(where)
    if capture is None:
        raise cannot_open(where)
    again = partial(open_capture, where)
    if number is not None or (is_address(name) and (live or not may_be_film(name))):
        return Live(name, capture, again, patience)
    if live:
        capture.release()
        raise SwathError(f"{said}: a file is not live, every frame of it is kept; leave the flag out")
    if not is_address(name):
        return Video(name, capture, cut=partial(cut_off, Path(name)))
    if capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0 and endless(name):
        return Live(name, capture, again, patience)
    # What ends twice at one place is whole where FFmpeg could go on by itself, and held back by the server where not.
    return Video(name, capture, again, patience, cut=lambda: not resumable(name))
