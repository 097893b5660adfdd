"""Writing pictures that are to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from swath.errors import SwathError
from swath.files import atomic_write

_OPTIONS = {
    ".png": [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 92],
}


def write_picture(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    """Write an RGB picture as .png or .jpg, whole or not at all."""
    suffix = path.suffix.lower()
    if suffix not in _OPTIONS:
        raise SwathError(f"{path}: pictures are written as .png or .jpg; give it such a name")
    encoded = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _OPTIONS[suffix])[1]
    with atomic_write(path) as file:
        file.write(encoded.tobytes())
