"""What cameras do to pictures: noise, blur, compression, a wrong exposure. Lengths are shares of the longer side, so
that a picture suffers the same at any size."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.robustness.light import Bytes, Floats, as_bytes, light, noisy, normals, photon_quantiles, to_bytes, to_light

Doubles = NDArray[np.float64]


def gaussian_noise(image: Bytes, deviation: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """The same noise on every byte, as of an amplifier turned up."""
    values = np.arange(256)[:, None] + deviation * normals()
    return noisy(image, np.clip(np.rint(values), 0, 255).astype(np.uint8), rng)


def shot_noise(image: Bytes, photons: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """Poisson's noise of light itself, where white is so many photons."""
    return noisy(image, photon_quantiles(photons), rng)


def defocus(image: Bytes, per_cent: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """Each point a disc."""
    pixels = per_cent / 100 * max(image.shape[:2])
    steps = max(12, 4 * math.ceil(pixels))
    x, y = np.mgrid[-steps : steps + 1, -steps : steps + 1] / steps
    inside = np.hypot(x, y) <= 1
    return _spread(image, pixels * x[inside], pixels * y[inside])


def motion(image: Bytes, per_cent: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """Each point a line, mostly across: the camera turns, and shakes a little, while the shutter is open."""
    pixels = per_cent / 100 * max(image.shape[:2])
    slope = math.radians(40 * (rng.random() - 0.5))
    along = np.linspace(-0.5, 0.5, 1 + 8 * math.ceil(pixels)) * pixels
    return _spread(image, along * math.cos(slope), along * math.sin(slope))


def jpeg(image: Bytes, quality: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """Written and read again."""
    back = image.shape[2] == 3
    data = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if back else image
    _, packed = cv2.imencode(".jpg", data, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    found = cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB if back else cv2.IMREAD_GRAYSCALE)
    return np.asarray(found, np.uint8).reshape(image.shape)


def exposure(image: Bytes, stops: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """So many times two the light; what is too bright is white, and of what is too dark few bytes are left."""
    return np.asarray(cv2.LUT(image, as_bytes(light() * 2.0**stops)), np.uint8).reshape(image.shape)


def _spread(image: Bytes, x: Doubles, y: Doubles) -> Bytes:
    """Each point's light falls evenly on these places around it: in linear light, so that lamps smear as lamps do."""
    reach_x, reach_y = math.ceil(np.abs(x).max()) + 1, math.ceil(np.abs(y).max()) + 1
    kernel = np.zeros((2 * reach_y + 1, 2 * reach_x + 1), np.float32)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right, down in ((0, 0), (0, 1), (1, 0), (1, 1)):  # between four pixels, to each its share
        share = np.abs(1 - right - (x - left)) * np.abs(1 - down - (y - top))
        np.add.at(kernel, (top + reach_y + down, left + reach_x + right), (share / len(x)).astype(np.float32))
    spread = cv2.filter2D(to_light(image), cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
    return to_bytes(np.asarray(spread).reshape(image.shape))
