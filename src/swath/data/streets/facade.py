"""Facades: patterns of windows, doors, shops and boards, and how a wall's pixels take their colour from them."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from swath.data.streets.camera import Camera
from swath.data.streets.chance import TILE, Array, Dice, leaf_tile, noise_tile
from swath.data.streets.things import Facade, Thing
from swath.data.streets.weather import Weather

TEXELS = 10  # to a metre
FINE = 18  # steps to a metre of the noise on a wall
BAY, STOREY, GROUND = 28, 32, 38  # texels
BAYS, STOREYS = 8, 9

# Codes of a pattern; 8..15 are panes of glass.
BODY, LEDGE, FRAME, TRIM, DARK, SHOP, DOOR, AWNING, GLASS = range(9)


@functools.cache
def pattern(family: str, variant: int) -> Array:
    """Codes, row 0 at the ground, which repeat sideways."""
    dice = Dice("facade", family, variant)
    if family == "hedge":
        return np.zeros((16, 16), np.uint8)
    if family == "fence":
        return _fence(variant)
    codes = np.zeros((GROUND + STOREYS * STOREY, BAYS * BAY), np.uint8)
    styles = {"city": ("single", "single", "tall", "pair", "strip", "grid"), "works": ("strip", "none", "wide")}
    style = dice.pick(styles.get(family, ("single", "pair", "wide")))
    width, foot, head = dice.span(0.38, 0.62), dice.span(0.24, 0.34), dice.span(0.78, 0.9)
    if style == "tall":
        foot = 0.1
    for storey in range(STOREYS):
        base = GROUND + storey * STOREY
        if family != "home" or dice.chance(0.3):
            codes[base : base + 2] = LEDGE
        for bay in range(BAYS):
            _window(codes, dice, base, bay * BAY, style, width, foot, head)
    _ground_floor(codes, dice, family, width)
    return codes


def _pane(codes: Array, dice: Dice, y0: int, y1: int, x0: int, x1: int) -> None:
    """A framed pane with a bar, its glass a little different from its neighbours'."""
    codes[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = FRAME
    codes[y0:y1, x0:x1] = GLASS + dice.below(8)
    if dice.chance(0.3):  # a half-drawn blind
        codes[y1 - (y1 - y0) // 3 : y1, x0:x1] = TRIM


def _window(codes: Array, dice: Dice, base: int, left: int, style: str, width: float, foot: float, head: float) -> None:
    y0, y1 = base + int(foot * STOREY), base + int(head * STOREY)
    if style in ("strip", "grid"):
        inset = 0 if style == "strip" else 2
        codes[y0 - 1 : y1 + 1, left : left + BAY] = FRAME
        for x in (left, left + BAY // 2):
            codes[y0:y1, x + 1 + inset : x + BAY // 2 - inset] = GLASS + dice.below(8)
        return
    if style == "none":
        codes[base : base + STOREY, left : left + BAY : 4] = LEDGE  # corrugated sheet
        return
    half = int(width * BAY) // 2 + (3 if style == "wide" else 0)
    middle = left + BAY // 2
    if style == "pair":
        _pane(codes, dice, y0, y1, middle - half - 1, middle - 1)
        _pane(codes, dice, y0, y1, middle + 2, middle + half + 2)
    else:
        _pane(codes, dice, y0, y1, middle - half, middle + half)
        codes[y0:y1, middle] = FRAME
    codes[y0 - 3 : y0 - 1, middle - half - 3 : middle + half + 3] = TRIM
    if style == "tall":
        codes[y0 + 1 : y0 + 9 : 2, middle - half - 2 : middle + half + 2] = DARK  # a balcony's railing


def _ground_floor(codes: Array, dice: Dice, family: str, width: float) -> None:
    codes[0:5] = LEDGE
    if family == "city":
        for bay in range(BAYS):
            x = bay * BAY
            name = SHOP if bay % 4 < 2 else (AWNING if bay % 4 == 2 else DOOR)
            codes[5:28, x + 2 : x + BAY - 2] = GLASS + dice.below(8)
            codes[5:28, x + 13 : x + 15] = FRAME
            if dice.chance(0.35):
                codes[0:26, x + 4 : x + 13] = DARK
                codes[2:24, x + 5 : x + 12] = DOOR
            codes[29:35, x + 1 : x + BAY - 1] = name
            if dice.chance(0.5):
                codes[31:33, x + 6 : x + BAY - 6] = TRIM
            codes[36:38, x : x + BAY] = LEDGE
        return
    for bay in range(BAYS):
        x = bay * BAY + BAY // 2
        if family == "works":
            if bay % 3 == 0:
                codes[0:34, x - 11 : x + 11] = DARK
                codes[0:32:2, x - 10 : x + 10] = DOOR
        elif bay % 4 == 1:
            codes[0:25, x - 6 : x + 6] = TRIM
            codes[0:23, x - 5 : x + 5] = DOOR
            codes[17:21, x - 3 : x + 3] = GLASS + dice.below(8)
        else:
            half = int(width * BAY) // 2
            _pane(codes, dice, 11, 27, x - half, x + half)
            codes[9:11, x - half - 2 : x + half + 2] = TRIM


def _fence(variant: int) -> Array:
    """Boards, bars before greenery, mesh before greenery, or rails."""
    codes = np.zeros((24, 24), np.uint8)
    if variant == 0:
        codes[:, ::3] = LEDGE
        codes[4:5] = LEDGE
    elif variant == 1:
        codes[:] = FRAME
        codes[:, ::2] = BODY
        codes[2:3] = codes[9:10] = BODY
    elif variant == 2:
        codes[::2, ::2] = FRAME
        codes[1::2, 1::2] = FRAME
        codes[:, :1] = BODY
    else:
        codes[:] = FRAME
        codes[3:6] = codes[9:12] = BODY
        codes[:, :2] = LEDGE
    return codes


def colours(facade: Facade, light: tuple[float, float, float], now: Weather) -> Array:
    """A table of 16 codes times 16 degrees of noise -> RGB, packed so that a pixel is one look-up."""
    albedo = np.zeros((16, 3))
    albedo[:8] = facade.colours
    emit = np.zeros((16, 3))
    dice = Dice(*facade.pattern, facade.offset, "glass")
    chances = np.array([dice.random() for _ in range(16)])
    albedo[8:] = 24 + 28 * chances[:8, None]
    emit[8:] = (0.05 + 0.25 * chances[8:, None]) * np.array(now.horizon)
    if now.dark:
        lit = int(8 * facade.lit)
        emit[8 : 8 + lit] = np.array((236, 196, 120)) * (0.55 + 0.05 * np.arange(lit))[:, None]
    if now.dark:
        emit[SHOP] = albedo[SHOP] * 0.5
    noise = (np.arange(16) - 7.5) / 7.5
    grain = 1.0 + noise * (0.42 * facade.rough)
    table = albedo[:, None, :] * np.array(light) * grain[None, :, None] + emit[:, None, :]
    table[8:] = albedo[8:, None, :] * np.array(light) + emit[8:, None, :]
    packed = np.zeros((256, 4), np.uint8)
    packed[:, :3] = np.minimum(table, 252).reshape(256, 3)
    flat: Array = packed.view(np.uint32).ravel()
    return flat


def wall_pixels(
    thing: Thing, camera: Camera, box: tuple[int, int, int, int], light: tuple[float, float, float], now: Weather
) -> tuple[Array, Array]:
    """Colours of the wall's plane within a box of the picture (top, bottom, left, right), and its depth by column."""
    facade = thing.facade
    assert facade is not None
    top, bottom, left, right = box
    pose, (length, height, _) = thing.pose, thing.size
    ax, az = camera.to_camera(np.array(pose.x), np.array(pose.z))
    # The wall runs along its own +x, which is (cosine, -sine) in the world.
    dx = pose.cosine * camera.cosine + pose.sine * camera.sine
    dz = pose.cosine * camera.sine - pose.sine * camera.cosine
    ray = (np.arange(left, right) - camera.cx) / camera.focal
    slant = dx - ray * dz
    slant = np.where(np.abs(slant) < 1e-6, 1e-6, slant)
    along = np.clip((ray * az - ax) / slant, 0, length)
    depth = np.maximum(az + along * dz, 0.3)
    per_pixel = (depth * (FINE / camera.focal)).astype(np.float32)
    down = (np.arange(top, bottom, dtype=np.float32) - np.float32(camera.cy))[:, None]
    level = np.float32(FINE * camera.y) - down * per_pixel  # height on the wall, in FINE steps to a metre
    level = np.clip(level, 0, int(height * FINE) - 1).astype(np.int32)
    codes = pattern(*facade.pattern)
    start = np.take(_rows(facade, codes, int(height * FINE)), level)
    grain = leaf_tile() if facade.pattern[0] == "hedge" else noise_tile(1)
    mottle = np.take(grain, (level & TILE - 1) * TILE + ((along * FINE).astype(np.int32) & TILE - 1)) >> 4
    table = colours(facade, light, now)

    def sample(place: Array) -> Array:
        column = ((place * (TEXELS / facade.stretch)).astype(np.int32) + facade.offset) % codes.shape[1]
        picked: Array = np.take(table, (np.take(codes, start + column) << 4) + mottle).view(np.uint8)
        return picked.reshape(*level.shape, 4)

    pixels = sample(along)
    # Where a pixel spans several texels sideways, the mean of two places in it flickers less than one.
    step = np.abs(np.diff(along, append=along[-1:]))
    if step.max() * TEXELS > 3:
        pixels = ((pixels.astype(np.uint16) + sample(along + 0.5 * step)) >> 1).astype(np.uint8)
    rgb: Array = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
    return rgb, depth


def _rows(facade: Facade, codes: Array, steps: int) -> Array:
    """Of each height on the wall, where the pattern's row begins in its flat array."""
    tall, wide = codes.shape
    y = np.arange(steps) / FINE
    if facade.pattern[0] in ("fence", "hedge"):
        row = (y * TEXELS).astype(np.int32) % tall
    else:
        floor = GROUND / TEXELS
        upper = (y - floor) * (STOREY / facade.storey) + GROUND
        row = np.minimum(np.where(y < floor, y * TEXELS, upper).astype(np.int32), tall - 1)
        row[max(0, steps - FINE // 2) :] = GROUND  # the last half metre is the cornice, in place of cut-off windows
    begins: Array = row * np.int32(wide)
    return begins
