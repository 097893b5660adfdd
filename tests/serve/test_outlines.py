"""Outlines say exactly which pixels belong to a region; run lengths are COCO's own letters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import tiny
from swath.data.runs import run_lengths, unpacked
from swath.serve import outlines
from swath.serve.outlines import TooRagged, polygons


def filled(shapes: list[outlines.Polygon], height: int, width: int) -> np.ndarray:
    """The pixels whose centre lies inside an odd number of rings."""
    inside = np.zeros((height, width), bool)
    for ring in (ring for polygon in shapes for ring in polygon):
        for (x, y), (u, v) in pairwise(ring):
            if x == u:  # an upright edge turns over all that is to its right
                inside[min(y, v) : max(y, v), x:] ^= True
    return inside


def area(ring: outlines.Ring) -> int:
    return sum(x * v - u * y for (x, y), (u, v) in pairwise(ring)) // 2


def random_masks() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    masks = [draw.random(draw.integers(1, 24, 2)) < share for share in (0.1, 0.5, 0.6, 0.9) for _ in range(25)]
    return [*masks, np.ones((1, 1), bool), np.ones((3, 5), bool), np.zeros((4, 4), bool), np.eye(7, dtype=bool)]


def test_filled_outlines_are_the_mask() -> None:
    for mask in random_masks():
        shapes = polygons(mask)
        assert np.array_equal(filled(shapes, *mask.shape), mask)
        assert sum(area(ring) for polygon in shapes for ring in polygon) == mask.sum()


def test_a_polygon_is_one_region_with_its_own_holes() -> None:
    import cv2

    for mask in random_masks():
        shapes = polygons(mask)
        count, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
        assert len(shapes) == count - 1
        found = set()
        for polygon in shapes:
            assert area(polygon[0]) > 0 and all(area(hole) < 0 for hole in polygon[1:])
            (number,) = np.unique(regions[filled([polygon], *mask.shape)])
            assert np.array_equal(regions == number, filled([polygon], *mask.shape))
            found.add(number)
        assert len(found) == len(shapes)


def test_rings_are_closed_and_turn_at_every_point() -> None:
    for mask in random_masks():
        for ring in (ring for polygon in polygons(mask) for ring in polygon):
            assert ring[0] == ring[-1] and len(ring) >= 5
            steps = [(u != x, v != y) for (x, y), (u, v) in pairwise(ring)]
            assert all(a != b and sum(a) == 1 for a, b in pairwise(steps))


def test_a_ring_in_a_ring() -> None:
    mask = np.zeros((7, 7), bool)
    mask[0:7, 0:7] = True
    mask[1:6, 1:6] = False
    mask[2:5, 2:5] = True
    mask[3, 3] = False
    outer, inner = polygons(mask)
    assert outer[0] == [(0, 0), (7, 0), (7, 7), (0, 7), (0, 0)] and [area(hole) for hole in outer[1:]] == [-25]
    assert [area(ring) for ring in inner] == [9, -1]


def test_noise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "MOST_TURNS", 40)
    with pytest.raises(TooRagged):
        polygons(np.random.default_rng(0).random((40, 40)) < 0.5)


def test_run_lengths_are_those_of_pycocotools() -> None:
    official = pytest.importorskip("pycocotools.mask")
    draw = np.random.default_rng(1)
    maps = [draw.integers(0, 5, draw.integers(1, 60, 2), np.uint8) for _ in range(40)]
    maps += [tiny.labels(seed, 300, 700) for seed in range(5)]  # long runs: several letters each
    maps += [np.zeros((1, 1), np.uint8), np.full((900, 1100), 3, np.uint8)]
    for labels in maps:
        found = run_lengths(labels)
        assert set(found) == set(np.unique(labels).tolist())
        for value, (pixels, counts) in found.items():
            theirs = official.encode(np.asfortranarray(labels == value, np.uint8))
            assert counts == theirs["counts"].decode() and pixels == official.area(theirs)


def test_run_lengths_are_read_back() -> None:
    labels = tiny.labels(3, 50, 80)
    for value, (_, counts) in run_lengths(labels).items():
        lengths = unpacked(counts)
        flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        assert np.array_equal(flat.reshape(80, 50).T, labels == value)
