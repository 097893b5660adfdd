"""What lines a street: houses with their roofs, works, and the fences and hedges in front of them."""

from __future__ import annotations

from collections.abc import Iterator

from swath.data.streets import shapes, things
from swath.data.streets.chance import RGB, Dice, dimmed
from swath.data.streets.plan import Plan
from swath.data.streets.things import Facade, Pose, Thing

PLASTER: tuple[RGB, ...] = (
    (196, 186, 168), (178, 172, 164), (206, 198, 184), (170, 150, 128), (150, 150, 150), (186, 166, 140),
    (204, 182, 150), (140, 136, 130), (190, 176, 178), (168, 178, 180), (120, 116, 112), (214, 208, 200),
)  # fmt: skip
BRICK: tuple[RGB, ...] = ((140, 88, 70), (122, 76, 62), (158, 112, 84), (170, 140, 106), (104, 74, 66), (142, 116, 96))
ROOFS: tuple[RGB, ...] = ((112, 66, 54), (86, 62, 56), (72, 74, 80), (98, 92, 88), (58, 58, 62))
SHOPS: tuple[RGB, ...] = (
    (130, 30, 34), (28, 62, 110), (34, 84, 60), (40, 40, 44), (196, 160, 50), (214, 210, 204), (90, 60, 110),
)  # fmt: skip
FENCES: tuple[RGB, ...] = ((110, 90, 70), (88, 74, 62), (70, 78, 66), (128, 128, 126), (60, 62, 64), (150, 140, 124))


def _facade(dice: Dice, plan: Plan) -> Facade:
    brick = dice.chance({"terrace": 0.65, "suburb": 0.5, "works": 0.3}.get(plan.kind, 0.35))
    body = dice.tint(dice.pick(BRICK if brick else PLASTER), 16)
    trim = dice.tint(dice.pick(PLASTER), 10)
    ledge = dimmed(body, 0.86)
    shop = dice.tint(dice.pick(SHOPS), 10)
    frame = dice.pick(((226, 226, 222), (60, 58, 56), (120, 100, 84), (200, 198, 190)))
    door = dice.tint(dice.pick(SHOPS), 20)
    colours = (body, ledge, frame, trim, (44, 44, 48), shop, door, dice.tint(dice.pick(SHOPS), 20))
    group = {"downtown": "city", "works": "works"}.get(plan.kind, "home")
    return Facade((group, dice.below(12)), colours, dice.span(0.1, 0.6), dice.span(0.85, 1.2), dice.span(2.8, 3.6),
                  0.55 if brick else 0.28, dice.below(8) * 28)  # fmt: skip


def _height(dice: Dice, plan: Plan) -> float:
    heights = {"downtown": (10.0, 27.0), "terrace": (6.5, 12.0), "suburb": (5.0, 7.5), "works": (5.0, 11.0)}
    return dice.span(*heights.get(plan.kind, (5.0, 9.0)))


def frontage(plan: Plan, side: int, j: int, z0: float, z1: float) -> Iterator[Thing]:
    """Side `side` (-1 left, 1 right) of the street from z0 to z1."""
    dice = Dice(plan.key, "front", side, j)
    line = plan.line(side)
    z, first = z0, True
    while z < z1 - 4:
        if plan.kind in ("downtown", "terrace"):
            width, gap = dice.span(7, 18), dice.span(2, 7) if dice.chance(0.1) else 0.0
        else:
            width, gap = dice.span(9, 16) if plan.kind != "works" else dice.span(15, 40), dice.span(3, 16)
        end = min(z + width, z1)
        if plan.kind == "park" and dice.chance(0.7):
            yield from _grove(dice, plan, side, z, end)
        else:
            yield from _house(dice, plan, side, z, end, line + plan.setback * dice.span(0.8, 1.1), first)
        if gap and dice.chance(0.7):
            yield from _grove(dice, plan, side, end, min(end + gap, z1), sparse=True)
        z, first = end + gap, False
    if plan.setback and plan.barrier != "none":
        yield from _barrier(dice, plan, side, z0 + 1, z1 - 1)


def _house(dice: Dice, plan: Plan, side: int, z0: float, z1: float, s: float, corner: bool) -> Iterator[Thing]:
    facade, height = _facade(dice, plan), _height(dice, plan)
    x0, x1 = plan.middle_at(z0)[0] + side * s, plan.middle_at(z1)[0] + side * s
    low = height < 10 and plan.kind != "works"
    deep = side * (45.0 if corner and not low else dice.span(8, 12))
    front, rear = (x0, z0), (x1, z1)
    street = things.wall(rear, front, height, z1, facade) if side > 0 else things.wall(front, rear, height, z1, facade)
    ends = ((x0, z0), (x0 + deep, z0)) if side > 0 else ((x0 + deep, z0), (x0, z0))
    yield things.wall(*ends, height, z0 + 0.01, facade)
    if low and dice.chance(0.9):
        tiles, rise = dice.tint(dice.pick(ROOFS), 8), dice.span(1.8, 3.4)
        pose, (length, _, _) = street.pose, street.size
        yield Thing(shapes.ROOF, pose, (length, rise, abs(deep) / 2), (tiles,), height, z1)
        gable = things.wall(*ends, rise, z0 + 0.01, facade)
        yield Thing(shapes.GABLE, gable.pose, (abs(deep), rise, 1.0), (facade.colours[0],), height, z0 + 0.01)
    yield street
    if corner and low:
        yield from _along_side_street(dice, plan, side, x0 + deep + side * 3, z0)


def _along_side_street(dice: Dice, plan: Plan, side: int, x: float, z: float) -> Iterator[Thing]:
    """Houses that face the side street, seen through the gap."""
    for _ in range(3):
        width, height, facade = dice.span(8, 13), _height(dice, plan), _facade(dice, plan)
        ends = ((x, z), (x + width, z)) if side > 0 else ((x - width, z), (x, z))
        front = things.wall(*ends, height, z + 0.02, facade)
        tiles = (dice.tint(dice.pick(ROOFS), 8),)
        yield front
        yield Thing(shapes.ROOF, front.pose, (width, dice.span(1.8, 3.0), 5.0), tiles, height, z + 0.02)
        x += side * (width + dice.span(0, 4))


def _grove(dice: Dice, plan: Plan, side: int, z0: float, z1: float, sparse: bool = False) -> Iterator[Thing]:
    """Trees and bushes off the street."""
    z = z0 + dice.span(0, 2)
    while z < z1:
        s = side * (plan.line(side) + plan.setback * 0.3 + dice.span(1.0, 9.0))
        x, _ = plan.middle_at(z)
        bush = dice.chance(0.35)
        kind = 5 if bush else dice.weighted(((0, 3.0), (1, 3.0), (2, 0.5), (3, 1.5), (4, 0.7)))
        yield things.tree(dice, Pose(x + s, z), kind, plan.leaves, dice.span(0.9, 1.8) if bush else dice.span(0.9, 1.4))
        z += dice.span(2.5, 6.0) if sparse else dice.span(1.2, 3.5)


def _barrier(dice: Dice, plan: Plan, side: int, z0: float, z1: float) -> Iterator[Thing]:
    """A fence or a hedge along the end of the sidewalk, in short pieces so that sorting by distance holds."""
    s, height = side * (plan.line(side) + 0.1), dice.span(0.9, 1.9)
    facade = _barrier_facade(dice, plan)
    label = shapes.TREE if plan.barrier == "hedge" else shapes.FENCE
    z, opening = z0, 0.0
    while z < z1 - 3:
        if opening <= 0 and dice.chance(0.05):
            opening = 6.0
        end = z + 3.0
        if opening > 0:
            opening -= 3.0
        else:
            front, rear = (plan.middle_at(z)[0] + s, z), (plan.middle_at(end)[0] + s, end)
            ends = (rear, front) if side > 0 else (front, rear)
            yield things.wall(*ends, height, end, facade, label)
        z = end


def _barrier_facade(dice: Dice, plan: Plan) -> Facade:
    paint = dice.tint(dice.pick(FENCES), 10)
    if plan.barrier == "hedge":
        return Facade(("hedge", 0), (dimmed(plan.leaves, 0.8),) * 8, 0, 1, 3, 1.0, dice.below(200))
    style = {"boards": 0, "bars": 1, "mesh": 2, "rail": 3}[plan.barrier]
    colours = (paint, dimmed(paint, 0.7), *[dimmed(plan.leaves, 0.55)] * 6)  # what shows through is green
    return Facade(("fence", style), colours, 0, 1, 3, 0.4, 0)
