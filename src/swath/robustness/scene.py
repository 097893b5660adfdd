"""How far away things are where nobody measured it, the colour of the air, and what falls through it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.robustness.light import Bytes, Floats, light

Doubles = NDArray[np.float64]

HORIZON = 0.45  # of the height: cameras in cars look a little down
_FOCAL = 0.9  # of the longer side: 58 degrees across
_EYE, _WALL, _CEILING = 1.4, 11.0, 60.0  # metres: camera above the road, road's middle to the houses, "sky" above
_SKY = 2000.0
_ROOM = 20.0  # what is nowhere farther away is inside
_MARGIN = 0.1  # of each side, around the picture: drops there reach into it
_END = 120.0  # no street goes on for ever: what is seen comes closer to this, and stays within


def focal(size: tuple[int, int]) -> float:
    """In pixels, of a camera as cars have it."""
    return _FOCAL * max(size)


def distances(size: tuple[int, int], depth: NDArray[np.float32] | None = None) -> Floats:
    """Metres to what each pixel shows: as measured; where little is measured (0: not), a street's canyon; holes in what
    is measured are as far as what is beside them, and what reaches the upper edge from above the horizon is sky."""
    if depth is None:
        return _canyon(size)
    measured = depth > 0
    share = measured.mean()
    if share == 1:
        return depth
    if share < 0.5:
        return np.where(measured, depth, _canyon(size))
    found = _filled(depth, measured)
    found[_sky(depth, measured)] = _SKY
    return found


def _filled(depth: Floats, measured: NDArray[np.bool_]) -> Floats:
    """Each hole as far as the nearest pixel that was measured."""
    holes = (~measured).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(holes, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(int(nearest.max()) + 1, np.float32)
    values[nearest[measured]] = depth[measured]
    return np.asarray(values[nearest])


def _sky(depth: Floats, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Holes of stereo at edges, in front of the car and at the left are no sky; in rooms nothing is far, and no sky."""
    sky = np.zeros(depth.shape, np.bool_)
    few = depth[::8, ::8]
    if np.quantile(few[few > 0] if (few > 0).any() else depth[measured], 0.99) < _ROOM:
        return sky
    rows = max(1, round((HORIZON + 0.05) * len(depth)))  # hills
    _, parts = cv2.connectedComponents((~measured[:rows]).astype(np.uint8), connectivity=4)
    at_top = np.unique(parts[0])
    sky[:rows] = np.isin(parts, at_top[at_top > 0])
    return sky


@functools.lru_cache(4)
def _canyon(size: tuple[int, int]) -> Floats:
    """A flat road, houses on both sides, and a far lid: what a street's distances look like on average."""
    height, width = size
    f = focal(size)
    down = (np.arange(height, dtype=np.float32)[:, None] + 0.5 - HORIZON * height) / f
    aside = np.abs(np.arange(width, dtype=np.float32)[None] + 0.5 - width / 2) / f
    lid = np.where(down > 0, _EYE, _CEILING) / np.maximum(abs(down), 1e-4)
    along = np.minimum(_WALL / np.maximum(aside, 1e-4), lid)
    along *= np.sqrt(1 + down**2 + aside**2)
    found = (along / (1 + along / _END)).astype(np.float32)
    found = np.asarray(cv2.GaussianBlur(found, (0, 0), 0.02 * max(size)))  # no edge that no real thing has
    found.setflags(write=False)
    return found


def air_colour(image: Bytes) -> Floats:
    """What the picture fades to, in linear light: its brightest part, nearly grey, as bright as an overcast sky."""
    small = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA).reshape(-1, image.shape[2])
    linear = light()[small]
    brightness = linear.mean(axis=1)
    bright = linear[np.argsort(brightness, kind="stable")[-len(linear) // 20 :]].mean(axis=0)
    grey = bright.mean()
    return np.asarray((0.3 * bright + 0.7 * grey) * (np.clip(grey, 0.45, 0.75) / max(grey, 1e-3)), np.float32)


@dataclass(frozen=True)
class Falling:
    """Drops or flakes near the camera; what is farther away is a veil."""

    per_cubic_metre: float
    diameters: tuple[float, float]  # millimetres: the least, and how much more on average (exponential)
    speed: float  # metres a second
    far: float = 4.0
    exposure: float = 1 / 200  # seconds

    def cover(self, size: tuple[int, int], rng: np.random.Generator) -> Floats:
        """The share of each pixel's light that they take: streaks as long as they fall while the shutter is open."""
        height, width = size
        f = focal(size)
        near = 0.4
        seen = (height / f) * (width / f) / 3 * (self.far**3 - near**3)  # cubic metres before the camera
        whole = (1 + 2 * _MARGIN) ** 2  # with the margin
        count = min(100_000, round(self.per_cubic_metre * seen * whole))
        u = rng.random((6, count))
        z = (near**3 + u[0] * (self.far**3 - near**3)) ** (1 / 3)
        metres = (self.diameters[0] - self.diameters[1] * np.log1p(-u[1])) / 1000
        wide = metres * f / z
        long = self.speed * self.exposure * f / z
        # A drop hides what is behind it only for the time it needs to pass.
        share = np.minimum(1, wide) * np.minimum(1, metres / (self.speed * self.exposure))
        lean = math.radians(25 * (rng.random() - 0.5)) + 0.15 * (u[4] - 0.5)  # wind, and gusts
        x, y = ((1 + 2 * _MARGIN) * u[2:4] - _MARGIN) * [[width], [height]]
        middle = np.stack([x, y], 1)
        half = (0.5 * long)[:, None] * np.stack([np.sin(lean), np.cos(lean)], 1)
        ends = np.rint(16 * np.stack([middle - half, middle + half], 1)).astype(np.int32)  # sixteenths of pixels
        return _drawn(size, ends, wide, share)


def _drawn(size: tuple[int, int], ends: NDArray[np.int32], wide: Doubles, share: Doubles) -> Floats:
    """Lines of about equal width and strength together: few calls, and crossing ones add up."""
    widths = np.clip(np.rint(wide), 1, max(1, max(size) // 40)).astype(int)
    strengths = np.clip(np.ceil(np.log2(np.maximum(share, 1e-3)) * 2), -14, 0).astype(int)  # in half stops
    left = np.ones(size, np.float32)
    layer = np.zeros(size, np.uint8)
    for key in sorted(set(zip(widths.tolist(), strengths.tolist()))):
        those = (widths == key[0]) & (strengths == key[1])
        layer[:] = 0
        cv2.polylines(layer, list(ends[those]), False, 255, key[0], cv2.LINE_AA, 4)
        soft = cv2.blur(layer, (key[0] // 2 * 2 + 1,) * 2) if key[0] > 2 else layer  # so near, they are out of focus
        left *= 1 - np.float32(2.0 ** (key[1] / 2) / 255) * soft
    return 1 - left
