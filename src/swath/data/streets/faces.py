"""Faces: all flat faces of all things in one set of arrays, moved into the camera's view and painted far to near.

Only one map is painted: the number of the face that each pixel shows. Colour, label, depth and motion are all looked
up through it, so they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from swath.data.streets.camera import NEAR, Camera
from swath.data.streets.chance import Array
from swath.data.streets.shapes import Shape
from swath.data.streets.things import Pose, Thing

BITS = 4  # fixed-point bits of a corner's place in the picture


@dataclass(frozen=True)
class Faces:
    things: list[Thing]
    owner: Array  # of each face: its thing
    begin: Array  # of each face: its first corner
    count: Array
    x: Array  # of each corner, in the world
    y: Array
    z: Array
    side: Array  # of each corner, from the camera
    ahead: Array
    label: Array  # of each face, and so on
    colour: Array
    shade: Array
    normal: Array
    limb: Array
    pivot: Array
    grain: Array
    glow: Array
    casts: Array


def place(
    x: Array, y: Array, z: Array, limb: Array, pivot: Array, size: Array, foot: Array, pose: Array
) -> tuple[Array, Array, Array]:
    """A shape's own coordinates -> the world. `pose` has rows x, z, sine, cosine, swing; `foot` is the height."""
    px, py = pivot[:, 0] * size[:, 0], pivot[:, 1] * size[:, 1]
    sine = pose[4] * limb
    cosine = np.sqrt(1.0 - sine * sine)
    dx, dy = x * size[:, 0] - px, y * size[:, 1] - py
    lx, ly, lz = px + dx * cosine - dy * sine, py + dx * sine + dy * cosine, z * size[:, 2]
    return pose[0] + lx * pose[3] + lz * pose[2], foot + ly, pose[1] - lx * pose[2] + lz * pose[3]


def pose_rows(poses: Sequence[Pose]) -> Array:
    return np.array([(p.x, p.z, p.sine, p.cosine, p.swing) for p in poses], np.float64).reshape(-1, 5).T


def gather(things: list[Thing], camera: Camera, sunny: bool) -> Faces:
    """The faces of all things that may be seen, or whose shadow may be when it is sunny."""
    around = 22.0 if sunny else 1.0
    kept: list[Thing] = []
    shapes: list[Shape] = []
    for thing in things:
        dx, dz = thing.pose.x - camera.x, thing.pose.z - camera.z
        reach = thing.shape.reach * max(thing.size)
        side = abs(dx * camera.cosine - dz * camera.sine)
        ahead = dx * camera.sine + dz * camera.cosine
        if ahead > -reach - 0.5 * around and side < max(ahead, 0.0) * camera.width / camera.focal + reach + around:
            kept.append(thing)
            # What is smaller than about two pixels need not be there.
            pixel = 1.5 * max(ahead, 1.0) / (camera.focal * max(thing.size))
            shapes.append(thing.shape.coarse(math.frexp(pixel)[1]))
    faces_each = np.array([len(shape.counts) for shape in shapes], np.int64)
    owner = np.repeat(np.arange(len(kept)), faces_each)

    def joined(name: str) -> Array:
        return np.concatenate([getattr(shape, name) for shape in shapes])

    count = joined("counts")
    begin = np.cumsum(count) - count
    face = np.repeat(np.arange(len(count)), count)  # of each corner
    corners, limb, pivot = joined("corners").T, joined("limb"), joined("pivot")
    size = np.array([thing.size for thing in kept])
    foot = np.array([thing.y for thing in kept])
    pose = pose_rows([thing.pose for thing in kept])
    of = owner[face]
    x, y, z = place(corners[0], corners[1], corners[2], limb[face], pivot[face], size[of], foot[of], pose[:, of])
    side_all, ahead_all = camera.to_camera(x, z)
    normal = joined("normal")
    sine, cosine = pose[2][owner], pose[3][owner]
    turned = np.stack(
        [normal[:, 0] * cosine + normal[:, 2] * sine, normal[:, 1], normal[:, 2] * cosine - normal[:, 0] * sine], 1
    )
    offset = np.cumsum([0] + [len(thing.palette) for thing in kept[:-1]])
    palette = np.array([colour for thing in kept for colour in thing.palette], np.float64)
    label = joined("label")
    ends = np.cumsum(faces_each)
    for k, thing in enumerate(kept):
        if thing.label is not None:
            label[ends[k] - faces_each[k] : ends[k]] = thing.label
    return Faces(
        kept, owner, begin, count, x, y, z, side_all, ahead_all, label, palette[offset[owner] + joined("slot")],
        joined("shade"), turned, limb, pivot, joined("grain"), joined("glow"), joined("casts"),
    )  # fmt: skip


def _clip(points: Array) -> Array:
    """The part of a polygon (rows: side, y, ahead) that is not too near."""
    out = []
    previous = points[-1]
    for point in points:
        if (point[2] >= NEAR) != (previous[2] >= NEAR):
            part = (NEAR - previous[2]) / (point[2] - previous[2])
            out.append(previous + part * (point - previous))
        if point[2] >= NEAR:
            out.append(point)
        previous = point
    return np.array(out)


def fixed(value: Array) -> Array:
    """Pixels -> fixed point; far outside the picture it does not matter where."""
    return np.clip(np.floor(value * (1 << BITS) + 0.5), -(1 << 26), 1 << 26).astype(np.int32)


def fill(
    canvas: Array, camera: Camera, side: Array, y: Array, ahead: Array, begin: Array, count: Array, values: Array
) -> Array:
    """Paints polygons in their order; returns for each its box (left, right, top, bottom), empty if not painted."""
    safe = np.maximum(ahead, NEAR)
    u, v = camera.to_picture(side, y, safe)
    bounds = np.stack(
        [np.minimum.reduceat(u, begin), np.maximum.reduceat(u, begin), np.minimum.reduceat(v, begin),
         np.maximum.reduceat(v, begin)], 1,
    )  # fmt: skip
    nearest, farthest = np.minimum.reduceat(ahead, begin), np.maximum.reduceat(ahead, begin)
    cut = nearest < NEAR
    inside = (bounds[:, 0] < camera.width) & (bounds[:, 1] > -1) & (bounds[:, 2] < camera.height) & (bounds[:, 3] > -1)
    tiny = (bounds[:, 1] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 2]) < 1.0
    # A polygon cut by the near plane has no bounds yet, so it is always tried.
    visible = (farthest >= NEAR) & (cut | (inside & ~tiny)) & (values >= 0)
    points = np.stack([fixed(u), fixed(v)], 1)
    shown = np.flatnonzero(visible)
    rows = zip(*(column[shown].tolist() for column in (begin, count, cut, values)), strict=True)
    for k, (a, n, near, value) in zip(shown.tolist(), rows, strict=True):
        polygon = points[a : a + n]
        if near:
            part = _clip(np.stack([side[a : a + n], y[a : a + n], ahead[a : a + n]], 1))
            pu, pv = camera.to_picture(part[:, 0], part[:, 1], part[:, 2])
            bounds[k] = pu.min(), pu.max(), pv.min(), pv.max()
            polygon = np.stack([fixed(pu), fixed(pv)], 1)
        cv2.fillConvexPoly(canvas, polygon, value, cv2.LINE_8, BITS)
    bounds[~visible] = (1, -1, 1, -1)
    return bounds


def paint(faces: Faces, camera: Camera) -> tuple[Array, Array]:
    """The map of faces (0 where there is none, else its number plus one) and the faces' boxes in the picture."""
    canvas = np.zeros((camera.height, camera.width), np.uint16)
    first = faces.begin
    toward = (
        faces.normal[:, 0] * (faces.x[first] - camera.x)
        + faces.normal[:, 1] * (faces.y[first] - camera.y)
        + faces.normal[:, 2] * (faces.z[first] - camera.z)
    )
    two_sided = (faces.normal == 0).all(1)
    values = np.where(two_sided | (toward < 0), np.arange(1, len(first) + 1), -1)
    boxes = fill(canvas, camera, faces.side, faces.y, faces.ahead, first, faces.count, values)
    return canvas, boxes


def cast_shadows(faces: Faces, camera: Camera, towards: tuple[float, float, float]) -> Array:
    """Where the ground lies in shadow (0..255), for a sun that stands towards that unit vector."""
    canvas = np.zeros((camera.height, camera.width), np.uint8)
    casts = np.flatnonzero(faces.casts & (faces.ahead[faces.begin] < 80.0))
    if not len(casts):
        return canvas
    count = faces.count[casts]
    begin = np.cumsum(count) - count
    pick = np.arange(int(count.sum())) - np.repeat(begin, count) + np.repeat(faces.begin[casts], count)
    x = faces.x[pick] - faces.y[pick] * (towards[0] / towards[1])
    z = faces.z[pick] - faces.y[pick] * (towards[2] / towards[1])
    side, ahead = camera.to_camera(x, z)
    fill(canvas, camera, side, np.zeros_like(side), ahead, begin, count, np.full(len(casts), 255))
    return canvas


def contact_shadows(faces: Faces, camera: Camera) -> Array:
    """The darkness right below things, which needs no sun."""
    canvas = np.zeros((camera.height, camera.width), np.uint8)
    near = [thing for thing in faces.things if thing.facade is None and thing.y == 0]
    if not near:
        return canvas
    pose = pose_rows([thing.pose for thing in near])
    size = np.abs(np.array([thing.size for thing in near]))
    foot = np.array([thing.shape.foot for thing in near]) * size[:, [0, 0, 2, 2]]
    lx, lz = foot[:, [0, 1, 1, 0]], foot[:, [2, 2, 3, 3]]
    px, pz, sine, cosine = (row[:, None] for row in pose[:4])
    side, ahead = camera.to_camera((px + lx * cosine + lz * sine).ravel(), (pz - lx * sine + lz * cosine).ravel())
    count = np.full(len(near), 4)
    fill(canvas, camera, side, np.zeros_like(side), ahead, np.arange(len(near)) * 4, count, np.full(len(near), 255))
    return canvas
