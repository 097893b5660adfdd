"""The plan of a street: what its seed decides once for all: its kind, its cross-section, its bends, its traffic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from swath.data.streets.chance import RGB, Array, Dice

KINDS = (("downtown", 30.0), ("terrace", 26.0), ("suburb", 22.0), ("works", 9.0), ("park", 13.0))

STREET_METAL: tuple[RGB, ...] = ((70, 72, 74), (110, 112, 114), (52, 60, 55), (140, 142, 140), (95, 88, 78))


@dataclass(frozen=True)
class Lane:
    """A belt of traffic: everything on it moves at one speed, so nothing ever collides."""

    name: str
    what: str  # "car", "bicycle" or "person"
    s: float  # metres to the right of the road's middle
    speed: float  # metres a second towards +Z, negative for oncoming
    spacing: float
    density: float


def _bend(dice: Dice) -> tuple[float, float, float]:
    """How far the road swings aside, over which length, and where along it one is."""
    length = dice.span(240, 520)
    return (length * dice.span(-0.042, 0.042) if dice.chance(0.6) else 0.0), length, dice.random()


class Plan:
    def __init__(self, seed: int, index: int) -> None:
        self.key = f"street/{seed}/{index}"
        dice = Dice(self.key)
        self.kind = dice.weighted(KINDS)
        self.drive = dice.pick((-1.0, 1.0))  # which side of the road one keeps to
        self.lanes = 2 if dice.chance({"downtown": 0.4, "works": 0.4}.get(self.kind, 0.15)) else 1
        self.lane = dice.span(2.9, 3.5)
        self.parking = {side: 2.2 if dice.chance(0.65) else 0.0 for side in (-1, 1)}
        self.cycle_lane = dice.chance(0.22)
        self.sidewalk = {side: dice.span(1.8, 4.6) for side in (-1, 1)}
        self.verge = dice.span(0.8, 2.0) if self.kind in ("suburb", "park") and dice.chance(0.6) else 0.0
        self.setback = dice.span(3.0, 8.0) if self.kind in ("suburb", "park", "works") else 0.0
        self.bend = _bend(dice)
        self.crossing_period = dice.span(55, 120)
        self.crossing_phase = dice.span(0, 1)
        self.crossing_half = dice.span(3.5, 6.0)
        self.zebra = dice.chance(0.6)
        self.lamp_gap = dice.span(18, 32)
        self.lamp_sides = dice.pick(((-1,), (1,), (-1, 1)))
        self.tree_gap = dice.span(7, 16) if dice.chance(0.65) else 0.0
        self.tree_kind = dice.weighted(((0, 3.0), (1, 3.0), (2, 1.0), (3, 0.8), (4, 1.2)))
        self.leaves: RGB = dice.pick(((74, 104, 48), (92, 110, 50), (58, 88, 52), (130, 112, 44), (84, 96, 66)))
        self.barrier = dice.pick(("boards", "bars", "mesh", "hedge", "rail", "none"))
        self.metal: RGB = dice.tint(dice.pick(STREET_METAL), 8)
        self.marking = dice.weighted((("dashes", 5.0), ("solid", 2.0), ("yellow", 1.0), ("none", 1.0)))
        self.wear = dice.span(0.0, 0.75)
        self.asphalt: RGB = dice.tint(dice.pick(((88, 88, 92), (104, 102, 100), (74, 75, 80), (118, 114, 108))), 8)
        self.paving: RGB = dice.tint(dice.pick(((148, 144, 138), (128, 126, 122), (156, 138, 122), (112, 112, 114))), 8)
        self.half = {side: self.lanes * self.lane + self.parking[side] for side in (-1, 1)}
        self.speed = dice.span(4, 14) if dice.chance(0.8) else 0.0
        self.traffic = self._traffic(dice)
        self.ego_lane = self.drive * self.lane * (dice.below(self.lanes) + 0.5)
        self.camera = {
            "offset": dice.span(-0.5, 0.5),
            "height": dice.span(1.15, 1.75) if dice.chance(0.85) else dice.span(1.9, 2.6),
            "focal": dice.span(0.85, 1.25),
            "centre": dice.span(0.45, 0.55),
            "horizon": dice.span(0.36, 0.52),
            "yaw": dice.span(-0.1, 0.1),
        }

    def _traffic(self, dice: Dice) -> tuple[Lane, ...]:
        lanes: list[Lane] = []
        busy, crowd = dice.span(0.15, 0.9), dice.span(0.35, 0.95) * (1.3 if self.kind == "downtown" else 0.8)
        for k in range(self.lanes):
            s = self.drive * self.lane * (k + 0.5)
            lanes.append(Lane(f"with{k}", "car", s, self.speed, 16.0, busy))  # at the camera's own speed
            lanes.append(Lane(f"against{k}", "car", -s, -dice.span(6, 13), 20.0, busy))
        for side in (-1, 1):
            edge = side * (self.lanes * self.lane - 0.45)
            way = 1.0 if side == self.drive else -1.0
            lanes.append(Lane(f"bicycle{side}", "bicycle", edge, way * dice.span(3.0, 5.5), 16.0, dice.span(0.1, 0.5)))
            walk = side * (self.half[side] + self.verge + 0.3 * self.sidewalk[side] + 0.3)
            for way, push in ((1.0, 0.0), (-1.0, 0.7)):
                pace = way * dice.span(0.9, 1.6)
                lanes.append(Lane(f"walk{side}{way}", "person", walk + side * push, pace, 9.0, crowd * 0.6))
        return tuple(lanes)

    def line(self, side: int) -> float:
        """Where the sidewalk ends, metres from the road's middle."""
        return self.half[side] + self.verge + self.sidewalk[side]

    def middle(self, z: Array) -> Array:
        """X of the road's middle: a wave made of parabolas, which needs no sine."""
        swing, length, phase = self.bend
        turn = z * (2.0 / length) + 2.0 * phase
        half = np.floor(turn)
        turn = turn - half
        # Every other half turn swings to the other side: half - 2 floor(half / 2) is 0 or 1.
        sign = (0.5 - half + 2.0 * np.floor(half * 0.5)) * (8.0 * swing)
        result: Array = sign * turn * (1.0 - turn)
        return result

    def middle_at(self, z: float) -> tuple[float, float]:
        """X of the road's middle and its slope dX/dZ."""
        swing, length, phase = self.bend
        turn = z / length + phase
        turn -= math.floor(turn)
        if turn < 0.5:
            return swing * 16.0 * turn * (0.5 - turn), swing * 16.0 * (0.5 - 2 * turn) / length
        return swing * -16.0 * (turn - 0.5) * (1.0 - turn), swing * -16.0 * (1.5 - 2 * turn) / length

    def crossing(self, j: int) -> tuple[float, float]:
        """Where side street j begins and ends."""
        centre = (j + self.crossing_phase) * self.crossing_period
        return centre - self.crossing_half, centre + self.crossing_half

    def crossings_in(self, low: float, high: float) -> range:
        """The side streets that touch this stretch of Z."""
        period, phase = self.crossing_period, self.crossing_phase
        first = math.ceil((low - self.crossing_half) / period - phase)
        return range(first, math.floor((high + self.crossing_half) / period - phase) + 1)
