"""Shapes of what drives: cars, vans, buses, lorries, and people on bicycles."""

from __future__ import annotations

import functools

from swath.data.streets.chance import Dice, circle
from swath.data.streets.shapes import BICYCLIST, CAR, Builder, Point, Shape

# Palette slots of a vehicle: paint, glass, tyre, hub, rear lamp, front lamp, plate, trim, cargo.
PAINT, GLASS, TYRE, HUB, RED, LAMP, PLATE, TRIM, CARGO = range(9)

LEFT: Point = (-1, 0, 0)
RIGHT: Point = (1, 0, 0)
BACK: Point = (0, 0, -1)
FRONT: Point = (0, 0, 1)
UP: Point = (0, 1, 0)


def _wheels(maker: Builder, half: float, places: tuple[float, ...], radius: float) -> None:
    for x, normal in ((-half - 0.01, LEFT), (half + 0.01, RIGHT)):
        for z in places:
            for size, slot in ((1.15, TRIM), (1.0, TYRE), (0.58, HUB)):
                ring = [(x, radius + radius * size * s, z + radius * size * c) for c, s in circle(12)]
                maker.face(ring, slot, normal=normal, shade=0.35 if slot == TRIM else 1.0)


def _underside(maker: Builder, half: float, end: float, clear: float) -> None:
    """Dark gap between body and road, and the tyres seen from behind."""
    for z, normal in ((-end + 0.15, BACK), (end - 0.15, FRONT)):
        maker.upright(-half + 0.05, 0.1, half - 0.05, clear + 0.1, TYRE, z, normal=normal, shade=0.5)
        for x in (-half + 0.04, half - 0.26):
            maker.upright(x, 0.0, x + 0.22, clear + 0.1, TYRE, z, normal=normal)


def _ends(maker: Builder, half: float, end: float, low: float, high: float) -> None:
    """Bumper, lamps and plate at the back and at the front."""
    tall = high - low
    for z, normal, slot in ((-end - 0.01, BACK, RED), (end + 0.01, FRONT, LAMP)):
        maker.upright(-half, low, half, low + 0.28 * tall, TRIM, z, normal=normal, shade=0.9)
        for side in (-1.0, 1.0):
            x0, x1 = sorted((side * half * 0.96, side * half * 0.66))
            maker.upright(x0, low + 0.48 * tall, x1, low + 0.82 * tall, slot, z, normal=normal, glow=1.0)
        maker.upright(-0.26, low + 0.34 * tall, 0.26, low + 0.5 * tall, PLATE, z, normal=normal)
    maker.upright(-half * 0.5, low + 0.55 * tall, half * 0.5, low + 0.78 * tall, TRIM, end + 0.01, normal=FRONT)


@functools.cache
def car(variant: int) -> Shape:
    """Hatchback, saloon, estate or off-roader: a body and a narrower cabin upon it."""
    dice = Dice("car", variant)
    end = dice.span(1.85, 2.35)
    half = dice.span(0.82, 0.93)
    tall = dice.span(1.4, 1.52) + 0.28 * (variant % 4 == 3)
    low, belt = dice.span(0.24, 0.3), tall * dice.span(0.58, 0.64)
    boot = end * (0.55 if variant % 4 == 1 else dice.span(0.88, 0.95))  # saloons have a boot
    screen = end * dice.span(0.42, 0.5)  # foot of the windscreen
    top_back, top_front = boot - dice.span(0.25, 0.5), screen - dice.span(0.6, 0.85)
    top = half * dice.span(0.74, 0.82)
    maker = Builder(CAR)
    _underside(maker, half, end, low)
    nose = belt - 0.12
    side = [(low, -end), (low, end), (nose - 0.1, end), (nose, end - 0.12), (belt, screen), (belt, -end + 0.05)]
    for x, normal in ((-half, LEFT), (half, RIGHT)):
        maker.face([(x, y, z) for y, z in side], PAINT, normal=normal, casts=True)
        handle = [(x, belt * 0.86, -0.25), (x, belt * 0.86, 0.0), (x, belt * 0.9, 0.0), (x, belt * 0.9, -0.25)]
        maker.face(handle, TRIM, normal=normal)
        for door in (-0.35, screen - 0.25):
            seam = [(x, low + 0.1, door), (x, low + 0.1, door + 0.03), (x, belt, door + 0.03), (x, belt, door)]
            maker.face(seam, TRIM, normal=normal, shade=0.7)
    _wheels(maker, half, (-end * 0.62, end * 0.64), tall * 0.215)
    maker.upright(-half, low, half, belt, PAINT, -end, normal=BACK, casts=True)
    maker.upright(-half, low, half, nose, PAINT, end, normal=FRONT)
    _ends(maker, half, end, low, belt)
    maker.face([(-half, belt, screen), (half, belt, screen), (half, nose, end), (-half, nose, end)], PAINT, normal=UP)
    deck = [(-half, belt, -end), (half, belt, -end), (half, belt, screen), (-half, belt, screen)]
    maker.face(deck, PAINT, normal=UP, casts=True)

    def across(z0: float, z1: float, inset: float) -> list[Point]:
        """A sloped window or panel between belt and roof."""
        y0, y1 = belt + inset * (tall - belt), tall - inset * (tall - belt)
        p0, p1 = half - inset * 0.5, top - inset * 0.3
        return [(-p0, y0, z0), (p0, y0, z0), (p1, y1, z1), (-p1, y1, z1)]

    for sign, normal in ((-1.0, LEFT), (1.0, RIGHT)):
        panel = [(half, belt, -boot), (half, belt, screen), (top, tall, top_front), (top, tall, -top_back)]
        maker.face([(sign * x, y, z) for x, y, z in panel], PAINT, normal=(normal[0], 0.3, 0), casts=True)
        rise = tall - belt
        for z0, z1, z2, z3 in (
            (-boot + 0.18, -0.4, -0.4, -top_back + 0.06),
            (-0.32, screen - 0.16, top_front - 0.04, -0.32),
        ):
            y0, y1 = belt + 0.1 * rise, tall - 0.14 * rise
            x0, x1 = half - 0.08 * (half - top) + 0.005, top + 0.14 * (half - top) + 0.005
            pane = [(x0, y0, z0), (x0, y0, z1), (x1, y1, z2), (x1, y1, z3)]
            maker.face([(sign * x, y, z) for x, y, z in pane], GLASS, normal=(normal[0], 0.3, 0))
    for foot, head, normal in ((-boot, -top_back, (0.0, 0.3, -1.0)), (screen, top_front, (0.0, 0.3, 1.0))):
        maker.face(across(foot, head, 0.0), PAINT, normal=normal, casts=True)
        maker.face(across(foot, head, 0.12), GLASS, normal=normal)
    roof = [(-top, tall, -top_back), (top, tall, -top_back), (top, tall, top_front), (-top, tall, top_front)]
    maker.face(roof, PAINT, normal=UP, casts=True)
    return maker.build()


@functools.cache
def box(variant: int) -> Shape:
    """Van (0), bus (1) or lorry (2): boxes with windows."""
    kind, dice = variant % 3, Dice("box", variant)
    end, half, tall = ((2.5, 0.98, 2.1), (5.4, 1.25, 3.0), (3.6, 1.2, 3.2))[kind]
    end, tall = end * dice.span(0.92, 1.1), tall * dice.span(0.94, 1.08)
    low = 0.35 + 0.15 * (kind == 2)
    maker = Builder(CAR)
    _underside(maker, half, end, low)
    body = CARGO if kind == 2 else PAINT
    cab = end - 1.7 if kind == 2 else end  # where the cargo box of a lorry ends
    for x, normal in ((-half, LEFT), (half, RIGHT)):
        for z0, z1, top, slot in ((-end, cab, tall, body), (cab, end, tall * 0.8, PAINT)):
            maker.face([(x, low, z0), (x, low, z1), (x, top, z1), (x, top, z0)], slot, normal=normal, casts=True)
        rows = {0: [(end - 1.6, end - 0.5)], 1: [], 2: [(cab + 0.5, end - 0.3)]}[kind]
        if kind == 1:
            count = int(end * 1.4)
            step = (2 * end - 0.6) / count
            rows = [(-end + 0.3 + k * step, -end + 0.18 + (k + 1) * step) for k in range(count)]
        for z0, z1 in rows:
            y0, y1 = (tall * 0.45, tall * 0.82) if kind == 1 else (tall * 0.55, tall * (0.85 if kind == 0 else 0.74))
            maker.face([(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)], GLASS, normal=normal)
        stripe = tall * 0.3
        maker.face([(x, low, -end), (x, low, end), (x, stripe, end), (x, stripe, -end)], TRIM, normal=normal, shade=0.9)
    _wheels(maker, half, (-end * 0.62, end * 0.66), 0.36 if kind == 0 else 0.48)
    maker.upright(-half, low, half, tall, body, -end, normal=BACK, casts=True)
    maker.upright(-half, low, half, tall * (0.8 if kind == 2 else 1.0), PAINT, end, normal=FRONT)
    belt = 1.15 if kind == 0 else 1.3
    _ends(maker, half, end, low, belt)
    if kind != 2:
        for x0, x1 in ((-half + 0.12, -0.04), (0.04, half - 0.12)):
            maker.upright(x0, belt + 0.1, x1, tall - 0.2, GLASS, -end - 0.01, normal=BACK)
    else:
        maker.upright(-0.02, low + 0.1, 0.02, tall - 0.1, TRIM, -end - 0.01, normal=BACK)
    front_top = tall * (0.76 if kind == 2 else 0.9)
    maker.upright(-half + 0.1, tall * 0.45, half - 0.1, front_top, GLASS, end + 0.01, normal=FRONT)
    roof = [(-half, tall, -end), (half, tall, -end), (half, tall, cab), (-half, tall, cab)]
    maker.face(roof, body, normal=UP, casts=True)
    return maker.build()


# Palette slots of a cyclist: skin, helmet or hair, top, trousers, frame, tyre, bag.
SKIN, HAT, TOP, LEGS, FRAME, RUBBER, BAG = range(7)


@functools.cache
def cyclist_along(variant: int) -> Shape:
    """A person on a bicycle seen from behind or from the front."""
    dice = Dice("along", variant)
    wide = dice.span(0.2, 0.25)
    maker = Builder(BICYCLIST)
    maker.upright(-0.035, 0.0, 0.035, 0.68, RUBBER, casts=True)
    maker.upright(-0.03, 0.6, 0.03, 0.95, FRAME)
    for side, limb in ((-1.0, 1), (1.0, -1)):
        lift = 0.08 * limb
        leg = [(side * 0.06, 0.95), (side * 0.2, 0.98), (side * 0.17, 0.5 + lift), (side * 0.15, 0.22 + lift)]
        maker.flat([*leg, (side * 0.06, 0.22 + lift)], LEGS, shade=0.9 + 0.1 * limb, casts=True)
        maker.upright(side * 0.11 - 0.06, 0.14 + lift, side * 0.11 + 0.06, 0.24 + lift, RUBBER)
        arm = [(side * wide, 1.45), (side * (wide - 0.07), 1.4), (side * 0.26, 1.02), (side * 0.33, 1.05)]
        maker.flat(arm, TOP, shade=0.85)
    maker.upright(-0.3, 1.0, 0.3, 1.04, FRAME)
    torso = [(-0.15, 0.88), (0.15, 0.88), (0.2, 1.1), (wide, 1.42), (0.1, 1.52), (-0.1, 1.52), (-wide, 1.42)]
    maker.flat([*torso, (-0.2, 1.1)], TOP, casts=True)
    if dice.chance(0.5):
        maker.upright(-0.14, 1.02, 0.14, 1.4, BAG)
    maker.disc(0, 1.64, 0.095, 0.13, SKIN, casts=True)
    maker.flat([(-0.12, 1.64), (0.12, 1.64), (0.1, 1.76), (0.0, 1.8), (-0.1, 1.76)], HAT)
    return maker.build()


@functools.cache
def cyclist_across(variant: int) -> Shape:
    """A person on a bicycle seen from the side, riding to +x."""
    dice = Dice("across", variant)
    maker = Builder(BICYCLIST)
    for x in (-0.52, 0.52):
        ring = circle(14)
        for (c0, s0), (c1, s1) in zip(ring, (*ring[1:], ring[0]), strict=True):
            tread = [(x + 0.34 * c0, 0.34 + 0.34 * s0), (x + 0.34 * c1, 0.34 + 0.34 * s1)]
            maker.flat([*tread, (x + 0.29 * c1, 0.34 + 0.29 * s1), (x + 0.29 * c0, 0.34 + 0.29 * s0)], RUBBER)
    bars = [((-0.52, 0.34), (-0.2, 0.85)), ((-0.05, 0.32), (-0.2, 0.85)), ((-0.2, 0.82), (0.42, 0.85))]
    bars += [((-0.05, 0.32), (0.42, 0.85)), ((0.52, 0.34), (0.4, 1.02)), ((-0.52, 0.34), (-0.05, 0.32))]
    for (x0, y0), (x1, y1) in bars:
        maker.flat([(x0, y0 - 0.02), (x1, y1 - 0.02), (x1 + 0.03, y1 + 0.02), (x0 + 0.03, y0 + 0.02)], FRAME)
    for limb, shade in ((-1, 0.75), (1, 1.0)):
        knee, foot = (0.2, 0.68 + 0.1 * limb), (0.04, 0.24 + 0.1 * limb)
        maker.flat([(-0.26, 0.9), (-0.14, 1.02), (knee[0] + 0.06, knee[1] + 0.05), knee], LEGS, shade=shade, casts=True)
        maker.flat([knee, (knee[0] + 0.07, knee[1]), (foot[0] + 0.06, foot[1]), (foot[0] - 0.04, foot[1])], LEGS,
                   shade=shade)  # fmt: skip
        maker.upright(foot[0] - 0.06, foot[1] - 0.08, foot[0] + 0.16, foot[1] + 0.02, RUBBER)
    lean = dice.span(0.1, 0.3)
    torso = [(-0.28, 0.92), (-0.08, 0.88), (lean + 0.1, 1.3), (lean + 0.08, 1.46), (lean - 0.12, 1.46)]
    maker.flat(torso, TOP, casts=True)
    maker.flat([(lean - 0.02, 1.42), (lean + 0.08, 1.38), (0.46, 1.06), (0.4, 1.0)], TOP, shade=0.85)
    maker.disc(lean + 0.08, 1.6, 0.1, 0.13, SKIN, casts=True)
    maker.flat([(lean - 0.05, 1.6), (lean + 0.19, 1.64), (lean + 0.15, 1.74), (lean + 0.02, 1.75)], HAT)
    return maker.build()
