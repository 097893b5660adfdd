"""What a file is, told from its first bytes and its header; nothing is decoded here."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from swath.data.images import image_size, orientation_of
from swath.errors import SwathError

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")  # as swath.data reads them


class Wrong(Exception):
    """A file that cannot be used: the kind of finding, what to say, what to do."""

    def __init__(self, kind: str, message: str, advice: str = ""):
        super().__init__(kind, message, advice)
        self.kind, self.message, self.advice = kind, message, advice


@dataclass(frozen=True)
class Header:
    """What the doctor wants to know of a picture before it is decoded."""

    format: str
    mode: str
    size: tuple[int, int]  # height and width, upright
    orientation: int  # as EXIF numbers it; 1: as it is
    deep: bool  # colors of 16 bits each
    alpha: bool


def open_header(path: Path) -> Header:
    """The header, or why there is none."""
    try:
        size = image_size(path)
    except SwathError as error:
        raise _why(path, error) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=_FORMATS) as picture:
            form, mode = picture.format or "", picture.mode
            alpha = mode in ("RGBA", "LA", "PA") or (mode in ("P", "L", "RGB") and "transparency" in picture.info)
            deep = form == "PNG" and not mode.startswith("I") and _png_depth(path) == 16
            return Header(form, mode, size, orientation_of(picture), deep, alpha)


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        start = file.read(26)
    return start[24] if len(start) > 24 else 8


def _why(path: Path, error: SwathError) -> Wrong:
    """Why a file has no header that can be read."""
    said = " ".join(str(error).removeprefix(f"{path}:").split())
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return Wrong("unreadable", said, "see who may read it (ls -l)")
    again = "copy or download it again"
    if not start:
        return Wrong("empty-file", "holds zero bytes", again)
    if start.startswith(b"version https://git-lfs"):
        return Wrong("pointer", "is a placeholder of Git LFS, the picture itself is not here", "run `git lfs pull`")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return Wrong("web-page", "is a web page, probably what a failed download left", again)
    if "several pictures" in said:
        return Wrong("animated", said)
    if not any(start):
        return Wrong("damaged", "begins with zeros, its content was never written", again)
    return Wrong("unreadable", said, again)


def check_png(path: Path) -> None:
    """Checksums of a PNG's chunks; a decoder of labels that skips them would give wrong classes silently."""
    data = path.read_bytes()
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            name = data[at + 4 : at + 8].decode("ascii", "replace")
            raise Wrong("damaged", f"the checksum of its {name} chunk is wrong, bits of it were lost", "copy it again")
        at = end + 4
