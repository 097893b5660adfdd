"""How long a container says that it is, from the heads of its parts: MP4 and QuickTime, AVI, Matroska and WebM.

FFmpeg reads a file that was cut off as far as it goes and says nothing. Counts of frames do not tell either: a film
that was trimmed without encoding it anew holds frames that are not to be shown.
"""

from __future__ import annotations

from pathlib import Path

_HEAD = 16  # bytes that are enough to know how long a part is
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"ssix", b"styp", b"uuid"}
_BOXES |= {b"meta", b"udta", b"pnot", b"PICT", b"emsg", b"prft", b"pdin"}
_EBML = (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67")  # the head of a Matroska file, and what holds all the rest


class Promise:
    """Looks at the bytes of a container as they pass."""

    def __init__(self) -> None:
        self.ended = False  # set by whoever passes the bytes on
        self._seen = 0
        self._next = 0  # where the next part begins
        self._head = bytearray()
        self._told = True  # whether what came so far says where it ends

    def add(self, block: bytes) -> None:
        start, self._seen = self._seen, self._seen + len(block)
        while self._told and self._next + len(self._head) < self._seen:
            at = self._next + len(self._head) - start
            self._head += block[at : at + _HEAD - len(self._head)]
            if len(self._head) == _HEAD:
                self._step()

    @property
    def broken(self) -> bool:
        """Whether all bytes have come, and the container says that there are more."""
        while self._told and len(self._head) >= 8:  # a last part may be shorter than that
            self._step()
        return self.ended and self._told and self._next > self._seen

    def _step(self) -> None:
        length = _length(bytes(self._head))
        self._told = length is not None
        self._next += length or 0
        del self._head[:length]  # the rest is of the next part


def cut_off(path: Path) -> bool:
    """Whether the end of this file is missing."""
    try:
        size, at = path.stat().st_size, 0
        with path.open("rb") as file:
            while at < size:
                file.seek(at)
                length = _length(file.read(_HEAD))
                if length is None:
                    return False
                at += length
    except OSError:
        return False
    return at > size


def _length(head: bytes) -> int | None:
    """Of the part that begins so; None where that is not told."""
    if head[:4] == b"RIFF" and len(head) >= 12 and head[8:12] in (b"AVI ", b"AVIX"):
        size = int.from_bytes(head[4:8], "little")
        return 8 + size + size % 2 if 0 < size < 0xFFFFFFFF else None
    if head[:4] in _EBML:
        return _matroska(head)
    size = int.from_bytes(head[:4], "big")
    if head[4:8] not in _BOXES:
        return None
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return size if size >= 8 else None  # 0 is: up to the end, wherever that is


def _matroska(head: bytes) -> int | None:
    first = head[4]
    width = 9 - first.bit_length()  # the place of the first set bit says how many bytes the number has
    number = int.from_bytes(head[4 : 4 + width], "big") - (1 << 7 * width)
    unknown = (1 << 7 * width) - 1
    return None if not first or number == unknown else 4 + width + number
