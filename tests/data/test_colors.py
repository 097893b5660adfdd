"""Colors against their definition in float64: the bytes that a training sees."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest

from swath.data import Windows, WindowSpec
from swath.data.colors import MATRIX, SHIFTS, STEPS, draw, paint, recolor

WIDE = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5}
LUMA = np.array([0.299, 0.587, 0.114])


def picture(seed: int, height: int = 37, width: int = 53) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_the_matrix(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Sums in float64, halves up, clamped."""
    real = image.astype(np.float64) @ matrix[:, :3].astype(np.float64).T + matrix[:, 3].astype(np.float64)
    return np.clip(np.floor(real + 0.5), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("names", [list(WIDE), ["brightness", "contrast"], ["brightness"], ["saturation"], ["hue"]])
def test_a_matrix_gives_the_bytes_of_its_definition(names: list[str]) -> None:
    """At all sizes: OpenCV takes many pixels at once and the last few one by one."""
    rng = np.random.default_rng(0)
    for seed in range(100):
        image = picture(seed, *rng.integers(1, 70, 2))
        colors = draw(image, WindowSpec((8, 8), **{name: WIDE[name] * (1, 0.3)[seed % 2] for name in names}), rng)
        matrix = colors[MATRIX]
        assert matrix.dtype == np.float32 and matrix.shape == (3, 4)
        assert (matrix * STEPS == np.rint(matrix * STEPS)).all()
        assert np.array_equal(paint(image, colors), by_the_matrix(image, matrix))


def test_sums_are_exact_in_float32() -> None:
    """The largest that ranges allow, in 1024ths, with room for all orders of adding: what devices count on."""
    white = np.full((8, 8, 3), 255, np.uint8)
    for seed in range(300):
        drawn = np.where(np.random.default_rng(seed).random(5) < 0.5, 0, 1 - 1e-9)
        drawn[4] = np.random.default_rng(seed).random()  # hue: any turn

        class Fixed:
            def random(self, count: int, drawn: np.ndarray = drawn) -> np.ndarray:
                return np.array([0, *drawn[1:]])

        matrix = draw(white, WindowSpec((8, 8), **WIDE), Fixed())[MATRIX]  # type: ignore[arg-type]
        assert (np.abs(matrix[:, :3]).sum(1) * 255 + np.abs(matrix[:, 3]) + 1).max() * STEPS < 2**24


def test_the_matrix_is_brightness_contrast_saturation_and_hue() -> None:
    """Each alone, as one would write it down, but for the rounding of the matrix and of the result."""
    image = picture(3, 64, 64)
    few = image[::8, ::8].reshape(-1, 3).mean(0) @ LUMA
    for seed in range(20):
        factor = 1 + (2 * np.random.default_rng(seed).random(5) - 1)[1:4] * 0.4
        grey = (image @ LUMA)[..., None]
        wanted = {
            "brightness": image * factor[0],
            "contrast": (image - few) * factor[1] + few,
            "saturation": (image - grey) * factor[2] + grey,
        }
        for name, real in wanted.items():
            got = recolor(image, WindowSpec((8, 8), **{name: 0.4}), np.random.default_rng(seed))
            off = got - np.clip(real, 0, 255)
            if name == "contrast":  # moves the middle by no more than its own brightness
                assert np.abs(off).max() < 1.2
            else:
                assert np.abs(off).max() < 0.9
    turned = recolor(image, WindowSpec((8, 8), hue=0.5), np.random.default_rng(1))
    inside = ((turned > 0) & (turned < 255)).all(2)
    assert np.abs((turned @ LUMA - image @ LUMA)[inside]).max() < 1.5  # luma stays


def test_shifts_are_those_of_hue_saturation_and_value() -> None:
    """Against Python's own conversion, in real numbers: OpenCV's hue has steps of two degrees."""
    image = picture(5, 12, 16)
    for seed in range(30):
        colors = draw(image, WindowSpec((8, 8), hsv=(30, 60, 60)), np.random.default_rng(seed))
        hue, saturation, value = colors[SHIFTS].tolist()
        wanted = np.empty(image.shape)
        for at in np.ndindex(image.shape[:2]):
            h, s, v = colorsys.rgb_to_hsv(*(image[at] / 255))
            s, v = np.clip(s + saturation / 255, 0, 1), np.clip(v + value / 255, 0, 1)
            wanted[at] = np.array(colorsys.hsv_to_rgb((h + hue / 180) % 1, s, v)) * 255
        off = np.abs(paint(image, colors) - wanted)
        assert off.mean() < 1.6 and off.max() < 7


def test_draws_are_the_same_whatever_is_done_with_them() -> None:
    """What comes after colors sees the same random numbers, and numbers are there also where nothing changes."""
    spec = WindowSpec((8, 8), jitter=0.5, hsv=(20, 30, 20), brightness=0.2)
    image, changed = picture(7), 0
    for seed in range(60):
        rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
        colors = draw(image, spec, rng)
        assert set(colors) == {SHIFTS, MATRIX}
        often, *_, again, _, _, _, _ = other.random(9)
        assert rng.random() == other.random()
        assert colors[SHIFTS].any() == (often < 0.5)
        same = np.array_equal(paint(image, colors), image)
        assert same == (often >= 0.5 and again >= 0.5)
        changed += not same
    assert 35 < changed < 55
    assert set(draw(image, WindowSpec((8, 8)), np.random.default_rng(0))) == set()


@pytest.mark.parametrize("ranges", [{"contrast": 0.5, "hue": 0.1}, {"hsv": (20, 30, 20), "contrast": 0.4}, {}])
def test_windows_that_are_not_painted_have_the_numbers(ranges: dict[str, object]) -> None:
    class One:
        card = None

        def __len__(self) -> int:
            return 1

        def size(self, index: int) -> tuple[int, int]:
            return 96, 160

        def image(self, index: int) -> np.ndarray:
            return cv2.resize(picture(11, 12, 20), (160, 96))

        def labels(self, index: int) -> np.ndarray:
            return np.zeros((96, 160), np.uint8)

    spec = WindowSpec((48, 64), blur=0.5, jitter=0.7, **ranges)  # type: ignore[arg-type]
    painted, plain = Windows(One(), spec, 3), Windows(One(), spec, 3, paint=False)
    for epoch in range(12):
        one, other = painted[epoch, 0], plain[epoch, 0]
        colors = {name: other.pop(name) for name in (SHIFTS, MATRIX) if name in other}
        assert set(one) == set(other) and len(colors) == ("hsv" in ranges) + ("contrast" in ranges)
        again = paint(np.ascontiguousarray(other["image"].transpose(1, 2, 0)), colors)
        assert np.array_equal(again.transpose(2, 0, 1), one["image"])
        assert np.array_equal(one["labels"], other["labels"])
