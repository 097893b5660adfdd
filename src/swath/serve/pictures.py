"""From the bytes of a file to pixels; a picture's size is known, and judged, before anything is decoded."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from swath.data.images import decode_image, decoded_size
from swath.errors import SwathError
from swath.serve.limits import Limits, Refused

_MOST_SCANS = 200


def pixels(name: str, data: bytes, limits: Limits) -> int:
    """How many there will be; too many are refused, and so are files that are no pictures."""
    try:
        height, width = decoded_size(data, name)
    except SwathError as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            raise _too_many(name, limits) from error
        raise Refused(415 if isinstance(error.__cause__, UnidentifiedImageError) else 400, _said(error)) from error
    if height * width > limits.pixels:
        raise _too_many(name, limits)
    # A progressive JPEG may ask for thousands of passes over all its pixels, in a few bytes each.
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > _MOST_SCANS:
        raise Refused(400, f"{name}: has more than {_MOST_SCANS} scans; save it again")
    return height * width


def decode(name: str, data: bytes) -> NDArray[np.uint8]:
    try:
        return decode_image(data, name)
    except SwathError as error:
        raise Refused(400, _said(error)) from error


def _said(error: SwathError) -> str:
    """Without the decoder's own words: they are not for clients."""
    return re.sub(r"(damaged) \(.*\)$", r"\1", str(error))


def _too_many(name: str, limits: Limits) -> Refused:
    return Refused(413, f"{name}: has more than {limits.megapixels} megapixels, the most that is taken here")
