"""Reading what lies beside a picture: depth, optical flow, motion. What each map's name stands for: windows.CUTS."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from swath.cards.tables import IGNORE, LabelTable
from swath.data.images import read_label_raw
from swath.errors import SwathError


@dataclass(frozen=True)
class Depth:
    """16-bit values of so many units a metre; 0 is not measured."""

    name: str
    files: str | None  # None: a column of the list names them
    where: str
    per_metre: int
    range: tuple[float, float] | None = None
    channels: ClassVar[int] = 1

    def read(self, path: Path, camera: Path | None) -> NDArray[np.float32]:
        """Metres."""
        return _within((_grey(path) / self.per_metre).astype(np.float32), self.range)

    def absent(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """The map of a picture that has none."""
        return np.zeros(size, np.float32)


@dataclass(frozen=True)
class Disparity:
    """Cityscapes' 16-bit disparities: (value - 1) / 256 pixels, and metres by the camera that took the picture.

    0 is not measured; 1 is a disparity of 0, infinitely far, and counts as not measured too.
    """

    name: str
    files: str | None
    where: str
    camera: str
    range: tuple[float, float] | None = None
    channels: ClassVar[int] = 1

    def read(self, path: Path, camera: Path | None) -> NDArray[np.float32]:
        """Metres: baseline * fx / disparity."""
        assert camera is not None
        raw = _grey(path).astype(np.float32)
        with np.errstate(divide="ignore"):
            metres = np.float32(256 * _baseline_fx(camera)) / (raw - 1)
        return _within(np.where(raw > 1, metres, np.float32(0)), self.range)

    def absent(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """The map of a picture that has none."""
        return np.zeros(size, np.float32)


@dataclass(frozen=True)
class Flow:
    """8-bit pictures of (u, v, confidence), each moved up by `zero`."""

    name: str
    files: str | None
    where: str
    zero: int
    channels: int

    def read(self, path: Path, camera: Path | None) -> NDArray[np.float32]:
        """Pixels right and down; the confidence runs from about -1 to 1, and is 0 where the file says nothing."""
        raw = read_label_raw(path)
        if raw.ndim != 3:
            raise SwathError(f"{path}: holds one channel; a flow has u and v, and perhaps a confidence")
        flow = raw[..., : self.channels].astype(np.float32) - np.float32(self.zero)
        flow[..., 2:] /= 128
        return flow

    def absent(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """The map of a picture that has none."""
        return np.zeros((*size, self.channels), np.float32)


@dataclass(frozen=True)
class Motion:
    """Which pixels move by themselves, as values of a label file."""

    name: str
    files: str | None
    where: str
    values: tuple[tuple[int, int], ...]
    channels: ClassVar[int] = 1

    def read(self, path: Path, camera: Path | None) -> NDArray[np.uint8]:
        """1 where something moves, 0 where not, 255 where that is unknown."""
        return LabelTable(dict(self.values), where=self.where).apply(read_label_raw(path), str(path))

    def absent(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The map of a picture that has none."""
        return np.full(size, IGNORE, np.uint8)


Companion = Depth | Disparity | Flow | Motion


def read_companion(
    info: Companion, path: Path, camera: Path | None, image: Path, size: tuple[int, int]
) -> NDArray[Any]:
    """A map of a picture, of the picture's size."""
    for what, file in ((info.name, path), ("camera", camera)):
        if file is not None and not file.is_file():
            raise SwathError(f"{file}: there is no such {what} file of {image}; see {info.where}")
    array = info.read(path, camera)
    if array.shape[:2] != size:
        height, width = array.shape[:2]
        raise SwathError(f"{path}: is {width} x {height} pixels, but its picture {image} is {size[1]} x {size[0]}")
    return array


def _grey(path: Path) -> NDArray[Any]:
    raw = read_label_raw(path)
    if raw.ndim != 2:
        raise SwathError(f"{path}: holds colors; depth and disparity are one channel of 16 bits")
    return raw


def _within(metres: NDArray[np.float32], limits: tuple[float, float] | None) -> NDArray[np.float32]:
    """Measured values within the limits; 0 stays 0."""
    if limits is not None:
        np.clip(metres, *limits, out=metres, where=metres > 0)
    return metres


def _baseline_fx(path: Path) -> float:
    """What disparities divide: the distance of the two cameras in metres, times the focal length in pixels."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        product = float(told["extrinsic"]["baseline"]) * float(told["intrinsic"]["fx"])
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SwathError(f"{path}: lacks extrinsic.baseline or intrinsic.fx, which Cityscapes has") from error
    if not 0 < product < math.inf:
        raise SwathError(f"{path}: baseline times fx is {product}; it must be above 0")
    return product
