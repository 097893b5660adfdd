"""Rendering: a picture is a function of (seed, index) and nothing else; a video is one world seen over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swath.data.streets import picture, truth
from swath.data.streets.faces import gather, paint
from swath.data.streets.weather import weather
from swath.data.streets.world import World
from swath.errors import SwathError

Want = Literal["labels", "all"]

FPS = 15.0


@dataclass(frozen=True, eq=False)
class Street:
    """One picture and its exact truth; the last three are None unless they were wanted."""

    image: NDArray[np.uint8]  # H x W x 3, RGB
    labels: NDArray[np.uint8]  # H x W, CamVid's eleven classes in their order
    depth: NDArray[np.float32] | None = None  # H x W, metres along the optical axis; infinite for the sky
    flow: NDArray[np.float32] | None = None  # H x W x 2 (x, y): where the surface is in the next frame, minus here
    motion: NDArray[np.uint8] | None = None  # H x W, 1 where the surface moves by itself


def render(seed: int, index: int, size: tuple[int, int] = (256, 512), *, want: Want = "labels") -> Street:
    """Picture `index` of the endless set `seed`, at `size` (height, width)."""
    return _frame(World(seed, index), 0, size, FPS, want)


def video(seed: int, frames: int, size: tuple[int, int] = (256, 512), *, fps: float = FPS) -> Iterator[Street]:
    """A drive through one street: consecutive frames with depth, flow and motion."""
    world = World(seed, 0)
    for frame in range(frames):
        yield _frame(world, frame, size, fps, "all")


def _frame(world: World, frame: int, size: tuple[int, int], fps: float, want: Want) -> Street:
    if min(size) < 8:
        raise SwathError(f"streets: a picture of {size[0]}x{size[1]} pixels is too small; ask for at least 8x8")
    plan, time = world.plan, frame / fps
    camera, now = world.camera(time, size), weather(world.plan.key)
    faces = gather(world.things(time, 1 / fps), camera, max(now.sun) > 0)
    canvas, boxes = paint(faces, camera)
    scene, labels, floor = picture.compose(faces, canvas, boxes, camera, plan, now)
    image = picture.photograph(scene, plan.key, frame, now)
    if want == "labels":
        return Street(image, labels)
    metres = truth.depth(faces, canvas, floor, camera)
    following = world.camera((frame + 1) / fps, size)
    return Street(
        image, labels, metres.astype(np.float32), truth.flow(faces, canvas, metres, camera, following),
        truth.motion(faces, canvas),
    )  # fmt: skip
