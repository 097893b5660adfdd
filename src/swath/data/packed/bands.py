"""How arrays lie in a packed file: in bands of 64 rows, each with a checksum of its own, so that a crop that reads some
rows need not look at the others. Which coding is worth what: benchmarks/packing.md.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.errors import SwathError

BAND = 64  # rows
FORMATS = {
    "raw": "every byte as it is; fastest",
    "jpeg": "pictures as JPEG of quality 95, so NOT quite the same pixels; labels and maps exact; smallest",
}
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_ZLIB_LEVEL = 3  # of labels: smaller than at level 1, and faster to read


@dataclass(frozen=True)
class Kind:
    """What all arrays of one name have in common: `coding` is "raw", "zlib" or "jpeg"."""

    dtype: str
    channels: int  # 0: H x W
    coding: str

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Of the array of a picture of that size."""
        return (height, width, self.channels) if self.channels else (height, width)

    def row_bytes(self, width: int) -> int:
        """Of one row, decoded."""
        return np.dtype(self.dtype).itemsize * max(self.channels, 1) * width


def kind_of(name: str, array: NDArray[Any], packing: str) -> Kind:
    """How an array of that name is packed. Instance numbers are never cut into crops: they are always compressed."""
    if name == "instances":
        coding = "zlib"
    elif packing == "jpeg":
        coding = "jpeg" if name == "image" else "zlib"
    else:
        coding = "raw"
    return Kind(array.dtype.newbyteorder("<").str, array.shape[2] if array.ndim == 3 else 0, coding)


def encode(array: NDArray[Any], kind: Kind, what: str) -> list[bytes | memoryview]:
    """The bands of an array; `what` is for complaints."""
    if (array.dtype.newbyteorder("<").str, array.shape[2] if array.ndim == 3 else 0) != (kind.dtype, kind.channels):
        raise SwathError(f"{what}: is {array.dtype} of shape {array.shape}, unlike that of the first picture")
    array = np.ascontiguousarray(array, np.dtype(kind.dtype))
    bands = [array[top : top + BAND] for top in range(0, len(array), BAND)]
    if kind.coding == "raw":
        return [band.reshape(-1).view(np.uint8).data for band in bands]
    if kind.coding == "zlib":
        return [zlib.compress(band.data, _ZLIB_LEVEL) for band in bands]
    if array.shape[1] > 65_500:
        raise SwathError(f"{what}: is {array.shape[1]} pixels wide; JPEG holds 65,500 at most, use the format raw")
    return [cv2.imencode(".jpg", cv2.cvtColor(band, cv2.COLOR_RGB2BGR), _JPEG)[1].data for band in bands]


def decode(data: NDArray[np.uint8], kind: Kind, into: NDArray[Any]) -> None:
    """One band."""
    if kind.coding == "jpeg":
        into[...] = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    else:
        plain = data if kind.coding == "raw" else np.frombuffer(zlib.decompress(data.data), np.uint8)
        into[...] = plain.view(into.dtype).reshape(into.shape)


def band_count(height: int) -> int:
    """How many bands a picture of that height has."""
    return -(-height // BAND)
