"""Telling videos from pictures by their names, and how names are shown; imports nothing heavy."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".mjpg", ".mjpeg", ".y4m", ".h264", ".264", ".h265", ".265", ".hevc", ".m3u8", ".gif"}
)
_CAMERAS = 64  # numbers below this are cameras
_USER = re.compile(r"(?<=://)[^/?#]*@")
_SECRET = re.compile(r"([?&;][^=&;#]*(?:pass|pwd|token|secret|key|auth)[^=&;#]*=)[^&;#]*", re.IGNORECASE)


def is_stream(name: str) -> bool:
    """Whether this names a video, a camera (its number), an address, or a pipe (`-`)."""
    path = Path(name)
    if name == "-" or is_address(name):
        return True
    if path.suffix.lower() in VIDEOS:
        return not path.is_dir()
    return camera(name) is not None


def is_address(name: str) -> bool:
    return "://" in name


def camera(name: str) -> int | None:
    """The number of the camera that this names."""
    # isdecimal() alone is true of digits that int() knows and nobody types; isdigit() of some that int() refuses.
    if not (name.isascii() and name.isdecimal() and len(name) < 5) or Path(name).exists():
        return None
    return int(name) if int(name) < _CAMERAS else None


def ending(name: str) -> str:
    """What a file's name ends in, also at an address: `.mp4`."""
    path = re.split("[?#]", name)[0] if is_address(name) else name
    return PurePosixPath(path).suffix.lower()


def shown(name: str) -> str:
    """A name as people, files and logs may see it: without passwords, and printable whatever its bytes."""
    if is_address(name):
        name = _SECRET.sub(r"\1***", _USER.sub("", name))
    return name.encode("utf-8", "backslashreplace").decode()
