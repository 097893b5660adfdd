"""Things: a shape, where it stands, how it is stretched and coloured; and how a kind of thing is made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swath.data.streets import furniture, shapes, vehicles
from swath.data.streets.chance import RGB, Dice, dimmed

CAR_PAINTS: tuple[RGB, ...] = (
    (200, 202, 204), (228, 228, 226), (30, 31, 34), (62, 65, 70), (116, 120, 124), (150, 154, 158),
    (128, 26, 28), (36, 56, 108), (50, 78, 68), (150, 128, 96), (186, 150, 40), (70, 100, 140),
)  # fmt: skip
CLOTHES: tuple[RGB, ...] = (
    (42, 44, 50), (60, 62, 68), (88, 84, 80), (110, 104, 96), (52, 62, 84), (96, 52, 50), (130, 128, 122),
    (58, 74, 58), (140, 60, 40), (176, 172, 164), (70, 58, 48), (60, 90, 130), (190, 170, 60), (150, 40, 60),
)  # fmt: skip
SKINS: tuple[RGB, ...] = ((222, 178, 150), (196, 148, 118), (150, 106, 80), (96, 66, 50))
HAIRS: tuple[RGB, ...] = ((40, 30, 24), (24, 22, 22), (96, 70, 44), (150, 146, 140), (170, 134, 84))


@dataclass(frozen=True)
class Pose:
    """Where a thing stands, which way its +z looks, and how far its limbs have swung (a sine)."""

    x: float
    z: float
    sine: float = 0.0
    cosine: float = 1.0
    swing: float = 0.0


@dataclass(frozen=True)
class Facade:
    """What is painted upon a wall."""

    pattern: tuple[str, int]  # which family of patterns, and which of it
    colours: tuple[RGB, ...]  # of the pattern's codes 0..7
    lit: float  # share of windows that are lit at night
    stretch: float  # how wide a bay is
    storey: float  # metres
    rough: float  # how strongly the noise shows
    offset: int  # at which texel the pattern begins


@dataclass(frozen=True)
class Thing:
    shape: shapes.Shape
    pose: Pose
    size: tuple[float, float, float]
    palette: tuple[RGB, ...]
    y: float = 0.0
    depth: float | None = None  # Z by which it is sorted, when it is not that of its foot
    facade: Facade | None = None
    label: int | None = None  # instead of the shape's own
    later: Pose | None = None  # where it is in the next frame, for what moves by itself

    def at(self, pose: Pose, later: Pose | None) -> Thing:
        return replace(self, pose=pose, later=later)


def person(dice: Dice, pose: Pose) -> Thing:
    tall = dice.span(0.86, 1.08) * (0.68 if dice.chance(0.08) else 1.0)
    palette = (
        dice.pick(SKINS), dice.pick(HAIRS), dice.tint(dice.pick(CLOTHES)), dice.tint(dice.pick(CLOTHES[:8]), 8),
        dice.pick(CLOTHES[:4]), dice.tint(dice.pick(CLOTHES)),
    )  # fmt: skip
    mirror = dice.pick((-1.0, 1.0))
    return Thing(furniture.pedestrian(dice.below(12)), pose, (mirror * tall * 1.05, tall, 1.0), palette)


def rider(dice: Dice, pose: Pose, across: int = 0) -> Thing:
    tall = dice.span(0.92, 1.06)
    hat = dice.pick(HAIRS) if dice.chance(0.5) else dice.tint(dice.pick(((220, 220, 215), (160, 30, 30), (30, 32, 40))))
    palette = (
        dice.pick(SKINS), hat, dice.tint(dice.pick(CLOTHES)), dice.tint(dice.pick(CLOTHES[:8]), 8),
        dice.tint(dice.pick(CAR_PAINTS)), (28, 28, 30), dice.tint(dice.pick(CLOTHES)),
    )  # fmt: skip
    if across:
        return Thing(vehicles.cyclist_across(dice.below(5)), pose, (across * tall, tall, 1.0), palette)
    return Thing(vehicles.cyclist_along(dice.below(6)), pose, (tall, tall, 1.0), palette)


def vehicle(dice: Dice, pose: Pose, *, big: float = 0.14) -> Thing:
    paint = dice.tint(dice.pick(CAR_PAINTS), 10)
    cargo = dice.tint(dice.pick(((222, 220, 214), (90, 110, 140), (170, 160, 140), (160, 60, 50))))
    trim = (36.0, 36.0, 38.0) if dice.chance(0.6) else dimmed(paint, 0.75)
    plate = dice.pick(((226, 226, 220), (214, 190, 60)))
    palette = (paint, (30, 36, 42), (20, 20, 22), dice.pick(((120, 122, 124), (70, 72, 74))), (150, 22, 20),
               (214, 214, 200), plate, trim, cargo)  # fmt: skip
    shape = vehicles.box(dice.below(6)) if dice.chance(big) else vehicles.car(dice.below(16))
    return Thing(shape, pose, (1.0, 1.0, 1.0), palette)


def tree(dice: Dice, pose: Pose, kind: int, leaves: RGB, scale: float = 1.0) -> Thing:
    light = dice.tint(leaves, 12)
    dark = dimmed(light, 0.72)
    tall, wide = scale * dice.span(0.75, 1.35), scale * dice.span(0.8, 1.3) * dice.pick((-1.0, 1.0))
    trunk = dice.tint(dice.pick(((74, 62, 52), (96, 88, 78), (58, 50, 46))), 8)
    return Thing(furniture.tree(kind + 6 * dice.below(5)), pose, (wide, tall, 1.0), (trunk, light, dark))


def post(dice: Dice, shape: shapes.Shape, pose: Pose, metal: RGB, mirror: float = 1.0) -> Thing:
    """Anything on a pole: its colours cover lamps, lights and signs alike."""
    face = dice.pick(((228, 226, 220), (24, 60, 140), (30, 96, 60), (222, 190, 50), (228, 226, 220)))
    rim = dice.pick(((168, 24, 28), (40, 42, 44), (24, 60, 140), (190, 190, 186)))
    mark = dice.pick(((30, 30, 32), (220, 220, 216), (168, 30, 30)))
    palette = (metal, face, mark, rim, (230, 40, 30), (240, 170, 40), (50, 210, 110))
    scale = dice.span(0.92, 1.12)
    return Thing(shape, pose, (mirror * scale, scale, 1.0), palette)


def wall(
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    depth: float,
    facade: Facade,
    label: int = shapes.BUILDING,
) -> Thing:
    """An upright wall from left to right as its front is seen."""
    dx, dz = end[0] - start[0], end[1] - start[1]
    length = (dx * dx + dz * dz) ** 0.5
    pose = Pose(start[0], start[1], -dz / length, dx / length)
    size = (length, height, 1.0)
    return Thing(shapes.WALL, pose, size, (facade.colours[0],), 0.0, depth, facade, label)
