"""Shapes: a thing's flat faces in its own metres (x right, y up, z forward), in the order they are painted."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from swath.data.streets.chance import Array, circle

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)

Point = tuple[float, float, float]

PER_FACE = ("counts", "label", "slot", "shade", "normal", "limb", "pivot", "grain", "glow", "casts")

LEAVES = 1  # grain of a face: foliage, or the faint unevenness of everything else
PLAIN = 0


@dataclass(frozen=True, eq=False)
class Shape:
    """F faces with V corners in all; arrays, so that a whole street is moved and projected at once."""

    corners: Array  # V x 3
    counts: Array  # F: corners of each face
    label: Array  # F
    slot: Array  # F: which colour of the thing's palette
    shade: Array  # F: darker below 1
    normal: Array  # F x 3; zero for a face that is seen from both sides
    limb: Array  # F: +1 or -1 for what swings one way or the other, 0 for what does not
    pivot: Array  # F x 2: x and y about which the limb swings
    grain: Array  # F
    glow: Array  # F: 1 for a lamp
    casts: Array  # F: 1 where the face throws a shadow
    foot: tuple[float, float, float, float]  # x and z of its outline on the ground, from and to
    reach: float  # radius around the origin, for leaving out what cannot be seen

    @functools.cache  # noqa: B019 - shapes are few and live as long as the program
    def coarse(self, level: int) -> Shape:
        """Without the faces that are smaller than 2**level metres both ways: what one sees of it from afar."""
        begin = np.cumsum(self.counts) - self.counts
        extent = (np.maximum.reduceat(self.corners, begin) - np.minimum.reduceat(self.corners, begin)).max(1)
        # Clumps of leaves are many and alike, so they go three times sooner.
        keep = extent >= np.minimum(2.0**level * np.where(self.grain == LEAVES, 3.0, 1.0), extent.max())
        rows = {name: getattr(self, name)[keep] for name in PER_FACE}
        return replace(self, corners=self.corners[np.repeat(keep, self.counts)], **rows)


class Builder:
    """Collects faces and makes them a Shape."""

    def __init__(self, label: int) -> None:
        self.label = label
        self.corners: list[Point] = []
        self.rows: list[tuple[float, ...]] = []

    def face(
        self,
        points: Sequence[Point],
        slot: int,
        *,
        label: int | None = None,
        shade: float = 1.0,
        normal: Point = (0.0, 0.0, 0.0),
        limb: float = 0,
        pivot: tuple[float, float] = (0.0, 0.0),
        grain: int = PLAIN,
        glow: float = 0.0,
        casts: bool = False,
    ) -> None:
        self.corners.extend(points)
        tag = self.label if label is None else label
        self.rows.append((len(points), tag, slot, shade, *normal, limb, *pivot, grain, glow, casts))

    def upright(self, x0: float, y0: float, x1: float, y1: float, slot: int, z: float = 0.0, **more: Any) -> None:
        """A rectangle that faces along the street."""
        self.face([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], slot, **more)

    def flat(self, points: Sequence[tuple[float, float]], slot: int, z: float = 0.0, **more: Any) -> None:
        """Any convex outline that faces along the street."""
        self.face([(x, y, z) for x, y in points], slot, **more)

    def disc(
        self, x: float, y: float, rx: float, ry: float, slot: int, z: float = 0.0, corners: int = 10, **more: Any
    ) -> None:
        self.flat([(x + rx * c, y + ry * s) for c, s in circle(corners)], slot, z, **more)

    def build(self) -> Shape:
        corners = np.array(self.corners, np.float64).reshape(-1, 3)
        table = np.array(self.rows, np.float64)
        low = corners[corners[:, 1] <= max(0.3, corners[:, 1].min())]
        (x0, _, z0), (x1, _, z1) = low.min(0), low.max(0)
        return Shape(
            corners=corners,
            counts=table[:, 0].astype(np.int64),
            label=table[:, 1].astype(np.uint8),
            slot=table[:, 2].astype(np.int64),
            shade=table[:, 3],
            normal=table[:, 4:7],
            limb=table[:, 7],
            pivot=table[:, 8:10],
            grain=table[:, 10].astype(np.uint8),
            glow=table[:, 11],
            casts=table[:, 12] > 0,
            foot=(x0 - 0.08, x1 + 0.08, z0 - 0.12, z1 + 0.12),
            reach=float(np.abs(corners).max()),
        )


def _one_face(points: Sequence[Point], normal: Point) -> Shape:
    maker = Builder(BUILDING)
    maker.face(points, 0, normal=normal, casts=True)
    return maker.build()


# The pieces of houses and fences, one metre in each direction; a thing stretches them to its size.
WALL = _one_face([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], (0, 0, -1))
ROOF = _one_face([(0, 0, 0), (1, 0, 0), (1, 1, 1), (0, 1, 1)], (0, 0.8, -0.6))
GABLE = _one_face([(0, 0, 0), (1, 0, 0), (0.5, 1, 0)], (0, 0, -1))
