"""What windows can draw beside their place: each as asked, and nothing at all while it is off."""

from __future__ import annotations

import math
from dataclasses import fields

import cv2
import numpy as np
import pytest

from swath import SwathError
from swath.data import Windows, WindowSpec
from swath.data.colors import recolor
from swath.data.windows import place


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shown(where, axis: str) -> float:
    """How many times larger the picture is shown along an axis."""
    part, size = (where.rows, where.height) if axis == "down" else (where.columns, where.width)
    return size / (part.stop - part.start)


def test_what_is_off_draws_nothing() -> None:
    spec = WindowSpec((32, 48), brightness=0.2)
    generator, other = rng(1), rng(1)
    place(100, 150, spec, generator)
    other.random(4)
    assert generator.random() == other.random()
    recolor(np.zeros((32, 48, 3), np.uint8), spec, generator)
    other.random(5)
    assert generator.random() == other.random()
    assert all(field.default is not None or field.name in ("short_side", "resize", "long_side", "least_side", "area")
               for field in fields(WindowSpec) if field.name != "size")  # fmt: skip


def test_scale_one_is_the_size_that_is_asked_for() -> None:
    for height, width in ((400, 900), (900, 400)):
        long = place(height, width, WindowSpec((50, 50), scale=(1, 1), long_side=450), rng())
        assert shown(long, "down") == pytest.approx(0.5, rel=0.02)
        exact = place(height, width, WindowSpec((60, 60), scale=(1, 1), resize=(60, 60)), rng())
        assert (exact.rows, exact.columns) == (slice(0, height), slice(0, width))
    least = [place(100, 200, WindowSpec((32, 32), scale=(0.1, 2), least_side=60), rng(s)) for s in range(300)]
    factors = [shown(where, "down") for where in least]
    assert 0.58 < min(factors) < 0.62 and max(factors) > 1.8


def test_axes_have_scales_of_their_own_as_often_as_asked() -> None:
    spec = WindowSpec((64, 64), scale=(1, 2), scale_axes=True, scale_often=0.5)
    places = [place(640, 640, spec, rng(s)) for s in range(2000)]
    pairs = np.array([(shown(where, "down"), shown(where, "across")) for where in places])
    plain = (pairs == 1).all(1)
    assert abs(plain.mean() - 0.5) < 0.04
    drawn = pairs[~plain]
    assert abs(drawn.mean() - 1.5) < 0.03 and abs(np.corrcoef(drawn.T)[0, 1]) < 0.08


def test_a_part_of_the_area() -> None:
    spec = WindowSpec((32, 32), area=(0.45, 1.0), aspect=(0.5, 2.0))
    shares = []
    for seed in range(200):
        where = place(100, 150, spec, rng(seed))
        height, width = (part.stop - part.start for part in (where.rows, where.columns))
        shares.append(height * width / 15000)
        assert 0.49 <= width / height <= 2.05
        assert (where.height, where.width, where.top, where.left) == (32, 32, 0, 0)
        assert where.rows.start >= 0 and where.rows.stop <= 100 and where.columns.stop <= 150
    assert np.mean(np.array(shares) < 0.44) < 0.02  # those of which ten tries fitted nowhere
    assert max(shares) > 0.9


@pytest.mark.parametrize(("pad", "corner"), [("around", (22, 9)), ("after", (0, 0))])
def test_small_pictures_lie_where_they_should(pad: str, corner: tuple[int, int]) -> None:
    spec = WindowSpec((64, 48), scale=(1, 1), pad=pad)
    assert {(w.top, w.left) for w in (place(20, 30, spec, rng(s)) for s in range(20))} == {corner}


def test_a_turned_window_shows_what_lies_there() -> None:
    """Against the whole picture turned by its own formula: each pixel of the window is that of its place."""
    y, x = np.mgrid[:200, :300].astype(np.float32)
    picture = np.stack([x * 0.8, y, np.zeros_like(x)], 2).astype(np.uint8)
    labels = (x // 20 + 15 * (y // 20)).astype(np.uint8)
    spec = WindowSpec((60, 90), scale=(0.7, 1.5), flip=0.5, rotate=30)
    angles = []
    for seed in range(60):
        where = place(200, 300, spec, rng(seed))
        angles.append(where.angle)
        image, truth = where.image(picture, (0, 0, 255)), where.labels(labels)
        if where.mirrored:
            image, truth = image[:, ::-1], truth[:, ::-1]
        turn = math.radians(where.angle)
        rows, columns = np.mgrid[:60, :90].astype(float)
        off_y, off_x = rows - 29.5, columns - 44.5  # back by the angle; y points down
        level_x = math.cos(turn) * off_x - math.sin(turn) * off_y + 44.5
        level_y = math.sin(turn) * off_x + math.cos(turn) * off_y + 29.5
        at_x = where.columns.start + (level_x - where.left + 0.5) / shown(where, "across") - 0.5
        at_y = where.rows.start + (level_y - where.top + 0.5) / shown(where, "down") - 0.5
        inside = (at_x > 1) & (at_x < 298) & (at_y > 1) & (at_y < 198)
        assert (image[inside][:, 2] <= 60).all() and (truth[inside] != 255).all()
        sure = inside & (image[..., 2] == 0)
        assert np.abs(image[sure][:, 1] - at_y[sure]).max() < 2.5
        assert np.abs(image[sure][:, 0] - 0.8 * at_x[sure]).max() < 2.5
        beyond = (at_x < -2) | (at_x > 301) | (at_y < -2) | (at_y > 201)
        assert (truth[beyond] == 255).all() and (image[beyond] == (0, 0, 255)).all()
    assert min(angles) < -20 and max(angles) > 20
    often = WindowSpec((60, 90), rotate=5, rotate_often=0.5)
    assert abs(np.mean([place(200, 300, often, rng(s)).angle == 0 for s in range(1000)]) - 0.5) < 0.05


def test_flow_turns_with_the_picture() -> None:
    flow = np.zeros((200, 200, 3), np.float32)
    flow[..., 0], flow[..., 2] = 1, 5  # to the right everywhere, and a confidence
    spec = WindowSpec((40, 40), scale=(1, 1), flip=0, rotate=45)
    where = place(200, 200, spec, rng(3))
    middle = where.flow(flow)[20, 20]
    turn = math.radians(where.angle)  # counter-clockwise: to the right becomes up where it is positive
    assert middle == pytest.approx([math.cos(turn), -math.sin(turn), 5], abs=1e-3)
    depth = np.full((200, 200), 2, np.float32)
    assert set(np.unique(where.depth(depth))) <= {0, np.float32(2 / where.scale)}


def test_blur_is_drawn_as_often_as_asked() -> None:
    picture = rng(4).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    same = [(recolor(picture, WindowSpec((40, 40), blur=0.5, blur_radius=(1, 2)), rng(s)) == picture).all()
            for s in range(400)]  # fmt: skip
    assert abs(np.mean(same) - 0.5) < 0.08
    strong = recolor(picture, WindowSpec((40, 40), blur=1, blur_radius=(2, 2)), rng())
    assert np.array_equal(strong, cv2.GaussianBlur(picture, (0, 0), 2.0))


def test_hue_saturation_and_value_are_shifted() -> None:
    red = np.full((4, 4, 3), (200, 100, 100), np.uint8)
    for name, hsv in (("hue", (60, 0, 0)), ("saturation", (0, 40, 0)), ("value", (0, 0, 40))):
        spec = WindowSpec((4, 4), hsv=hsv)
        got = np.array([cv2.cvtColor(recolor(red, spec, rng(s)), cv2.COLOR_RGB2HSV)[0, 0] for s in range(300)], int)
        wanted = cv2.cvtColor(red, cv2.COLOR_RGB2HSV)[0, 0].astype(int)
        moved = got - wanted
        moved[:, 0] = (moved[:, 0] + 90) % 180 - 90
        for plane, (each, most) in enumerate(zip(("hue", "saturation", "value"), hsv)):
            reached = np.abs(moved[:, plane]).max()
            assert reached <= most + 2 and (reached > 0.9 * most if each == name else True)
    often = [(recolor(red, WindowSpec((4, 4), hsv=(0, 0, 50), jitter=0.5), rng(s)) == red).all() for s in range(400)]
    assert abs(np.mean(often) - 0.5) < 0.09


def test_windows_full_of_one_class_are_drawn_again() -> None:
    class Half:
        card = None

        def __len__(self) -> int:
            return 1

        def name(self, index: int) -> str:
            return "half"

        def size(self, index: int) -> tuple[int, int]:
            return 200, 200

        def image(self, index: int) -> np.ndarray:
            return np.zeros((200, 200, 3), np.uint8)

        def labels(self, index: int) -> np.ndarray:
            labels = np.zeros((200, 200), np.uint8)
            labels[:, 150:] = 1
            return labels

    def share(most: float) -> float:
        windows = Windows(Half(), WindowSpec((40, 40), scale=(1, 1), most_of_one=most))
        full = [np.bincount(windows[epoch, 0]["labels"].ravel()).max() == 1600 for epoch in range(60)]
        return float(np.mean(full))

    assert share(1.0) > 0.6 and share(0.75) < 0.4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rotate": 100}, "rotate"),
        ({"area": (0, 1)}, "area"),
        ({"area": (0.5, 1), "short_side": 4}, "short_side and area"),
        ({"hsv": (100, 0, 0)}, "hsv"),
        ({"blur": 2}, "blur"),
        ({"aspect": (2, 1)}, "aspect"),
        ({"least_side": 0}, "least_side"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SwathError, match=said):
        WindowSpec((4, 4), **wrong)
