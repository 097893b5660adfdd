"""The camera: a pinhole that looks along the street, with its horizon moved by a shifted lens.

The world has X to the right, Y up, Z along the street, in metres. The lens is shifted instead of pitched, so the
depth of flat ground depends on the row only and that of an upright wall on the column only.
"""

from __future__ import annotations

from dataclasses import dataclass

from swath.data.streets.chance import Array

NEAR = 0.4  # metres; nothing nearer than this is painted


@dataclass(frozen=True)
class Camera:
    height: int  # of the picture, in pixels
    width: int
    x: float  # where the camera stands, in metres
    y: float
    z: float
    sine: float  # of its heading, measured from +Z to +X
    cosine: float
    focal: float  # in pixels
    cx: float
    cy: float  # the horizon's row

    def to_camera(self, x: Array, z: Array) -> tuple[Array, Array]:
        """World X and Z -> sideways and forward."""
        dx, dz = x - self.x, z - self.z
        return dx * self.cosine - dz * self.sine, dx * self.sine + dz * self.cosine

    def to_world(self, side: Array, ahead: Array) -> tuple[Array, Array]:
        return (
            self.x + side * self.cosine + ahead * self.sine,
            self.z - side * self.sine + ahead * self.cosine,
        )

    def to_picture(self, side: Array, y: Array, ahead: Array) -> tuple[Array, Array]:
        """Sideways, height above ground and forward -> column and row."""
        return self.cx + self.focal * side / ahead, self.cy + self.focal * (self.y - y) / ahead
