"""Shapes of what stands beside the road: people, trees, poles, lamps, traffic lights, signs, rails."""

from __future__ import annotations

import functools
from typing import Any

from swath.data.streets.chance import Dice, circle
from swath.data.streets.shapes import FENCE, LEAVES, PEDESTRIAN, POLE, SIGN, TREE, Builder, Shape

# Palette slots of a pedestrian: skin, hair, top, trousers, shoes, bag.
SKIN, HAIR, TOP, LEGS, SHOES, BAG = range(6)


@functools.cache
def pedestrian(variant: int) -> Shape:
    dice = Dice("pedestrian", variant)
    wide = dice.span(0.19, 0.25)
    maker = Builder(PEDESTRIAN)
    for side, limb in ((-1.0, -1), (1.0, 1)):
        swing: dict[str, Any] = {"limb": limb, "pivot": (side * 0.06, 0.9), "shade": 0.92 + 0.08 * limb}
        leg = [(side * 0.17, 0.92), (side * 0.01, 0.92), (side * 0.04, 0.08), (side * 0.13, 0.08)]
        maker.flat(leg, LEGS, casts=True, **swing)
        maker.flat([(side * 0.02, 0.0), (side * 0.16, 0.0), (side * 0.14, 0.1), (side * 0.04, 0.1)], SHOES, **swing)
    for side, limb in ((-1.0, 1), (1.0, -1)):
        swing = {"limb": limb * 0.7, "pivot": (side * wide, 1.4), "shade": 0.8}
        x0, x1 = side * (wide - 0.03), side * (wide + 0.07)
        maker.flat([(x0, 1.42), (x1, 1.38), (x1 + side * 0.02, 0.95), (x0 + side * 0.02, 0.92)], TOP, **swing)
        maker.upright(min(x0, x1) + side * 0.02, 0.84, max(x0, x1) + side * 0.02, 0.94, SKIN, **swing)
    coat = 0.55 if variant % 4 == 0 else 0.82  # a long coat or a skirt
    flare = 0.04 if variant % 4 == 0 else 0.0
    torso = [(-0.17 - flare, coat), (0.17 + flare, coat), (0.17, 1.1), (wide, 1.4), (0.08, 1.5), (-0.08, 1.5)]
    maker.flat([*torso, (-wide, 1.4), (-0.17, 1.1)], TOP, casts=True)
    if variant % 3 == 0:
        maker.upright(-0.15, 1.0, 0.15, 1.42, BAG)
    elif variant % 3 == 1:
        maker.upright(wide, 0.62, wide + 0.2, 0.92, BAG)
    maker.upright(-0.05, 1.46, 0.05, 1.56, SKIN)
    maker.disc(0, 1.64, 0.1, 0.135, SKIN, casts=True)
    maker.flat([(-0.105, 1.64), (0.105, 1.66), (0.09, 1.75), (0.0, 1.79), (-0.09, 1.75)], HAIR)
    return maker.build()


# Palette slots of a tree: trunk, leaves in the light, leaves in the shade.
TRUNK, LIGHT, DARK = range(3)


def _blob(dice: Dice, x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    # Only a little jagged: the polygon has to stay convex enough for the filler of convex polygons.
    return [(x + rx * c * dice.span(0.86, 1.0), y + ry * s * dice.span(0.86, 1.0)) for c, s in circle(9)]


@functools.cache
def tree(variant: int) -> Shape:
    """Broad (0, 1), columnar (2), conifer (3), bare (4) about 8 m tall, or a bush (5) about 1.2 m tall."""
    kind, dice = variant % 6, Dice("tree", variant)
    maker = Builder(TREE)
    if kind == 5:
        for k in range(10):
            x, y = dice.span(-0.9, 0.9), dice.span(0.3, 0.8)
            maker.flat(_blob(dice, x, y, 0.5, 0.42), LIGHT, shade=0.55 + 0.5 * y, grain=LEAVES, casts=k < 4)
        return maker.build()
    foot = dice.span(1.6, 2.8)
    maker.flat([(-0.17, 0), (0.17, 0), (0.1, foot + 2.2), (-0.1, foot + 2.2)], TRUNK, casts=True)
    if kind == 3:
        for k in range(7):
            y, wide = 1.0 + k * 1.0, 2.1 * (1 - k / 7.6)
            for x0 in (-wide, 0.0):
                lit = 0.7 + 0.06 * k + (0.1 if x0 < 0 else -0.06)
                bough = [(x0, y - dice.span(0, 0.3)), (x0 + wide, y - dice.span(0.1, 0.3)), (0.0, y + 2.0)]
                maker.flat(bough, DARK, shade=lit, grain=LEAVES, casts=k % 2 == 0)
        return maker.build()
    if kind == 4:
        for _ in range(26):
            y, side = dice.span(foot * 0.8, foot + 2.2), dice.pick((-1.0, 1.0))
            dx, dy, thick = side * dice.span(0.5, 2.6), dice.span(1.2, 3.6), dice.span(0.03, 0.07)
            branch = [(-thick, y), (thick, y), (dx + 0.015, y + dy), (dx - 0.015, y + dy)]
            maker.flat(branch, TRUNK, shade=0.9, casts=True)
            twig = [(dx * 0.6, y + dy * 0.6 - 0.02), (dx * 0.6, y + dy * 0.6 + 0.03)]
            maker.flat([*twig, (dx * 1.3, y + dy * 0.9), (dx * 1.3, y + dy * 0.9 - 0.02)], TRUNK, shade=0.8)
        return maker.build()
    wide, tall = (1.2, 2.9) if kind == 2 else (dice.span(1.9, 2.5), dice.span(2.1, 2.6))
    middle = foot + tall * 0.9
    spots = []
    for k in range(24):
        c, s = circle(13)[k % 13]
        far = dice.span(0.25, 0.85) if k >= 13 else dice.span(0.7, 0.9)
        spots.append((c * far * wide, middle + s * far * tall, dice.span(0.28, 0.42) * wide))
    maker.flat(_blob(dice, 0, middle, wide * 0.85, tall * 0.85), DARK, grain=LEAVES, shade=0.85, casts=True)
    for k, (x, y, r) in enumerate(sorted(spots, key=lambda spot: spot[1])):
        lit = 0.62 + 0.42 * (y - middle + tall) / (2 * tall) + dice.span(-0.09, 0.09)
        slot = LIGHT if dice.chance(0.6) else DARK
        maker.flat(_blob(dice, x, y, r, r), slot, shade=lit, grain=LEAVES, casts=k % 2 == 0)
    for k in range(36):  # loose twigs at the rim, so that a crown does not end in arcs
        c, s = circle(36)[k]
        far, r = dice.span(0.84, 1.02), dice.span(0.06, 0.13) * wide
        x, y = c * far * wide, middle + s * far * tall
        maker.flat(_blob(dice, x, y, r * 1.3, r), LIGHT, shade=0.7 + 0.25 * s, grain=LEAVES)
    return maker.build()


# Palette slots of poles and signs: metal, board, mark, rim, red, amber, green.
METAL, BOARD, MARK, RIM, RED, AMBER, GREEN = range(7)


@functools.cache
def lamp(variant: int) -> Shape:
    """A street lamp whose arm reaches to +x."""
    dice = Dice("lamp", variant)
    tall, arm = dice.span(5.5, 8.5), dice.span(0.8, 2.2)
    maker = Builder(POLE)
    maker.flat([(-0.1, 0), (0.1, 0), (0.06, tall), (-0.06, tall)], METAL, casts=True)
    maker.upright(-0.15, 0, 0.15, 0.9, METAL, shade=0.9)
    if variant % 3 == 2:  # an old lantern
        maker.flat([(-0.2, tall), (0.2, tall), (0.28, tall + 0.6), (-0.28, tall + 0.6)], BOARD, glow=1.0)
        maker.flat([(-0.34, tall + 0.6), (0.34, tall + 0.6), (0.0, tall + 0.85)], METAL, casts=True)
    else:
        tip = tall + 0.35
        maker.flat([(-0.06, tall - 0.1), (0.05, tall - 0.1), (arm, tip - 0.06), (arm, tip + 0.05)], METAL, casts=True)
        maker.flat([(arm - 0.1, tip - 0.08), (arm + 0.6, tip), (arm + 0.5, tip + 0.14), (arm - 0.1, tip + 0.1)], METAL)
        maker.upright(arm, tip - 0.1, arm + 0.5, tip - 0.02, BOARD, glow=1.0)
    return maker.build()


@functools.cache
def pole(variant: int) -> Shape:
    """Wooden mast (0), bollard (1), plain post with a small box (2)."""
    kind, dice = variant % 3, Dice("pole", variant)
    maker = Builder(POLE)
    if kind == 1:
        maker.upright(-0.08, 0, 0.08, 0.95, METAL, casts=True)
        maker.upright(-0.085, 0.72, 0.085, 0.84, BOARD)
        return maker.build()
    tall = dice.span(7, 9) if kind == 0 else dice.span(3, 4)
    maker.upright(-0.11, 0, 0.11, tall, METAL, casts=True)
    if kind == 0:
        for y in (tall - 0.5, tall - 1.2):
            maker.upright(-1.0, y, 1.0, y + 0.12, METAL, shade=0.9, casts=True)
        maker.upright(0.12, tall - 2.4, 0.5, tall - 1.6, RIM)
    else:
        maker.upright(-0.2, 1.0, 0.2, 1.7, RIM)
    return maker.build()


def _head(maker: Builder, x: float, y: float, lit: int) -> None:
    """The three lamps of a traffic light."""
    maker.upright(x - 0.2, y, x + 0.2, y + 1.05, RIM, label=SIGN, casts=True)
    for k, slot in enumerate((GREEN, AMBER, RED)):
        on = k == lit
        maker.disc(x, y + 0.2 + 0.32 * k, 0.12, 0.12, slot, label=SIGN, corners=8, shade=1.0 if on else 0.3, glow=on)


@functools.cache
def traffic_light(variant: int) -> Shape:
    """A light on its post, every second one with an arm over the road to +x and a light at its end."""
    maker, lit = Builder(POLE), (0, 2, 1)[variant % 3]
    arm = variant % 2 == 1
    maker.upright(-0.08, 0, 0.08, 5.4 if arm else 3.4, METAL, casts=True)
    _head(maker, 0.0, 2.4, lit)
    if arm:
        maker.flat([(0, 5.2), (3.6, 5.45), (3.6, 5.55), (0, 5.36)], METAL, casts=True)
        _head(maker, 3.5, 4.7, lit)
    return maker.build()


@functools.cache
def sign(variant: int) -> Shape:
    """Round, triangular, square, blue disc, direction board, name board, or a hoarding, on a post."""
    kind, dice = variant % 7, Dice("sign", variant)
    tall = dice.span(2.1, 2.7)
    maker = Builder(POLE)
    maker.upright(-0.045, 0, 0.045, tall + 0.3, METAL, casts=True)
    more: dict[str, Any] = {"label": SIGN}
    if kind in (0, 3):
        maker.disc(0, tall + 0.3, 0.38, 0.38, RIM, corners=14, casts=True, **more)
        maker.disc(0, tall + 0.3, 0.29, 0.29, BOARD, corners=14, **more)
        maker.upright(-0.16, tall + 0.23, 0.16, tall + 0.37, MARK, **more)
    elif kind == 1:
        maker.flat([(-0.46, tall), (0.46, tall), (0, tall + 0.8)], RIM, casts=True, **more)
        maker.flat([(-0.3, tall + 0.09), (0.3, tall + 0.09), (0, tall + 0.61)], BOARD, **more)
        maker.upright(-0.04, tall + 0.15, 0.04, tall + 0.4, MARK, **more)
    elif kind == 6:
        maker.upright(0.9, 0, 1.02, tall, METAL, casts=True)
        maker.upright(-0.5, 1.1, 1.6, tall + 0.9, RIM, casts=True, **more)
        maker.upright(-0.42, 1.18, 1.52, tall + 0.82, BOARD, **more)
        maker.upright(-0.3, tall, 1.0, tall + 0.3, MARK, **more)
        maker.disc(0.6, tall - 0.4, 0.5, 0.35, RIM, **more)
    else:
        half, high = ((0.33, 0.66), (0.33, 0.66), (0.33, 0.5), (0, 0), (0.95, 0.7), (0.6, 0.28))[kind]
        maker.upright(-half, tall, half, tall + high, RIM, casts=True, **more)
        maker.upright(-half + 0.04, tall + 0.04, half - 0.04, tall + high - 0.04, BOARD, **more)
        maker.upright(-half * 0.6, tall + high * 0.4, half * 0.5, tall + high * 0.6, MARK, **more)
        if kind == 4:
            maker.upright(-half * 0.6, tall + high * 0.7, half * 0.3, tall + high * 0.82, MARK, **more)
    return maker.build()


@functools.cache
def rail(variant: int) -> Shape:
    """Four metres of crash barrier (0) or of a railing with a few bars (1), along +x."""
    maker = Builder(FENCE)
    if variant == 0:
        for x in (0.0, 2.0):
            maker.upright(x, 0, x + 0.1, 0.7, 1, shade=0.7)
        for y in (0.4, 0.6):
            maker.upright(0, y, 4, y + 0.14, 0, casts=True)
            maker.upright(0, y + 0.14, 4, y + 0.19, 0, shade=0.75)
    else:
        for k in range(8):
            maker.upright(k * 0.5, 0, k * 0.5 + 0.06, 1.05, 0, shade=0.9, casts=True)
        for y in (0.15, 0.95):
            maker.upright(0, y, 4, y + 0.07, 0, casts=True)
    return maker.build()
