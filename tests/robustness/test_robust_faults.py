"""Spoiled pictures: the same for the same names, worse for a higher severity, and what the physics says."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import cv2
import numpy as np
import pytest

import tiny
from swath import SwathError
from swath.robustness import FAULTS, SEVERITIES, corrupt, scene
from swath.robustness.camera import defocus, motion
from swath.robustness.light import as_bytes, light, noisy, photon_quantiles, to_bytes, to_light
from swath.robustness.scene import Falling, distances, focal

RANDOM = [name for name in FAULTS if name not in ("defocus", "jpeg", "overexposure", "underexposure")]


def rng() -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(1))


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    """Sky above, road below, houses with edges between."""
    image = np.full((120, 200, 3), (190, 205, 220), np.uint8)
    image[50:] = (90, 90, 95)
    image[20:70, :60], image[30:65, 150:] = (140, 80, 60), (60, 110, 60)
    image[60:80, 90:120] = (30, 30, 160)
    return np.clip(image.astype(int) + tiny.picture(3, 120, 200) // 8, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_names_give_the_same_picture(street: np.ndarray, fault: str) -> None:
    first = corrupt(street, fault, 3, seed=1, name="a/b.png")
    np.random.default_rng(0).random(9)
    np.random.seed(3)
    cv2.setRNGSeed(5)
    assert np.array_equal(first, corrupt(street.copy(), fault, 3, seed=1, name="a/b.png"))
    for other in ({"seed": 2, "name": "a/b.png"}, {"seed": 1, "name": "a/c.png"}):
        assert np.array_equal(first, corrupt(street, fault, 3, **other)) != (fault in RANDOM)


def test_random_bits_are_those_of_every_machine(street: np.ndarray) -> None:
    """What is computed by tables of whole numbers alone may be held to the byte."""
    flat = np.repeat(np.arange(0, 256, 2, dtype=np.uint8), 96).reshape(64, 64, 3)
    spoiled = corrupt(flat, "gaussian-noise", 2, seed=7, name="x")
    assert hashlib.sha256(spoiled.tobytes()).hexdigest()[:16] == "689fd58706c5d7e0"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (300, 2), (37, 61)])
def test_any_size(fault: str, size: tuple[int, int]) -> None:
    image = tiny.picture(1, *size)
    kept = image.copy()
    for severity in (1, 5):
        for given in (image, np.asfortranarray(image)):
            spoiled = corrupt(given, fault, severity)
            assert spoiled.shape == image.shape and spoiled.dtype == np.uint8
    assert np.array_equal(image, kept)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_severity_is_worse_than_the_one_before(street: np.ndarray, fault: str) -> None:
    changes = [
        np.mean([np.abs(corrupt(street, fault, s, name=str(k)).astype(int) - street).mean() for k in range(4)])
        for s in SEVERITIES
    ]
    assert all(more > 1.02 * less for less, more in pairwise(changes)), changes
    assert changes[0] > 0.1, "the least of them does something"


def test_fog_takes_contrast_by_measured_distance() -> None:
    """Koschmieder: of a black and a white field at some metres, exp(-3 metres / sight) of the difference is left."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 40:] = 255
    for metres in (20.0, 60.0):
        foggy = corrupt(image, "fog", 3, depth=np.full((60, 80), metres, np.float32))
        left = light()[foggy[:, 60:]].mean() - light()[foggy[:, :20]].mean()
        assert left == pytest.approx(np.exp(-3 * metres / 150), abs=0.06)


def test_distances_are_measured_ones_where_there_are_any() -> None:
    depth = np.full((40, 60), 7.0, np.float32)
    depth[10:20, 20:40] = 60
    depth[:10] = 0
    found = distances((40, 60), depth)
    assert (found[10:] == depth[10:]).all() and (found[:10] > 1000).all(), "what is open above is sky"
    guess = distances((40, 60))
    assert guess[35].mean() < guess[22].mean() / 3, "the road is near below and far at the horizon"
    few = np.zeros((40, 60), np.float32)
    few[0, 0] = 3
    assert distances((40, 60), few)[0, 0] == 3 and np.array_equal(distances((40, 60), few)[1:], guess[1:])


def test_holes_in_what_was_measured_are_as_far_as_what_is_beside_them() -> None:
    depth = np.full((40, 60), 7.0, np.float32)
    depth[:20, 30:] = 60
    holed = depth.copy()
    holed[35:] = 0  # the car's hood
    holed[22:30, :4] = 0  # what only one eye sees
    holed[5:9, 10:14] = holed[5:9, 40:44] = 0  # edges
    assert np.array_equal(distances((40, 60), holed), depth)
    holed[:3] = 0
    found = distances((40, 60), holed)
    assert (found[:3] > 1000).all() and np.array_equal(found[3:], depth[3:])
    assert np.array_equal(distances((40, 60), found), found), "filled once is filled"
    room = np.full((40, 60), 4.0, np.float32)
    room[:8] = 0  # a window, as a Kinect sees it
    assert (distances((40, 60), room) == 4).all()


def test_there_are_as_many_drops_in_view_as_in_the_air(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[np.ndarray] = []
    monkeypatch.setattr(scene, "_drawn", lambda size, lines, *_: ends.append(lines))
    Falling(500.0, (1.0, 0.5), speed=5.0).cover((200, 300), rng())
    middle = ends[0].mean(axis=1) / 16
    inside = ((middle >= 0) & (middle < [300, 200])).all(axis=1).sum()
    cubic_metres = (200 / focal((200, 300))) * (300 / focal((200, 300))) / 3 * (4**3 - 0.4**3)
    assert inside == pytest.approx(500 * cubic_metres, rel=0.05)
    assert len(middle) > 1.3 * inside, "those beside the picture reach into it"


@pytest.mark.parametrize("fault", ["fog", "rain", "snow"])
def test_weather_covers_what_is_far_more_than_what_is_near(street: np.ndarray, fault: str) -> None:
    near, far = (corrupt(street, fault, 4, depth=np.full(street.shape[:2], metres, np.float32)) for metres in (3, 150))
    assert far.std() < 0.6 * near.std()


def test_linear_light_and_back() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.array_equal(to_bytes(to_light(every)), every)
    assert np.array_equal(as_bytes(light()), np.arange(256))
    assert light()[188] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("white", [15, 300])
def test_shot_noise_is_that_of_counted_photons(white: int) -> None:
    for value in (30, 120, 200):
        seen = noisy(np.full((200, 200, 3), value, np.uint8), photon_quantiles(white), rng())
        mean = white * light()[value]
        counts = white * light()[seen].astype(float)
        if mean + 4 * np.sqrt(mean) > white:
            continue  # the sensor is full now and then
        assert counts.mean() == pytest.approx(mean, rel=0.03, abs=0.03)
        assert counts.var() == pytest.approx(mean, rel=0.06, abs=0.03), "Poisson: as much variance as photons"


def test_gaussian_noise_has_its_deviation() -> None:
    grey = np.full((150, 150, 3), 128, np.uint8)
    for severity, deviation in enumerate(FAULTS["gaussian-noise"].levels[:4], 1):
        noise = corrupt(grey, "gaussian-noise", severity).astype(float) - 128
        assert noise.std() == pytest.approx(deviation, rel=0.03) and abs(noise.mean()) < deviation / 50


def test_a_lamp_becomes_a_disc_or_a_line_and_loses_no_light() -> None:
    dark = np.zeros((101, 101, 3), np.uint8)
    dark[49:52, 49:52] = 255
    for spread, reach in ((defocus(dark, 8, rng()), 8), (motion(dark, 16, rng()), 8)):
        y, x = np.nonzero(spread[..., 0] > 12)
        assert np.hypot(y - 50, x - 50).max() == pytest.approx(reach, abs=3.0)
        assert light()[spread].sum() == pytest.approx(light()[dark].sum(), rel=0.12)
    assert np.ptp(np.nonzero(motion(dark, 16, rng())[..., 0] > 12)[0]) < 10, "mostly across"


def test_exposure_is_stops_of_light() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    brighter, darker = corrupt(every, "overexposure", 2), corrupt(every, "underexposure", 1)
    assert np.abs(light()[brighter] - np.minimum(1, 2 * light()[every])).max() < 0.006
    assert np.abs(light()[darker] - light()[every] / 2).max() < 0.006


def test_night_is_dark_noisy_and_lit_from_the_car(street: np.ndarray) -> None:
    grey = np.full((200, 320, 3), 128, np.uint8)
    dusk, late = (corrupt(grey, "night", severity).astype(float) for severity in (1, 5))
    assert late.mean() < dusk.mean() < 128
    road, sky = late[150:, 130:190].mean(), late[10:40, 130:190].mean()
    assert road > 2 * sky, "dipped beams"
    assert late[150:, 150:170].std() > dusk[150:, 150:170].std(), "a sensor turned up"


@pytest.mark.parametrize(
    ("image", "fault", "severity", "said"),
    [
        (np.zeros((4, 4, 3), np.uint8), "smoke", 1, "unknown fault 'smoke'"),
        (np.zeros((4, 4, 3), np.uint8), "fogg", 1, "did you mean 'fog'"),
        (np.zeros((4, 4, 3), np.uint8), "fog", 6, "it goes from 1 to 5"),
        (np.zeros((4, 4), np.uint8), "fog", 1, "uint8 RGB"),
        (np.zeros((4, 4, 3), np.float32), "rain", 1, "uint8 RGB"),
        (np.zeros((0, 4, 3), np.uint8), "rain", 1, "uint8 RGB"),
    ],
)
def test_what_cannot_be_spoiled_is_refused(image: np.ndarray, fault: str, severity: int, said: str) -> None:
    with pytest.raises(SwathError, match=said):
        corrupt(image, fault, severity)
    with pytest.raises(SwathError, match="the depth is"):
        corrupt(np.zeros((4, 4, 3), np.uint8), "fog", 1, depth=np.zeros((4, 5), np.float32))
