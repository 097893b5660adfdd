"""The ground: which pixel is road and which is sidewalk, markings, slabs, patches, and the light upon them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from swath.data.streets.camera import Camera
from swath.data.streets.chance import TILE, Array, noise_tile
from swath.data.streets.plan import Plan
from swath.data.streets.shapes import PAVEMENT, ROAD, TREE
from swath.data.streets.weather import Weather

F = np.float32

# Codes of what the ground is made of.
ASPHALT, SLABS, KERB, WHITE, YELLOW, GRASS, CYCLE = range(7)
LABELS = np.array([ROAD, PAVEMENT, PAVEMENT, ROAD, ROAD, TREE, ROAD], np.uint8)


@dataclass(frozen=True)
class Ground:
    top: int  # its first row; the arrays begin there
    code: Array
    tone: Array  # float32 about 1
    depth: Array  # float32, a value for each row
    s: Array  # metres right of the road's middle
    z: Array


def noise(reach: int, scale: Array | F, s: Array, z: Array) -> Array:
    """The noise tile laid on the ground, `scale` texels a metre (a column of them: one for each row)."""
    a = (z * scale).astype(np.int32) & (TILE - 1)
    b = (s * scale).astype(np.int32) & (TILE - 1)
    tile: Array = np.take(noise_tile(reach), a * TILE + b)
    return tile


def _stripe(s: Array, middle: float, half: float, blur: Array) -> Array:
    """Coverage of a line along the road, softened by the width of a pixel there."""
    return np.clip((F(half) - np.abs(s - F(middle))) / blur + F(0.5), 0, 1)


def lay(plan: Plan, camera: Camera) -> Ground:
    """Ground below the horizon, as if nothing stood on it."""
    top = min(max(int(camera.cy) + 1, 0), camera.height)
    v = np.arange(top, camera.height, dtype=np.float32)
    depth = F(camera.focal * camera.y) / np.maximum(v - F(camera.cy), F(0.25))
    u = (np.arange(camera.width, dtype=np.float32) - F(camera.cx)) / F(camera.focal)
    side = depth[:, None] * u
    z = F(camera.z) + depth[:, None] * F(camera.cosine) - side * F(camera.sine)
    x = F(camera.x) + depth[:, None] * F(camera.sine) + side * F(camera.cosine)
    s = x - plan.middle(z) if plan.bend[0] else x
    blur = depth[:, None] * F(1.2 / camera.focal)  # metres to a pixel, sideways
    code = _zones(plan, s, z, float(camera.z))
    tone = _texture(plan, s, z, depth, blur, camera.focal, code)
    _markings(plan, s, z, blur, code, float(camera.z))
    return Ground(top, code, tone, depth, s, z)


def _zones(plan: Plan, s: Array, z: Array, here: float) -> Array:
    left, right = F(plan.half[-1]), F(plan.half[1])
    out = np.maximum(s - right, -left - s)  # metres beyond the kerb
    code = np.full(s.shape, SLABS, np.uint8)
    code[out < 0.16] = KERB
    if plan.verge:
        code[(out >= 0.16) & (out < plan.verge)] = GRASS
    if plan.setback:
        beyond = np.where(s > 0, F(plan.line(1)) - right, F(plan.line(-1)) - left)
        code[out > beyond] = GRASS
    road = out < 0
    for j in plan.crossings_in(here - 8, here + 200)[:4]:
        z0, z1 = plan.crossing(j)
        inside = (z > F(z0)) & (z < F(z1))
        if inside.any():
            kerb = (z > F(z0 - 0.16)) & (z < F(z1 + 0.16)) & ~road
            code[kerb] = KERB
            road |= inside
    code[road] = ASPHALT
    if plan.cycle_lane:
        edge = plan.lanes * plan.lane
        code[road & (np.abs(np.abs(s) - F(edge - 0.6)) < 0.6)] = CYCLE
    return code


def _texture(plan: Plan, s: Array, z: Array, depth: Array, blur: Array, focal: float, code: Array) -> Array:
    # The grain of the surface, at a scale that follows the pixels so that it never turns into flicker.
    stretch = depth * depth / F(focal * 1.4)  # metres to a pixel along the road
    _, octave = np.frexp(np.clip(stretch * F(24), 1, 60))
    scale = np.ldexp(F(64.0), 1 - octave).astype(np.float32)
    fine = noise(1, scale[:, None], s, z)
    broad = noise(9, F(14), s, z * F(0.5))
    tone = F(0.80) + fine * F(0.16 / 255) + broad * F(0.24 / 255)
    # Patches: squares of newer or older asphalt, and seams between the lanes.
    cell = ((z * F(0.11)).astype(np.int32) & 63) * TILE + ((s * F(0.45) + F(40)).astype(np.int32) & 63)
    patch = np.take(noise_tile(0), cell)
    paved = code == SLABS
    half, middle = (plan.half[1] + plan.half[-1]) / 2, (plan.half[1] - plan.half[-1]) / 2
    tone *= np.where(paved, F(0.94) + patch * F(0.0002), np.where(patch > 218, F(0.84), F(1.0)))
    tone *= 1 - F(0.28) * _stripe(np.abs(s), plan.lane, 0.03, blur)
    # Joints between the slabs, as far as one can tell them apart.
    near = slice(int(np.searchsorted(-depth, F(-28))), None)
    gap_s, gap_z = s[near] * F(1 / 0.75), z[near] * F(1 / 0.75)
    gap_s, gap_z = np.abs(gap_s - np.rint(gap_s)), np.abs(gap_z - np.rint(gap_z))
    gap = np.minimum(gap_s / (blur[near] * F(1.4) + F(0.02)), gap_z / (stretch[near, None] * F(1.4) + F(0.02)))
    strength = (F(0.34) / (F(1.5) + depth[near] * F(0.12)))[:, None]
    tone[near] *= 1 - strength * np.clip(F(1.2) - gap, 0, 1) * paved[near]
    # Gutter along the kerb.
    tone *= 1 - F(0.3) * _stripe(np.abs(s - F(middle)), half - 0.08, 0.1, blur)
    return tone


def _markings(plan: Plan, s: Array, z: Array, blur: Array, code: Array, here: float) -> None:
    """Painted lines; worn where the noise is dark."""
    road = (code == ASPHALT) | (code == CYCLE)
    worn = noise(4, F(18), s, z) > F(255 * plan.wear * 0.6)
    open_road = np.ones_like(road)  # not within a side street
    paint = np.zeros_like(road)
    wide = np.maximum(F(0.06), blur * F(0.45))
    for j in plan.crossings_in(here - 8, here + 90)[:2]:
        z0, z1 = plan.crossing(j)
        open_road &= (z < F(z0 - 6.0)) | (z > F(z1 + 1.0))
        if plan.zebra:
            bars = s - np.floor(s)
            paint |= (z > F(z0 - 4.8)) & (z < F(z0 - 2.2)) & (bars < F(0.5))
        own = s * F(plan.drive) > 0
        paint |= (z > F(z0 - 6.0)) & (z < F(z0 - 5.6)) & own
    lines = np.zeros_like(road)
    turn = z * F(1 / 6.0)
    dashed = turn - np.floor(turn) < F(0.45)
    if plan.marking == "dashes":
        lines |= (np.abs(s) < wide) & dashed
    elif plan.marking in ("solid", "yellow"):
        lines |= np.abs(np.abs(s) - F(0.14)) < wide
    middle = lines
    lines = np.zeros_like(road)
    if plan.lanes == 2:
        lines |= (np.abs(np.abs(s) - F(plan.lane)) < wide) & dashed
    edge = plan.lanes * plan.lane
    if any(plan.parking.values()) or plan.cycle_lane:
        lines |= np.abs(np.abs(s) - F(edge)) < wide
    lines &= open_road
    middle &= open_road
    code[(paint | lines) & road & worn] = WHITE
    code[middle & road & worn] = YELLOW if plan.marking == "yellow" else WHITE


def shade(ground: Ground, plan: Plan, now: Weather, shadow: Array | None, contact: Array, camera: Camera) -> Array:
    """Colours of the ground (uint8): material times light."""
    wet = F(1.0 - 0.35 * now.wet)
    colours = np.zeros((256, 3), np.float32)
    colours[:7] = (
        plan.asphalt, plan.paving, [c * 1.12 for c in plan.paving], (206, 206, 202), (196, 160, 60),
         [c * 0.95 for c in plan.leaves], (136, 82, 70),
    )  # fmt: skip
    colours[[ASPHALT, WHITE, YELLOW, CYCLE]] *= wet
    open_sky = 1 - contact.astype(np.float32) * F(0.62 / 255)
    tone = ground.tone * open_sky
    picture = np.empty((*ground.tone.shape, 3), np.uint8)
    lit = None if shadow is None else 1 - shadow.astype(np.float32) * F(1 / 255)
    pool = _lamplight(ground, plan, camera) if now.dark else None
    for c in range(3):
        light: Array = np.array(now.ambient[c], F)
        if lit is not None:
            light = light + F(now.sun[c] * max(now.towards[1], 0.25) * 1.1) * lit
        if pool is not None:
            light = light + pool * F((0.62, 0.50, 0.34)[c])
        value = cv2.LUT(ground.code, colours[None, :, c]) * tone * light
        picture[:, :, c] = np.minimum(value, F(250))
    return picture


def _lamplight(ground: Ground, plan: Plan, camera: Camera) -> Array:
    """Pools below the street lamps and the cone of the camera's own headlights."""
    gap = F(plan.lamp_gap)
    turn = ground.z / gap
    along = (turn - np.floor(turn) - F(0.5)) * gap
    pools = F(1) / (F(1) + along * along * F(1 / 30.0) + (np.abs(ground.s) - F(plan.half[1])) ** 2 * F(1 / 40.0))
    ahead = ground.depth[:, None]
    off = (ground.s - F(plan.ego_lane)) / (F(1.5) + ahead * F(0.22))
    cone = F(1) / (F(1) + off * off) / (F(0.9) + (ahead * F(1 / 16.0)) ** 2)
    return pools + F(0.8) * cone
