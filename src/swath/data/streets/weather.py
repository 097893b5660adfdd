"""Weather: which light falls, from where, how far one sees, how the sky looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swath.data.streets.camera import Camera
from swath.data.streets.chance import RGB, TILE, Array, Dice, cloud_tile, dimmed

KINDS = (
    ("clear", 38.0), ("cloudy", 20.0), ("overcast", 14.0), ("fog", 6.0), ("rain", 10.0), ("dusk", 7.0), ("night", 5.0),
)  # fmt: skip


@dataclass(frozen=True)
class Weather:
    kind: str
    ambient: RGB  # light from all sides, 1 = full
    sun: RGB  # light from the sun's side
    towards: tuple[float, float, float]  # unit vector to the sun
    fog: RGB  # colour of the distance
    sight: float  # metres at which about half of a colour is lost
    zenith: RGB
    horizon: RGB
    cloud: RGB
    cover: float  # 0: no clouds, 1: nothing else
    wet: float  # 0 dry, 1 mirror
    dark: bool  # lamps are lit
    drift: tuple[int, int]  # where the cloud tile begins


# kind -> ambient, sun, fog, sight, zenith, horizon, cloud, cover
_LOOKS: dict[str, tuple[RGB, RGB, RGB, tuple[float, float], RGB, RGB, RGB, tuple[float, float]]] = {
    "clear": ((0.54, 0.58, 0.66), (0.84, 0.78, 0.66), (186, 200, 214), (380, 900), (72, 124, 196), (188, 212, 232),
              (246, 246, 246), (0.0, 0.45)),
    "cloudy": ((0.68, 0.70, 0.74), (0.46, 0.40, 0.36), (190, 196, 204), (300, 600), (112, 148, 192), (204, 214, 222),
               (236, 236, 236), (0.45, 0.8)),
    "overcast": ((0.98, 1.0, 1.02), (0.0, 0.0, 0.0), (196, 200, 204), (200, 420), (206, 210, 214), (226, 228, 228),
                 (184, 188, 194), (0.5, 1.0)),
    "fog": ((0.92, 0.94, 0.95), (0.0, 0.0, 0.0), (196, 200, 202), (35, 80), (200, 204, 206), (198, 202, 204),
            (194, 198, 200), (0.5, 1.0)),
    "rain": ((0.76, 0.79, 0.83), (0.0, 0.0, 0.0), (158, 164, 172), (90, 200), (150, 156, 166), (178, 182, 188),
             (128, 134, 144), (0.6, 1.0)),
    "dusk": ((0.46, 0.43, 0.52), (0.46, 0.28, 0.14), (168, 128, 112), (220, 500), (70, 80, 126), (232, 170, 122),
             (150, 108, 112), (0.2, 0.7)),
    "night": ((0.27, 0.26, 0.31), (0.0, 0.0, 0.0), (30, 30, 38), (120, 300), (12, 14, 26), (44, 42, 50), (34, 32, 40),
              (0.2, 0.9)),
}  # fmt: skip


def weather(key: str) -> Weather:
    dice = Dice(key, "weather")
    kind = dice.weighted(KINDS)
    ambient, sun, fog, sight, zenith, horizon, cloud, cover = _LOOKS[kind]
    strength = dice.span(0.88, 1.1)
    # A point of the circle from a slope: the sun stands anywhere around, and 25 to 60 degrees (dusk: 15 to 25) high.
    p = dice.span(-1.0, 1.0)
    side, along = 2 * p / (1 + p * p), (1 - p * p) / (1 + p * p)
    q = dice.span(0.13, 0.22) if kind == "dusk" else dice.span(0.24, 0.58)
    rise, out = 2 * q / (1 + q * q), (1 - q * q) / (1 + q * q)
    towards = (side * out, rise, along * out * dice.pick((-1.0, 1.0)))

    wet = dice.span(0.35, 0.8) if kind == "rain" else dice.span(0.2, 0.5) if dice.chance(0.1) else 0.0
    return Weather(
        kind, dimmed(ambient, strength), dimmed(sun, strength), towards, dice.tint(fog, 6), dice.span(*sight),
        dice.tint(zenith, 14), dice.tint(horizon, 8), dice.tint(cloud, 6), dice.span(*cover), wet,
        kind in ("night", "dusk"), (dice.below(TILE), dice.below(TILE)),
    )  # fmt: skip


def haze(sight: float, distance: Array) -> Array:
    """How much of the fog's colour covers what is so far away, 0..255; a quotient, as exp differs between CPUs."""
    t = distance * (0.7 / sight)
    return (255.0 - 255.0 / (1.0 + t + 0.5 * t * t)).astype(np.uint8)


def sky(now: Weather, camera: Camera, rows: int) -> Array:
    """The uppermost `rows` rows as if nothing stood before the sky."""
    v = np.arange(rows, dtype=np.float32)
    up = np.maximum((camera.cy - v) / np.float32(camera.focal), 0) + np.float32(0.02)  # tangent of the elevation
    blend = (up / (up + np.float32(0.35)))[:, None]
    gradient = np.array(now.horizon, np.float32) * (1 - blend) + np.array(now.zenith, np.float32) * blend
    # Clouds lie on a plane overhead, so they shrink and flatten towards the horizon.
    far = np.float32(60.0) / (up + np.float32(0.12))
    turn = camera.sine / camera.cosine
    u = (np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.focal)
    u += np.float32(turn)
    across = (far[:, None] * u[None, :]).astype(np.int32) + now.drift[0] & TILE - 1
    along = far.astype(np.int32) + now.drift[1] & TILE - 1
    density = cloud_tile()[along[:, None], across]
    # 64 degrees of cloud: how dense the tile has to be to show depends on the cover.
    steps = np.arange(256, dtype=np.float32)
    clear = np.float32(190 - 150 * now.cover)
    shown = (np.clip((steps - clear) / np.float32(70), 0, 1) * np.float32(15)).astype(np.uint8)
    level = shown[density]
    part = np.arange(16, dtype=np.float32)[None, :, None] / np.float32(16.0)
    table = gradient[:, None, :] * (1 - part) + np.array(now.cloud, np.float32) * part  # row, degree of cloud, channel
    picture: Array = np.take(table.astype(np.uint8).reshape(-1, 3), level + (16 * np.arange(rows))[:, None], axis=0)
    return picture
