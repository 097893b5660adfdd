"""Fog, rain, snow and night, after how light travels. What weather does to the ground (puddles, snow on roads) is not
drawn: the truth would no longer be the truth."""

from __future__ import annotations

import cv2
import numpy as np

from swath.robustness.light import Bytes, Floats, as_bytes, by_amount, light, noisy, photon_quantiles, smooth_field
from swath.robustness.scene import HORIZON, Falling, air_colour, distances, focal

CONTRAST = 3.0  # -ln 0.05: at the meteorological range of sight a twentieth of the contrast is left


def fog(image: Bytes, sight: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """Koschmieder's law: the air takes exp(-distance * 3 / sight) of the light and puts its own in its place."""
    size = image.shape[:2]
    uneven = np.exp2(0.2 * smooth_field(size, rng))
    clear = np.exp(np.float32(-CONTRAST / sight) * distances(size, depth) * uneven)
    return _through(image, clear, air_colour(image))


def rain(image: Bytes, rate: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """Marshall and Palmer's drops at so many mm an hour: streaks near by, and a veil of those far away."""
    size = image.shape[:2]
    slope = 4.1 * rate**-0.21  # 1 / mm
    drops = 8000 / slope * np.exp(-slope)  # of 1 mm and more in a cubic metre
    cover = Falling(drops, (1.0, 1 / slope), speed=6.5).cover(size, rng)
    veil = np.exp(np.float32(-0.312e-3 * rate**0.67) * distances(size, depth))
    dimmed = 0.9 - 0.06 * np.log2(rate / 5)  # the thicker the clouds
    return _through(image, veil * (1 - cover), air_colour(image) * np.float32(dimmed), dimmed)


def snow(image: Bytes, sight: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """As many flakes of 2 mm and more as take the sight: near ones are seen, the others are a veil."""
    size = image.shape[:2]
    hides = 2 * np.pi / 4 * 0.004**2  # square metres of light that a flake of 4 mm takes
    cover = Falling(CONTRAST / sight / hides, (2.0, 2.0), speed=1.2).cover(size, rng)
    veil = np.exp(np.float32(-CONTRAST / sight) * distances(size, depth))
    return _through(image, veil * (1 - cover), np.maximum(air_colour(image), np.float32(0.6)))


def night(image: Bytes, per_cent: float, rng: np.random.Generator, depth: Floats | None = None) -> Bytes:
    """So much of the daylight, the car's own lamps on what is near, street lamps, and a sensor that is turned up for
    it, though not by as much as is lacking."""
    height, width = size = image.shape[:2]
    left = per_cent / 100
    gain = (left + 0.01) ** -0.5
    few = (max(8, height // 4), max(8, width // 4))  # light is smooth
    row = (np.arange(few[0], dtype=np.float32)[:, None] + 0.5) / few[0] - HORIZON
    column = np.abs((np.arange(few[1], dtype=np.float32)[None] + 0.5) / few[1] - 0.5) * (width / focal(size))
    near = cv2.resize(distances(size, depth), few[::-1], interpolation=cv2.INTER_AREA)
    dipped = 1 / (1 + np.exp(-row * 40))  # dipped beams end at the horizon
    beams = 0.03 * dipped * np.exp(-((column / 0.33) ** 2)) * np.minimum(1, (9 / near) ** 2)
    sky = left * np.exp2(np.minimum(0, row) * 8)  # lamps shine down: what is high is darker
    tint = np.array([0.75, 0.9, 1.3] if rng.random() < 0.5 else [1.25, 0.95, 0.6])  # moon or sodium
    lamps, cores = _lamps(few, rng)
    lit = sky[..., None] * tint + beams[..., None] * np.array([1.0, 0.97, 0.9])
    lit += 0.004 * lamps[..., None] * np.array([1.0, 0.9, 0.7])
    stops = np.clip((np.log2(gain * lit) + 10) * (255 / 11), 0, 255).astype(np.float32)  # from 2^-10 to 2
    amount = cv2.resize(stops, (width, height)).astype(np.uint8)
    steps = np.exp2(np.arange(256) * (11 / 255) - 10)
    dark = by_amount(image, amount[..., : image.shape[2]], as_bytes(steps[None, :, None] * light()))
    glow = cv2.resize(as_bytes(min(1, gain / 8) * cores[..., None] * np.array([1.0, 0.85, 0.6])), (width, height))
    seen = cv2.add(dark, np.ascontiguousarray(glow[..., : image.shape[2]]).reshape(image.shape))
    return noisy(np.asarray(seen, np.uint8), photon_quantiles(round(1000 / gain), 1.0), rng)


def _lamps(size: tuple[int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Street lamps on both sides: the light that they throw around them, and how they look themselves."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) / max(size)
    thrown, seen = np.zeros((2, *size), np.float32)
    for z in (12, 25, 45, 80):
        side = 1 if rng.random() < 0.5 else -1
        at_x = 0.5 * size[1] / max(size) + 0.9 * side * (7 + 2 * rng.random()) / z
        at_y = HORIZON * size[0] / max(size) - 0.9 * (6 + rng.random()) / z
        away = np.sqrt((x - at_x) ** 2 + (y - at_y) ** 2)
        thrown += np.exp(-((away * z / 9) ** 2))
        seen += np.exp(-((away * z / 0.22) ** 2)) + 0.006 / (1 + (away * z / 0.4) ** 2)
    return thrown, seen


def _through(image: Bytes, clear: Floats, air: Floats, gain: float = 1.0) -> Bytes:
    """So much of the picture's own light, the rest the air's; in linear light."""
    share = np.arange(256)[None, :, None] / 255
    tables = as_bytes(share * light() * gain + (1 - share) * air[:, None, None])
    return by_amount(image, np.rint(255 * clear).astype(np.uint8), tables)
