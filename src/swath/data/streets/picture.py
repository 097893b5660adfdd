"""The picture: light and colour for every pixel of the map of faces, then what the lens and the sensor do to it."""

from __future__ import annotations

import cv2
import numpy as np

from swath.data.streets import facade, ground
from swath.data.streets.camera import Camera
from swath.data.streets.chance import TILE, Array, Dice, leaf_tile, soften
from swath.data.streets.faces import Faces, cast_shadows, contact_shadows
from swath.data.streets.plan import Plan
from swath.data.streets.shapes import LEAVES, ROAD, SKY
from swath.data.streets.weather import Weather, haze, sky

F = np.float32


def compose(
    faces: Faces, canvas: Array, boxes: Array, camera: Camera, plan: Plan, now: Weather
) -> tuple[Array, Array, ground.Ground]:
    """Picture before the lens (uint8 RGB), labels, and the ground."""
    height = camera.height
    floor = ground.lay(plan, camera)
    soft = max(1, height // 128)
    sun = max(now.sun) > 0
    shadow = soften(cast_shadows(faces, camera, now.towards), soft) if sun else None
    contact = soften(contact_shadows(faces, camera), 2 * soft + 1)

    light = _light(faces, camera, now, shadow)
    colour = np.zeros((len(faces.owner) + 1, 4), np.uint8)
    colour[1:, :3] = np.minimum(faces.colour * light, 252)
    packed = colour.view(np.uint32).ravel()
    index = canvas.astype(np.intp)
    picture = cv2.cvtColor(np.take(packed, index).view(np.uint8).reshape(*index.shape, 4), cv2.COLOR_RGBA2RGB)
    labels = np.take(np.concatenate([[SKY], faces.label]).astype(np.uint8), index)
    fog = np.zeros(len(faces.owner) + 1, np.uint8)
    fog[1:] = haze(now.sight, np.maximum(faces.ahead[faces.begin], 0.0))
    veil = np.take(fog, index)

    empty = canvas == 0
    top = floor.top
    if top:
        cv2.copyTo(sky(now, camera, top), empty[:top].view(np.uint8), picture[:top])
    if top < height:
        below = empty[top:]
        surface = ground.shade(floor, plan, now, None if shadow is None else shadow[top:], contact[top:], camera)
        cv2.copyTo(surface, below.view(np.uint8), picture[top:])
        np.copyto(labels[top:], ground.LABELS[floor.code], where=below)
        np.copyto(veil[top:], haze(now.sight, floor.depth)[:, None], where=below)
    _walls(faces, canvas, boxes, camera, light, now, picture, veil)
    _grain(faces, index, camera, picture)
    _fog(picture, veil, now)
    if now.wet:
        _mirror(picture, floor, empty, now, camera)
    return picture, labels, floor


def _light(faces: Faces, camera: Camera, now: Weather, shadow: Array | None) -> Array:
    """Light on each face, by channel."""
    facing = sum(faces.normal[:, k] * now.towards[k] for k in range(3))
    length = np.sqrt((faces.normal * faces.normal).sum(1))
    two_sided = length == 0
    # A flat figure stands for something round: half of it is lit wherever the sun stands.
    lit = np.where(two_sided, 0.62, np.maximum(facing, 0) / np.maximum(length, 1e-9))
    if shadow is not None:
        lit = lit * (1.0 - 0.8 * _in_shadow(faces, camera, shadow))
    # Undersides and sides get less of the sky than what looks up.
    open_sky = np.where(two_sided, 0.95, 0.8 + 0.2 * faces.normal[:, 1] / np.maximum(length, 1e-9))
    ambient, sun = np.array(now.ambient), np.array(now.sun)
    light = (ambient * open_sky[:, None] + sun * lit[:, None]) * faces.shade[:, None]
    glow = faces.glow[:, None] * (1.25 if now.dark else 0.0)
    result: Array = np.maximum(light, glow)
    return result


def _in_shadow(faces: Faces, camera: Camera, shadow: Array) -> Array:
    """Of each face, whether its thing stands in a shadow: looked up a little before its foot."""
    x, z = (np.array(v) for v in zip(*[(t.pose.x, t.pose.z) for t in faces.things], strict=True))
    side, ahead = camera.to_camera(x, z)
    reach = np.maximum(ahead - 0.6, 0.5)
    u, v = camera.to_picture(side, np.zeros_like(side), reach)
    known = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height) & (ahead > 1)
    column = np.clip(u, 0, camera.width - 1).astype(np.int64)
    row = np.clip(v, 0, camera.height - 1).astype(np.int64)
    walls = np.array([t.facade is not None or t.y > 0 for t in faces.things])
    dark: Array = np.where(known & ~walls, shadow[row, column] / 255.0, 0.0)
    return dark[faces.owner]


def _walls(
    faces: Faces, canvas: Array, boxes: Array, camera: Camera, light: Array, now: Weather, picture: Array, veil: Array
) -> None:
    begins = np.flatnonzero(np.diff(faces.owner, prepend=-1))
    pixels_of = np.bincount(canvas.ravel(), minlength=len(faces.owner) + 1).tolist()
    for k, thing in zip(begins.tolist(), faces.things, strict=True):
        if thing.facade is None or pixels_of[k + 1] < 30:
            continue
        left, right = max(int(boxes[k, 0]) - 1, 0), min(int(boxes[k, 1]) + 3, camera.width)
        top, bottom = max(int(boxes[k, 2]) - 1, 0), min(int(boxes[k, 3]) + 3, camera.height)
        mine = canvas[top:bottom, left:right] == k + 1
        columns = np.flatnonzero(mine.any(0))
        rows = np.flatnonzero(mine.any(1))
        mine = mine[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, bottom, left, right = top + rows[0], top + rows[-1] + 1, left + columns[0], left + columns[-1] + 1
        r, g, b = light[k].tolist()
        pixels, depth = facade.wall_pixels(thing, camera, (top, bottom, left, right), (r, g, b), now)
        region = picture[top:bottom, left:right]
        cv2.copyTo(pixels, mine.view(np.uint8), region)
        np.copyto(veil[top:bottom, left:right], haze(now.sight, depth)[None], where=mine)


def _grain(faces: Faces, index: Array, camera: Camera, picture: Array) -> None:
    """Leaves on foliage, which move and grow with their tree."""
    leaves = faces.grain == LEAVES
    where = np.flatnonzero(np.take(np.concatenate([[False], leaves]), index))
    face = np.take(index, where) - 1
    foot = faces.begin[np.flatnonzero(np.diff(faces.owner, prepend=-1))][faces.owner]  # each thing's first corner
    near = np.maximum(faces.ahead[foot], 0.5)
    u, v = camera.to_picture(faces.side[foot], faces.y[foot], near)
    scale = near * (26.0 / camera.focal)  # texels to a pixel
    row, column = np.divmod(where.astype(np.int32), np.int32(camera.width))
    by = np.take(scale.astype(F), face)
    a = ((row - np.take(v.astype(F), face)) * by).astype(np.int32) + np.take(faces.owner * 37, face)
    b = ((column - np.take(u.astype(F), face)) * by).astype(np.int32)
    gain = (90 + np.arange(256) * 306 // 255).astype(np.uint16)  # 256 stands for no change
    factor = np.take(gain, np.take(leaf_tile(), (a & TILE - 1) * TILE + (b & TILE - 1)))
    flat = picture.reshape(-1, 3)
    for c in range(3):
        flat[where, c] = np.minimum((flat[where, c].astype(np.uint32) * factor) >> 8, 255)


def _fog(picture: Array, veil: Array, now: Weather) -> None:
    """What is far takes on the colour of the air."""
    amount = veil.astype(np.uint16)
    rest = 256 - amount
    for c in range(3):  # plane by plane: numpy is slow where the innermost axis is only three long
        picture[:, :, c] = (picture[:, :, c] * rest + amount * np.uint16(now.fog[c])) >> 8


def _mirror(picture: Array, floor: ground.Ground, empty: Array, now: Weather, camera: Camera) -> None:
    """A wet road shows what stands beyond it upside down."""
    top, rows = floor.top, camera.height - floor.top
    if rows < 2 or top < 2:
        return
    source = np.clip(top - 1 - (np.arange(rows) * 7) // 8, 0, top - 1)
    seen = soften(picture[source], 2).astype(np.uint16)
    puddle = ground.noise(9, F(12), floor.s, floor.z * F(0.5))
    strength = (puddle.astype(np.uint16) * int(150 * now.wet) >> 8) + int(50 * now.wet)
    strength = np.where(empty[top:] & (ground.LABELS[floor.code] == ROAD), strength, 0)[:, :, None].astype(np.uint16)
    below = picture[top:]
    below[:] = (below * (256 - strength) + seen * strength) >> 8


def photograph(picture: Array, key: str, frame: int, now: Weather) -> Array:
    """Rain, the lens (blur, darker corners), the exposure and the sensor's noise."""
    dice = Dice(key, "lens")
    height, width = picture.shape[:2]
    blur, corners = dice.below(10), dice.span(0.0, 0.3)
    gain, gamma = dice.span(0.92, 1.14), dice.span(-0.06, 0.26)
    warmth = dice.span(-0.07, 0.07)
    grit = dice.span(1.0, 5.0) + (4.0 if now.kind == "night" else 2.0 if now.dark else 0.0)
    if now.kind == "rain":
        picture = _rain(picture, Dice(key, "rain", frame))
    if blur > 3:  # the lens: most pictures lose a little, some much
        picture = soften(picture, 1 if blur < 8 else 2)
    else:
        picture = ((picture.astype(np.uint16) + soften(picture, 1)) >> 1).astype(np.uint8)
    # Exposure, contrast and white balance, with darker corners, as 8-bit tables and weights.
    t = np.arange(256) / 255.0
    curve = t + gamma * t * (1.0 - t) * 2.0
    tone = [np.clip(curve * gain * 255.0 * by, 0, 255).astype(np.uint8) for by in (1 + warmth, 1.0, 1 - warmth)]
    picture = cv2.LUT(picture, np.stack(tone, 1).reshape(256, 1, 3))
    y = (np.arange(height) * 2 - height + 1) / max(height, width)
    x = (np.arange(width) * 2 - width + 1) / max(height, width)
    weight = (256 - 256 * corners * (y[:, None] ** 2 + x[None] ** 2) * 0.8).astype(np.uint16)
    weights = np.repeat(weight, 3, axis=1).reshape(height, width, 3)
    # Noise: the mean of two even ones has a triangle for its density, which is close enough to a bell.
    seed = Dice(key, "grain", frame).below(1 << 31)
    raw = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    raw = (raw >> 1) + (np.roll(raw, 1, 0) >> 1)
    bell = ((np.arange(256) - 127) * (grit / 52.0)).round().astype(np.int16)
    shot = ((picture * weights) >> 8).view(np.int16) + cv2.LUT(raw, bell[None])
    result: Array = np.clip(shot, 0, 255).astype(np.uint8)
    return result


def _rain(picture: Array, dice: Dice) -> Array:
    """Streaks in the air."""
    height, width = picture.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    slant = dice.span(-0.2, 0.2)
    for _ in range(height * width // 700):
        x, y, long = dice.below(width), dice.below(height), dice.span(0.02, 0.07) * height
        cv2.line(layer, (x, y), (x + int(slant * long), y + int(long)), 12 + dice.below(26))
    layer = soften(layer, 1)
    wet: Array = cv2.add(picture, cv2.merge([layer, layer, layer]))
    return wet
