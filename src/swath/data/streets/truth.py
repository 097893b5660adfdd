"""Exact depth, optical flow and motion, from the same map of faces that the picture was made from."""

from __future__ import annotations

import numpy as np

from swath.data.streets.camera import NEAR, Camera
from swath.data.streets.chance import Array
from swath.data.streets.faces import Faces, place, pose_rows
from swath.data.streets.ground import Ground


def depth(faces: Faces, canvas: Array, floor: Ground, camera: Camera) -> Array:
    """Metres along the optical axis (float64); infinite for the sky."""
    ray_u, ray_v = _rays(camera)
    result = np.full(canvas.shape, np.inf)
    below = np.maximum(np.arange(floor.top, camera.height) - camera.cy, 0.25)
    result[floor.top :] = (camera.focal * camera.y / below)[:, None]
    a = faces.begin
    b, c = a + faces.count // 3, a + 2 * faces.count // 3
    p0, p1, p2 = (np.stack([faces.side[k], faces.y[k] - camera.y, faces.ahead[k]], 1) for k in (a, b, c))
    n = np.cross(p1 - p0, p2 - p0)
    distance = (n * p0).sum(1)
    nearest = np.maximum(np.minimum.reduceat(faces.ahead, a), NEAR)
    farthest = np.maximum(np.maximum.reduceat(faces.ahead, a), NEAR)
    row, column = np.nonzero(canvas)
    k = canvas[row, column].astype(np.int64) - 1
    slope = n[k, 0] * ray_u[column] + n[k, 1] * ray_v[row] + n[k, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance[k] / slope
    # The outline's pixels reach up to one pixel beyond the face, where its plane may run off.
    z = np.where(np.isfinite(z) & (z > 0), z, farthest[k])
    result[row, column] = np.clip(z, nearest[k], farthest[k])
    return result


def flow(faces: Faces, canvas: Array, metres: Array, camera: Camera, following: Camera) -> Array:
    """Where each pixel's surface is in the next frame, minus where it is now: (x, y) in pixels."""
    ray_u, ray_v = _rays(camera)
    sky = np.isinf(metres)
    z = np.where(sky, 1.0, metres)
    side, up = ray_u[None] * z, ray_v[:, None] * z
    x, world_z = camera.to_world(side, z)
    y = camera.y + up
    moving = np.array([thing.later is not None for thing in faces.things])[faces.owner]
    row, column = np.nonzero(np.concatenate([[False], moving])[canvas])
    if len(row):
        k = canvas[row, column].astype(np.int64) - 1
        matrix = _motions(faces)[k]
        point = np.stack([x[row, column], y[row, column], world_z[row, column], np.ones(len(row))], 1)
        moved = (matrix * point[:, None, :]).sum(2)
        x[row, column], y[row, column], world_z[row, column] = moved.T
    # The sky is infinitely far: only its direction turns.
    x = np.where(sky, x - camera.x + following.x, x)
    y = np.where(sky, y - camera.y + following.y, y)
    world_z = np.where(sky, world_z - camera.z + following.z, world_z)
    side, ahead = following.to_camera(x, world_z)
    u, v = following.to_picture(side, y, np.maximum(ahead, 0.05))
    here_v, here_u = np.mgrid[0 : camera.height, 0 : camera.width]
    return np.stack([u - here_u, v - here_v], 2).astype(np.float32)


def motion(faces: Faces, canvas: Array) -> Array:
    """1 where the surface moves by itself."""
    moving = np.array([thing.later not in (None, thing.pose) for thing in faces.things])[faces.owner]
    return np.concatenate([[False], moving])[canvas].astype(np.uint8)


def _rays(camera: Camera) -> tuple[Array, Array]:
    """Sideways of each column and up of each row, for one metre ahead."""
    columns = (np.arange(camera.width) - camera.cx) / camera.focal
    return columns, -(np.arange(camera.height) - camera.cy) / camera.focal


def _motions(faces: Faces) -> Array:
    """Of each face, the 3 x 4 matrix that carries its points from this frame into the next."""
    things, owner = faces.things, faces.owner
    now = pose_rows([thing.pose for thing in things])
    then = pose_rows([thing.pose if thing.later is None else thing.later for thing in things])
    frames = [_frame(faces, pose[:, owner]) for pose in (now, then)]
    inverse = np.linalg.inv(frames[0])
    return (frames[1] @ inverse)[:, :3]


def _frame(faces: Faces, pose: Array) -> Array:
    """The 4 x 4 matrix from a face's own (stretched) metres to the world: images of the origin and the axes."""
    count = len(faces.owner)
    # The pivot is stored unstretched; stretching it here lets `place` run with a stretch of one.
    size = np.array([thing.size for thing in faces.things])[faces.owner]
    foot = np.array([thing.y for thing in faces.things])[faces.owner]
    pivot = faces.pivot * size[:, :2]
    one, zero = np.ones((count, 3)), np.zeros(count)
    matrix = np.zeros((count, 4, 4))
    matrix[:, 3, 3] = 1
    origin = np.stack(place(zero, zero, zero, faces.limb, pivot, one, foot, pose), 1)
    matrix[:, :3, 3] = origin
    for axis in range(3):
        x, y, z = (zero + (axis == k) for k in range(3))
        matrix[:, :3, axis] = np.stack(place(x, y, z, faces.limb, pivot, one, foot, pose), 1) - origin
    return matrix
