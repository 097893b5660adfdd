"""Telling videos from pictures by their names; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".mjpg", ".mjpeg", ".y4m", ".h264", ".264", ".h265", ".265", ".hevc", ".m3u8", ".gif"}
)
_CAMERAS = 64  # numbers below this are cameras


def is_stream(name: str) -> bool:
    """Whether this names a video, a camera (its number), an address, or a pipe (`-`)."""
    path = Path(name)
    if name == "-" or "://" in name:
        return True
    if path.suffix.lower() in VIDEOS:
        return not path.is_dir()
    return name.isdigit() and int(name) < _CAMERAS and not path.exists()
