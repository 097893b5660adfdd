"""What all faults are made with: linear light, tables over bytes, and random bits that are the same everywhere."""

from __future__ import annotations

import functools
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

QUANTILES = 1 << 12  # of a distribution; the outermost lie 3.7 deviations from the middle
_BAND = 1 << 16  # pixels at a time: what the caches hold
_LINEAR = 4095  # steps of light on the way back to bytes


@functools.cache
def light() -> Floats:
    """The linear light of each byte of sRGB, 1 is white (IEC 61966-2-1)."""
    value = np.arange(256) / 255
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4), np.float32)


def as_bytes(linear: NDArray[np.floating]) -> Bytes:
    """The inverse, of any few values; clipped as a sensor clips."""
    linear = np.clip(linear, 0, 1)
    value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * value), np.uint8)


def to_light(image: Bytes) -> Floats:
    """A whole picture in linear light."""
    return np.asarray(cv2.LUT(image, light()))


@functools.cache
def _back() -> Bytes:
    # Steps of the square root: where bytes lie closest in light, steps do too.
    return as_bytes((np.arange(_LINEAR + 1) / _LINEAR) ** 2)


def to_bytes(linear: Floats) -> Bytes:
    """A whole picture back from linear light; the argument is used up."""
    np.clip(linear, 0, 1, out=linear)
    root = np.sqrt(linear, out=linear)
    root *= _LINEAR
    root += 0.5
    return looked_up(_back(), root.astype(np.uint16))


def looked_up(table: NDArray[np.uint8], index: NDArray[np.unsignedinteger]) -> Bytes:
    """`table[index]`, in bands."""
    out = np.empty(index.shape, np.uint8)
    flat, into = index.reshape(-1), out.reshape(-1)
    for start in range(0, flat.size, _BAND):
        np.take(table, flat[start : start + _BAND], out=into[start : start + _BAND], mode="wrap")
    return out


def by_amount(image: Bytes, amount: Bytes, tables: NDArray[np.uint8]) -> Bytes:
    """Channel c of each pixel becomes `tables[c, amount, value]`; `amount` is H x W, or of each channel its own."""
    amounts = amount if amount.ndim == 3 else amount[..., None]
    out = np.empty_like(image)
    for channel in range(image.shape[2]):
        of = np.ascontiguousarray(amounts[..., min(channel, amounts.shape[2] - 1)]).astype(np.uint16)
        of <<= 8
        of |= image[..., channel]
        out[..., channel] = looked_up(tables[min(channel, len(tables) - 1)].reshape(-1), of)
    return out


def noisy(image: Bytes, quantiles: NDArray[np.uint8], rng: np.random.Generator) -> Bytes:
    """Each byte v drawn anew from `quantiles[v]`, the 4096 quantiles of what a pixel of v becomes."""
    table, flat = quantiles.reshape(-1), image.reshape(-1)
    out = np.empty_like(image)
    into = out.reshape(-1)
    for start in range(0, flat.size, _BAND):
        part = flat[start : start + _BAND]
        # Raw bits are promised to stay what they are in every version of numpy, its normal deviates are not.
        bits = rng.bit_generator.random_raw(-(-len(part) // 4)).view(np.uint16)[: len(part)] >> 4
        np.take(table, (part.astype(np.uint32) << 12) | bits, out=into[start : start + _BAND], mode="wrap")
    return out


@functools.cache
def normals() -> Floats:
    """The 4096 quantiles of the standard normal distribution."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((i + 0.5) / QUANTILES) for i in range(QUANTILES)], np.float32)


@functools.lru_cache(32)
def photon_quantiles(white: float, read: float = 0.0) -> NDArray[np.uint8]:
    """Of each byte, what becomes of it where white is so many photons (Poisson), and reading adds so many electrons
    of noise; in 4096 quantiles."""
    mean = white * light()[:, None].astype(np.float64)
    if read:
        deviation = np.sqrt(mean + read**2)  # what reading adds is normal, and so is the sum for all but the darkest
        return as_bytes((mean + deviation * normals()) / white)
    most = int(white + 8 * np.sqrt(white) + 8)
    counts = np.arange(most + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.exp(counts * np.log(np.maximum(mean, 1e-12)) - mean - logs)
    below = np.cumsum(chance, axis=1)
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    found = np.stack([np.searchsorted(row / row[-1], places) for row in below])
    return as_bytes(found / white)


def smooth_field(size: tuple[int, int], rng: np.random.Generator, cells: int = 5) -> Floats:
    """Clouds of random numbers of mean 0 and deviation about 1, a few across the picture."""
    height, width = size
    rows = max(2, round(cells * min(1.0, height / width)))
    few = normals()[rng.integers(0, QUANTILES, (rows + 2, cells + 2))]
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC))
