"""Cutting a stream of bytes into frames. What is cut out is decoded only when it is called, so that waiting for bytes
and work on them can be told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

import cv2
import numpy as np

from swath.errors import SwathError
from swath.inference.streams.frame import Array

JPEG, PNG, Y4M = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"YUV4MPEG2 "
Part = Callable[[], Array | None]  # decodes one frame; None where it cannot
_BLOCK = 1 << 16
_MOST = 1 << 28  # bytes of one picture; what is longer is none


class Reader:
    """Bytes of a pipe with a look ahead."""

    def __init__(self, stream: BinaryIO):
        self._read = getattr(stream, "read1", stream.read)  # what is there; a raw stream's `read` does that too
        self._held = bytearray()
        self._ended = False

    def _more(self) -> bool:
        block = b"" if self._ended else self._read(_BLOCK)
        self._ended = not block
        self._held += block
        return bool(block)

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._held) < count and self._more():
            pass
        return bytes(self._held[:count])

    def read(self, count: int) -> bytes:
        """Up to `count` bytes as soon as there are any."""
        if not self._held:
            self._more()
        return self._take(count)

    def exactly(self, count: int) -> bytes | None:
        """So many bytes; None when the stream ends before."""
        while len(self._held) < count and self._more():
            pass
        return self._take(count) if len(self._held) >= count else None

    def line(self, most: int = 4096) -> bytes | None:
        """Up to the next line break, without it."""
        at = self.find(b"\n", 0)
        if at is None or at > most:
            return None
        return self._take(at + 1)[:-1]

    def find(self, what: bytes, start: int) -> int | None:
        """Where `what` begins, at `start` bytes ahead or later."""
        while (at := self._held.find(what, start)) < 0:
            start = max(start, len(self._held) - len(what) + 1)
            if len(self._held) > _MOST or not self._more():
                return None
        return at

    def skip_to(self, what: bytes) -> bool:
        """Drop what comes before `what`; whether it comes."""
        while (at := self._held.find(what)) < 0:
            del self._held[: max(0, len(self._held) - len(what) + 1)]
            if not self._more():
                return False
        del self._held[:at]
        return True

    def at(self, start: int, count: int) -> bytes:
        """Bytes that lie ahead; fewer only at the end."""
        self.peek(start + count)
        return bytes(self._held[start : start + count])

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken


def jpegs(reader: Reader) -> Iterator[Part | None]:
    """JPEG pictures one after the other, whatever stands between them; None for each that cannot be cut out."""
    while reader.skip_to(JPEG):
        length = _jpeg_length(reader)
        if length is None:  # damaged or cut off: go on at the next beginning
            reader.exactly(len(JPEG))
            yield None
        else:
            yield partial(_decoded, reader.exactly(length))


def _jpeg_length(reader: Reader) -> int | None:
    """Of the JPEG that begins here; from segment to segment, as pictures may carry smaller ones inside."""
    at = 2
    while at < _MOST:
        head = reader.at(at, 4)
        if len(head) < 2 or head[0] != 0xFF:
            return None
        kind = head[1]
        if kind == 0xD9:
            return at + 2
        if kind == 0xFF:  # padding
            at += 1
            continue
        if len(head) < 4 or kind in (0xD8, 0x00):
            return None
        at += 2 + int.from_bytes(head[2:4], "big")
        if kind == 0xDA:  # bytes of the picture itself, up to a marker that is neither stuffing nor a restart
            while True:
                found = reader.find(b"\xff", at)
                after = b"" if found is None else reader.at(found + 1, 1)
                if found is None or not after:
                    return None
                at = found
                if after[0] != 0 and not 0xD0 <= after[0] <= 0xD7:
                    break
                at += 2
    return None


def pngs(reader: Reader) -> Iterator[Part | None]:
    """PNG pictures one after the other."""
    while reader.skip_to(PNG):
        at: int | None = len(PNG)
        while at is not None and at < _MOST:
            head = reader.at(at, 8)
            if len(head) < 8 or not head[4:].isalpha():
                at = None
                break
            at += 12 + int.from_bytes(head[:4], "big")
            if head[4:] == b"IEND":
                break
        data = reader.exactly(at) if at is not None else None
        if data is None:
            reader.exactly(len(PNG))
            yield None
        else:
            yield partial(_decoded, data)


def _decoded(data: bytes | None) -> Array | None:
    try:
        image = cv2.imdecode(np.frombuffer(data or b"", np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def raw_frames(reader: Reader, height: int, width: int) -> Iterator[Part | None]:
    """Bare RGB bytes, row by row; a rest at the end counts as a broken frame."""
    while (data := reader.exactly(height * width * 3)) is not None:
        yield partial(_shaped, data, height, width)
    if reader.peek(1):
        yield None


def _shaped(data: bytes, height: int, width: int) -> Array:
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def y4m(reader: Reader) -> tuple[float, Iterator[Part | None]]:
    """The rate and the frames of uncompressed YUV with a header, as `ffmpeg -f yuv4mpegpipe` writes it."""
    words = (reader.line() or b"").decode("ascii", "replace").split(" ")[1:]
    told = {word[0]: word[1:] for word in words if word}
    try:
        width, height = int(told["W"]), int(told["H"])
        up, down = (int(part) for part in told["F"].split(":"))
        rate = up / down
    except (KeyError, ValueError, ZeroDivisionError):
        raise SwathError(f"-: this y4m header says no size and rate: {' '.join(words)[:80]}") from None
    chroma = told.get("C", "420")
    if re.fullmatch("420(jpeg|mpeg2|paldv)?", chroma) is None or width % 2 or height % 2 or not width or not height:
        raise SwathError(
            f"-: y4m of {width}x{height}, {chroma}, cannot be read; 8-bit 4:2:0 with even sides can (-pix_fmt yuv420p)"
        )
    return rate, _y4m_frames(reader, height, width)


def _y4m_frames(reader: Reader, height: int, width: int) -> Iterator[Part | None]:
    while (line := reader.line()) is not None:
        data = reader.exactly(height * width * 3 // 2) if line.startswith(b"FRAME") else None
        if data is None:
            yield None
            return
        yield partial(_from_yuv, data, height, width)


def _from_yuv(data: bytes, height: int, width: int) -> Array:
    planes = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)
