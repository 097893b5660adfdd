"""A folder for what has come over a network once: of a bounded size, the longest unused is dropped first."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from pathlib import Path

from swath.errors import SwathError
from swath.files import make_folder

DEFAULT_GB = 50.0


class Cache:
    """Bytes by key. Several processes may use one folder: a file appears whole or not at all."""

    def __init__(self, folder: Path, limit: int, about: str) -> None:
        self.top, self.limit = make_folder(folder), limit
        self.folder = make_folder(folder / hashlib.sha256(about.encode()).hexdigest()[:16])
        self._unseen = limit  # bytes put since the folder was last looked through; so the first put looks
        self._works = True

    def get(self, key: str) -> bytes | None:
        """What was put under the key, if it is still there; it counts as used now."""
        path = self.folder / key
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep it, if that can be: a full disk is told once, and costs nothing but time."""
        if not self._works or len(data) > self.limit:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                temporary = Path(file.name)
                try:
                    file.write(data)
                    file.close()
                    temporary.replace(self.folder / key)
                finally:
                    temporary.unlink(missing_ok=True)
            self._unseen += len(data)
            if self._unseen > self.limit / 20:
                self._evict()
        except OSError as error:
            self._works = False
            warnings.warn(f"{self.folder}: nothing more is cached there ({error.strerror or error})", stacklevel=2)

    def _evict(self) -> None:
        """Drop the longest unused down to nine tenths of the limit, once it is passed."""
        self._unseen = 0
        found = []
        for path in self.top.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):  # another process drops as well
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        used = sum(size for _, size, _ in found)
        if used <= self.limit:
            return
        for _, size, path in sorted(found):
            path.unlink(missing_ok=True)
            used -= size
            if used <= 0.9 * self.limit:
                return


def cache_of(root: str, folder: str | Path | None) -> Cache | None:
    """The folder that is given or that $SWATH_CACHE names, with at most $SWATH_CACHE_GB; none where neither is."""
    folder = folder or os.environ.get("SWATH_CACHE")
    if not folder:
        return None
    said = os.environ.get("SWATH_CACHE_GB", str(DEFAULT_GB))
    try:
        limit = float(said) * 1e9
    except ValueError as error:
        raise SwathError(f"SWATH_CACHE_GB={said}: must be a number of gigabytes, such as {DEFAULT_GB:.0f}") from error
    return Cache(Path(folder).expanduser(), int(limit), root)
