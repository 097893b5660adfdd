"""The world: an endless street, built stretch by stretch as it comes into view, and what moves in it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from swath.data.streets import furniture, things
from swath.data.streets.camera import Camera
from swath.data.streets.chance import Dice, direction
from swath.data.streets.frontage import frontage
from swath.data.streets.plan import Lane, Plan
from swath.data.streets.things import Pose, Thing

BEHIND, AHEAD = 14.0, 200.0  # metres of street around the camera
FAR = {"car": 130.0, "bicycle": 85.0, "person": 75.0, "kerb": 105.0}


class World:
    """One street. `things(t)` is what stands and moves around the camera at a time; `camera(t)` is the camera."""

    def __init__(self, seed: int, index: int) -> None:
        self.plan = Plan(seed, index)
        self._fronts: dict[int, list[Thing]] = {}
        self._kerbs: dict[int, list[Thing]] = {}

    def camera(self, time: float, size: tuple[int, int]) -> Camera:
        height, width = size
        plan, lens = self.plan, self.plan.camera
        z = plan.speed * time
        x, slope = plan.middle_at(z)
        # A slow weave within the lane, made of parabolas.
        turn = time * 0.21
        turn -= math.floor(turn)
        weave = 4.0 * turn * (0.5 - turn) if turn < 0.5 else -4.0 * (turn - 0.5) * (1.0 - turn)
        sine, cosine = direction(slope + lens["yaw"] + 0.02 * weave)
        return Camera(
            height, width,
            x + plan.ego_lane + lens["offset"] + 0.3 * weave, lens["height"], z, sine, cosine,
            lens["focal"] * 0.5 * (height + width), lens["centre"] * (width - 1), lens["horizon"] * (height - 1),
        )  # fmt: skip

    def things(self, time: float, step: float) -> list[Thing]:
        """All things around the camera, farthest first; what moves knows where it is `step` seconds later."""
        plan = self.plan
        here = plan.speed * time
        low, high = here - BEHIND, here + AHEAD
        found: list[tuple[float, Thing]] = []
        for j in range(plan.crossings_in(low, high).start - 1, plan.crossings_in(low, high).stop):
            if j not in self._fronts:
                self._fronts[j] = self._front(j)
            still = self._fronts[j]
            if plan.crossing(j)[1] < here + FAR["kerb"]:
                if j not in self._kerbs:
                    self._kerbs[j] = self._kerb(j)
                still = still + self._kerbs[j]
            found += [(t.pose.z if t.depth is None else t.depth, t) for t in still]
        for lane in plan.traffic:
            found += [(t.pose.z, t) for t in self._belt(lane, time, step, here)]
        for j in plan.crossings_in(here, here + 80):
            found += [(t.pose.z, t) for t in self._people_crossing(j, time, step)]
        found = [(z, thing) for z, thing in found if low < z < high]
        found.sort(key=lambda pair: -pair[0])
        return [thing for _, thing in found]

    def _front(self, j: int) -> list[Thing]:
        """What lines the street from the end of side street j to the beginning of the next one."""
        z0, z1 = self.plan.crossing(j)[1], self.plan.crossing(j + 1)[0]
        return [thing for side in (-1, 1) for thing in frontage(self.plan, side, j, z0, z1)]

    def _kerb(self, j: int) -> list[Thing]:
        """What stands still on the road and the sidewalks there, and at the next side street."""
        plan = self.plan
        made: list[Thing] = []
        z0, z1 = plan.crossing(j)[1], plan.crossing(j + 1)[0]
        for side in (-1, 1):
            made += self._kerbside(side, j, z0, z1)
            made += self._parked(side, j, z0, z1)
        made += self._side_street(j, z1, plan.crossing(j + 1)[1])
        return made

    def _beside(self, s: float, z: float, turned: bool = False, slope: float = 0.0) -> Pose:
        """A pose s metres right of the road's middle; `turned` faces the other way along the road."""
        x, bend = self.plan.middle_at(z)
        sine, cosine = direction(bend + slope)
        return Pose(x + s, z, -sine if turned else sine, -cosine if turned else cosine)

    def _kerbside(self, side: int, j: int, z0: float, z1: float) -> Iterator[Thing]:
        plan, dice = self.plan, Dice(self.plan.key, "kerb", side, j)
        edge = side * (plan.half[side] + 0.5)
        if side in plan.lamp_sides:
            style, phase = Dice(plan.key, "lamp", side).below(6), dice.span(2, plan.lamp_gap)
            for k in range(int((z1 - z0 - phase) / plan.lamp_gap) + 1):
                pose = self._beside(edge, z0 + phase + k * plan.lamp_gap)
                yield things.post(Dice(plan.key, "lamp"), furniture.lamp(style), pose, plan.metal, -side)
        if plan.tree_gap:
            z = z0 + dice.span(2, plan.tree_gap)
            while z < z1 - 2:
                if dice.chance(0.8):
                    spot = self._beside(edge + side * dice.span(0.1, 0.5), z)
                    yield things.tree(dice, spot, plan.tree_kind, plan.leaves, 0.9)
                z += plan.tree_gap * dice.span(0.8, 1.3)
        z = z0 + dice.span(1, 8)
        while z < z1:
            s = edge + side * dice.span(0.0, 0.3)
            what = dice.weighted((("sign", 4.0), ("pole", 2.0), ("bollards", 1.0), ("people", 2.5), ("bicycle", 0.7)))
            if what == "sign":
                board, mirror = furniture.sign(dice.below(21)), dice.pick((-1.0, 1.0))
                yield things.post(dice, board, self._beside(s, z), plan.metal, mirror)
            elif what == "pole":
                mast, paint = furniture.pole(dice.pick((0, 2, 2))), dice.pick(((98.0, 84.0, 70.0), plan.metal))
                yield things.post(dice, mast, self._beside(s, z), paint)
            elif what == "bollards":
                for k in range(5):
                    spot = self._beside(s, z + 1.6 * k)
                    yield things.post(Dice(plan.key, "bollard"), furniture.pole(1), spot, plan.metal)
            elif what == "bicycle":
                yield things.rider(dice, self._beside(s + side * 0.8, z), dice.pick((-1, 1)))
            else:
                for k in range(1 + dice.below(4)):
                    spot = self._beside(s + side * dice.span(0.4, 1.8), z + 0.5 * k)
                    yield things.person(dice, spot)
            z += dice.span(4, 16)
        if dice.chance(0.3):  # a barrier between road and sidewalk
            style, start = dice.below(2), dice.span(z0, max(z0 + 1, z1 - 30))
            paint = dice.pick((plan.metal, (150, 152, 152), (60, 62, 60)))
            for k in range(3 + dice.below(6)):
                z = start + 4 * k
                x, slope = plan.middle_at(z)
                sine, cosine = direction(slope)
                pose = Pose(x + side * (plan.half[side] + 0.25), z, -cosine, sine)  # its +x runs along the road
                if z + 4 < z1:
                    yield Thing(furniture.rail(style), pose, (1, 1, 1), (paint, plan.metal), 0.0, z + 4)

    def _parked(self, side: int, j: int, z0: float, z1: float) -> Iterator[Thing]:
        plan, dice = self.plan, Dice(self.plan.key, "parked", side, j)
        if not plan.parking[side]:
            return
        full, z = dice.span(0.35, 0.95), z0 + 7
        while z < z1 - 6:
            if dice.chance(full):
                s = side * (plan.half[side] - 1.05 + dice.span(-0.12, 0.08))
                turned = (side == plan.drive) == dice.chance(0.1)
                yield things.vehicle(dice, self._beside(s, z, turned, dice.span(-0.03, 0.03)), big=0.07)
            z += dice.span(5.2, 6.2)

    def _side_street(self, j: int, z0: float, z1: float) -> Iterator[Thing]:
        """What stands at the side street from z0 to z1: lights, and vehicles that wait in it."""
        plan, dice = self.plan, Dice(self.plan.key, "crossing", j)
        lights = dice.chance({"downtown": 0.8, "terrace": 0.5}.get(plan.kind, 0.35))
        for side in (-1, 1):
            if lights:
                spot = self._beside(side * (plan.half[side] + 0.45), z0 - 1.2)
                yield things.post(dice, furniture.traffic_light(dice.below(6)), spot, plan.metal, -side)
            for k in range(2):
                if dice.chance(0.45):
                    x, _ = plan.middle_at(z0)
                    lane = (z0 + z1) / 2 + plan.drive * side * (z1 - z0) * 0.24
                    spot = Pose(x + side * (plan.half[side] + 5.5 + 7 * k), lane, float(-side), 0.0)
                    yield things.vehicle(dice, spot, big=0.12)
            if dice.chance(0.2):
                yield things.rider(dice, self._beside(side * (plan.half[side] + 2), z0 + 1.0), -side)

    def _belt(self, lane: Lane, time: float, step: float, here: float) -> Iterator[Thing]:
        shift = lane.speed * time
        low, high = here - 6 - shift, here + FAR[lane.what] - shift
        for slot in range(math.floor(low / lane.spacing), math.ceil(high / lane.spacing)):
            dice = Dice(self.plan.key, lane.name, slot)
            if not dice.chance(lane.density):
                continue
            start = (slot + dice.span(0.3, 0.7)) * lane.spacing
            s, turned = lane.s, lane.speed < 0
            if lane.what == "car":
                # The camera's own place on its belt stays free.
                if abs(lane.s - self.plan.ego_lane) < 1.5 and -6 < start < 12:
                    continue
                thing = things.vehicle(dice, Pose(0, 0))
                s += dice.span(-0.25, 0.25)
            elif lane.what == "bicycle":
                thing = things.rider(dice, Pose(0, 0))
            else:
                thing = things.person(dice, Pose(0, 0))
                s += dice.span(-0.35, 0.35)
                turned = False  # a flat figure: it must not show a mirrored back
            phase = dice.random()
            pose = self._walking(s, start + lane.speed * time, turned, phase, time, 0.16)
            later = self._walking(s, start + lane.speed * (time + step), turned, phase, time + step, 0.16)
            yield thing.at(pose, later if lane.speed else None)

    def _walking(self, s: float, z: float, turned: bool, phase: float, time: float, reach: float) -> Pose:
        pose = self._beside(s, z, turned)
        turn = time * 0.95 + phase
        turn -= math.floor(turn)
        swing = reach * (4 * turn - 1 if turn < 0.5 else 3 - 4 * turn)
        return Pose(pose.x, pose.z, pose.sine, pose.cosine, swing)

    def _people_crossing(self, j: int, time: float, step: float) -> Iterator[Thing]:
        """People, and now and then a cyclist, who cross the road just before side street j, back and forth."""
        plan, dice = self.plan, Dice(self.plan.key, "walkers", j)
        z0 = plan.crossing(j)[0] - 3.5
        for _ in range(dice.weighted(((0, 2.0), (1, 2.0), (2, 2.0), (4, 1.0)))):
            z, pace, phase = z0 + dice.span(-1.0, 1.0), dice.span(0.9, 1.6), dice.random()
            mounted = dice.chance(0.25)
            pace *= 2.5 if mounted else 1.0
            low, high = -plan.half[-1] - 1.2, plan.half[1] + 1.2
            period = 2 * (high - low) / pace

            def spot(when: float) -> tuple[float, bool]:
                turn = when / period + phase  # noqa: B023 - called within this turn of the loop only
                turn -= math.floor(turn)
                there = turn < 0.5
                part = 2 * turn if there else 2 - 2 * turn
                return low + (high - low) * part, there  # noqa: B023

            s, there = spot(time)
            s_later, _ = spot(time + step)
            maker = things.rider(dice, Pose(0, 0), 1 if there else -1) if mounted else things.person(dice, Pose(0, 0))
            pose = self._walking(s, z, False, phase, time, 0.0 if mounted else 0.4)
            later = self._walking(s_later, z, False, phase, time + step, 0.0 if mounted else 0.4)
            yield maker.at(pose, later)
