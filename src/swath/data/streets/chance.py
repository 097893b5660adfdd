"""Chance, noise and small geometry that are the same to the bit on every machine.

A hash for the choices, numpy's integer streams for the noise, and plain IEEE arithmetic for the rest. Nothing uses
numpy's sin/exp (their last bit depends on the CPU), sums of products by `@`, or OpenCV's filters of floats.
"""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
RGB = tuple[float, float, float]
T = TypeVar("T")

TILE = 256  # side of the noise tiles; a power of two, so that coordinates wrap with a bit mask


class Dice:
    """A stream of choices that depends on its key alone."""

    def __init__(self, *key: object) -> None:
        self._key = "/".join(map(str, key)).encode()
        self._round = 0
        self._left: list[int] = []

    def random(self) -> float:
        """Even between 0 and 1, from a hash of the key: a tenth of the cost of seeding a generator of its own."""
        if not self._left:
            salt = self._round.to_bytes(8, "little")
            self._left = list(struct.unpack("<16I", hashlib.blake2b(self._key, salt=salt).digest()))
            self._round += 1
        return self._left.pop() * 2.0**-32

    def span(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.random() * len(items))]

    def weighted(self, table: Sequence[tuple[T, float]]) -> T:
        left = self.random() * sum(weight for _, weight in table)
        for item, weight in table:
            left -= weight
            if left < 0:
                return item
        return table[-1][0]

    def tint(self, colour: RGB, amount: float = 14.0) -> RGB:
        """`colour`, a little lighter or darker and a little off in hue."""
        r, g, b = colour
        light, hue = self.span(-amount, amount), self.span(-0.4, 0.4) * amount
        r, g, b = r + light + hue, g + light, b + light - hue
        return min(250.0, max(6.0, r)), min(250.0, max(6.0, g)), min(250.0, max(6.0, b))


def dimmed(colour: RGB, by: float) -> RGB:
    return colour[0] * by, colour[1] * by, colour[2] * by


def direction(slope: float) -> tuple[float, float]:
    """(sine, cosine) of the heading whose tangent is `slope`; only a square root, which IEEE rounds exactly."""
    cosine = 1.0 / math.sqrt(1.0 + slope * slope)
    return slope * cosine, cosine


@functools.cache
def circle(corners: int) -> tuple[tuple[float, float], ...]:
    """Corners of the unit circle, rounded so that the last bit of the C library's cosine does not matter."""
    turn = 2 * math.pi / corners
    return tuple((round(math.cos(turn * k), 6), round(math.sin(turn * k), 6)) for k in range(corners))


def _smooth(tile: Array, reach: int) -> Array:
    """Box blur with wrap-around, in integers."""
    for axis in (0, 1):
        tile = sum((np.roll(tile, shift, axis) for shift in range(-reach, reach + 1)), np.zeros_like(tile))
        tile = tile // (2 * reach + 1)
    return tile


@functools.cache
def noise_tile(reach: int) -> NDArray[np.uint8]:
    """A wrapping tile of noise whose blobs are about `reach` texels wide, stretched over 0..255 about 128."""
    tile = np.random.default_rng((20, reach)).integers(0, 1 << 16, (TILE, TILE)).astype(np.int64)
    for _ in range(2 if reach else 0):
        tile = _smooth(tile, reach)
    ranked = np.sort(tile.ravel())
    low, high = int(ranked[TILE * TILE // 50]), int(ranked[-TILE * TILE // 50])
    stretched: NDArray[np.uint8] = np.clip((tile - low) * 255 // (high - low), 0, 255).astype(np.uint8)
    return stretched


@functools.cache
def leaf_tile() -> NDArray[np.uint8]:
    """Foliage: fine, middling and broad blobs together."""
    fine, middle, broad = (noise_tile(reach).astype(np.int64) for reach in (1, 3, 9))
    return ((3 * fine + 3 * middle + 2 * broad) // 8).astype(np.uint8)


@functools.cache
def cloud_tile() -> NDArray[np.uint8]:
    """Clouds: four octaves, broad to fine."""
    octaves = [noise_tile(reach).astype(np.int64) * weight for reach, weight in ((22, 8), (10, 4), (4, 2), (1, 1))]
    return (sum(octaves, np.zeros((TILE, TILE), np.int64)) // 15).astype(np.uint8)


def soften(picture: Array, reach: int) -> Array:
    """Gaussian blur of 8-bit pixels, `2 reach + 1` wide, by OpenCV's way in integers, not a faster approximation."""
    side = 2 * reach + 1
    blurred: Array = cv2.GaussianBlur(picture, (side, side), 0, hint=cv2.ALGO_HINT_ACCURATE)
    return blurred
