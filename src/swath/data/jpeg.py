"""Where a JPEG ends, and a JPEG that ends above a row: decoding takes its time from the top down."""

from __future__ import annotations

from collections.abc import Iterator

_SCAN = 0xDA
_SEQUENTIAL = (0xC0, 0xC1)  # frames whose one scan holds the rows from top to bottom; a progressive one has many


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, start of what belongs to it) up to the first scan; fewer where the data are damaged."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        yield marker, at + 4
        if marker == _SCAN:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def is_whole(data: bytes) -> bool:
    """Whether an end marker follows the start of the scan (a thumbnail's own end marker stands before that)."""
    return any(marker == _SCAN and data.rfind(b"\xff\xd9") >= start for marker, start in segments(data))


def shortened(data: bytes, count: int) -> bytes | None:
    """The JPEG with fewer rows, of which the first `count` are the same; None where that would not save time.

    Only its height is changed: a decoder leaves the rest of the scan alone. Chroma of a block's last rows is blended
    with that of the block below, so there is one row of blocks more.
    """
    components = scanned = 0
    frame = height = block = 0
    for marker, start in segments(data):
        if marker in _SEQUENTIAL:
            frame, height, components = start, int.from_bytes(data[start + 1 : start + 3], "big"), data[start + 5]
            block = 8 * max((data[start + 7 + 3 * i] & 15 for i in range(components)), default=0)
        elif marker == _SCAN:
            scanned = data[start]
    if not frame or scanned != components or count + block > 0.85 * height:  # OpenCV's whole decode is faster there
        return None
    return data[: frame + 1] + (count + block).to_bytes(2, "big") + data[frame + 3 :]
