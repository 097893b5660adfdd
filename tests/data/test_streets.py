"""The synthetic streets: the same everywhere, labelled exactly, and hard to tell from a street."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest

from swath.cards import load_card
from swath.data.streets import Street, Streets, render, video
from swath.data.streets.faces import gather, paint
from swath.data.streets.world import World
from swath.errors import SwathError

PRINTS = {
    # (seed, index, height, width): start of the SHA-256 of the picture and of its labels.
    # A change here changes everybody's data: every score measured on streets has to be measured again.
    (0, 0, 256, 512): ("ded5b760b7f14a8e", "8ce9ec0f5bc13a68"),
    (0, 1, 256, 512): ("1229659a0afb866c", "423d3ea6da79106e"),
    (1, 7, 96, 160): ("c83554ff0354dd3b", "6027aa12b96407e7"),
    (2, 30, 255, 301): ("d796b47541b8f8f9", "fed13c78d6e096c7"),
    (3, 12, 64, 64): ("7994563a96b1791d", "37b52be4cdf0c0bc"),
    (4, 99, 128, 256): ("26627f6f2e51f948", "fcd6c62f324f0f23"),
}

SUBPROCESS = """
import hashlib
from swath.data.streets import render
for index in (3, 1, 2):
    street = render(7, index, (64, 128))
    print(index, hashlib.sha256(street.image.tobytes() + street.labels.tobytes()).hexdigest())
"""


def prints(street: Street) -> tuple[str, str]:
    return tuple(hashlib.sha256(a.tobytes()).hexdigest()[:16] for a in (street.image, street.labels))  # type: ignore[return-value]


@pytest.mark.parametrize("where", PRINTS)
def test_pictures_are_the_same_on_every_machine(where: tuple[int, int, int, int]) -> None:
    seed, index, height, width = where
    assert prints(render(seed, index, (height, width))) == PRINTS[where]


def test_another_process_in_another_order_draws_the_same() -> None:
    told = subprocess.run([sys.executable, "-c", SUBPROCESS], capture_output=True, text=True, check=True).stdout.split()
    there = dict(zip(told[::2], told[1::2], strict=True))
    for index in (1, 2, 3):
        street = render(7, index, (64, 128))
        here = hashlib.sha256(street.image.tobytes() + street.labels.tobytes()).hexdigest()
        assert there[str(index)] == here


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (63, 65), (97, 181), (360, 480), (512, 1024), (200, 50)])
def test_any_size(size: tuple[int, int]) -> None:
    street = render(1, 4, size, want="all")
    assert street.image.shape == (*size, 3) and street.image.dtype == np.uint8
    assert street.labels.shape == size and street.labels.dtype == np.uint8 and street.labels.max() <= 10
    assert street.depth is not None and street.depth.shape == size and street.depth.dtype == np.float32
    assert street.flow is not None and street.flow.shape == (*size, 2) and np.isfinite(street.flow).all()
    assert street.motion is not None and set(np.unique(street.motion)) <= {0, 1}
    assert (street.depth > 0).all() and (np.isinf(street.depth) == (street.labels == 0)).all()


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(SwathError, match="at least 8x8"):
        render(0, 0, (4, 100))


def test_what_is_wanted_changes_nothing_else() -> None:
    few, everything = render(2, 5, (64, 128)), render(2, 5, (64, 128), want="all")
    assert (few.image == everything.image).all() and (few.labels == everything.labels).all()
    assert few.depth is None and few.flow is None and few.motion is None


def test_every_class_is_common() -> None:
    seen = np.zeros(11, int)
    pixels = np.zeros(11, np.int64)
    for index in range(50):
        counts = np.bincount(render(3, index, (128, 256)).labels.ravel(), minlength=11)
        seen += counts >= 10
        pixels += counts
    assert (pixels > 0).all()
    assert seen.min() >= 15, seen  # the rarest class, fences, is in a third of all pictures
    assert pixels[3] == pixels.max() or pixels[1] == pixels.max()  # road or building covers the most


def test_streets_differ() -> None:
    means = {render(4, index, (32, 64)).image.mean().round(2) for index in range(12)}
    assert len(means) == 12
    assert (render(5, 0, (32, 64)).labels != render(6, 0, (32, 64)).labels).mean() > 0.1


def test_flow_of_what_stands_is_depth_seen_from_the_next_camera() -> None:
    size, moved = (96, 192), 0.0
    for index in range(6):
        world, street = World(8, index), render(8, index, size, want="all")
        assert street.depth is not None and street.flow is not None and street.motion is not None
        now, following = world.camera(0.0, size), world.camera(1 / 15, size)
        still = (street.motion == 0) & np.isfinite(street.depth)
        v, u = np.nonzero(still)
        z = street.depth[still].astype(np.float64)
        x, far = now.to_world((u - now.cx) / now.focal * z, z)
        side, ahead = following.to_camera(x, far)
        ok = ahead > 0.1
        u1, v1 = following.to_picture(side, now.y - (v - now.cy) / now.focal * z, np.maximum(ahead, 0.1))
        error = np.abs(np.stack([u1 - u, v1 - v], 1) - street.flow[still])[ok]
        assert error.max() < 0.01 + 1e-4 * np.abs(street.flow[still][ok]).max()
        moved = max(moved, float(np.abs(street.flow[still]).max()))
    assert moved > 1  # the camera does drive


def test_frames_of_a_video_agree_with_their_flow() -> None:
    size = (128, 256)
    agreed = []
    for seed in (3, 4, 5):
        frames = list(video(seed, 4, size))
        for now, following in itertools.pairwise(frames):
            assert now.flow is not None and now.depth is not None and following.depth is not None
            v, u = np.mgrid[: size[0], : size[1]]
            u1, v1 = (np.rint(p).astype(int) for p in (u + now.flow[..., 0], v + now.flow[..., 1]))
            inside = (u1 >= 0) & (u1 < size[1]) & (v1 >= 0) & (v1 < size[0])
            there = following.labels[v1[inside], u1[inside]]
            agreed.append((there == now.labels[inside]).mean())
            # Where the label agrees, so does the picture, but for noise and texture.
            same = there == now.labels[inside]
            change = np.abs(following.image[v1[inside], u1[inside]].astype(int) - now.image[inside])[same]
            assert np.median(change) < 14
    assert min(agreed) > 0.93 and np.mean(agreed) > 0.95  # the rest is hidden in one of the two frames


def test_motion_is_what_moves() -> None:
    size = (96, 192)
    kinds = set()
    for index in range(10):
        world, street = World(9, index), render(9, index, size, want="all")
        camera = world.camera(0.0, size)
        things = world.things(0.0, 1 / 15)
        faces = gather(things, camera, sunny=False)
        canvas, _ = paint(faces, camera)
        moving = [thing.later is not None and thing.later != thing.pose for thing in faces.things]
        expected = np.zeros(size, bool)
        expected[canvas > 0] = np.array(moving)[faces.owner[canvas[canvas > 0].astype(int) - 1]]
        assert street.motion is not None and (street.motion.astype(bool) == expected).all()
        kinds |= set(np.unique(street.labels[expected]).tolist())
        still_cars = (street.labels == 8) & ~expected
        kinds |= {"parked"} if still_cars.any() else set()
    assert kinds == {8, 9, 10, "parked"}  # cars, people and cyclists move; some cars are parked


def test_a_video_begins_with_the_picture_of_its_seed() -> None:
    first = next(iter(video(12, 1, (64, 128))))
    assert (first.image == render(12, 0, (64, 128)).image).all()


def test_moving_things_move_as_their_flow_says() -> None:
    """The median place of a moving car's pixels moves by the median flow."""
    hits = 0
    for seed in range(20, 32):
        now, following = video(seed, 2, (96, 192))
        assert now.flow is not None and now.motion is not None and following.motion is not None
        mask = (now.motion == 1) & (now.labels == 8)
        if mask.sum() < 60:
            continue
        v, u = np.nonzero(mask)
        u1, v1 = np.rint(u + now.flow[mask][:, 0]).astype(int), np.rint(v + now.flow[mask][:, 1]).astype(int)
        inside = (u1 >= 0) & (u1 < 192) & (v1 >= 0) & (v1 < 96)
        if inside.sum() < 60:
            continue
        assert following.motion[v1[inside], u1[inside]].mean() > 0.8
        hits += 1
    assert hits >= 3


def test_source() -> None:
    card = load_card("streets")
    source = Streets(card, "train", count=5, size=(48, 96))
    assert len(source) == 5 and source.size(4) == (48, 96) and source.card is card
    assert source.name(2) == "train/000002.png"
    assert source.image(3).shape == (48, 96, 3) and source.labels(3).shape == (48, 96)
    assert source.image(3) is not source.image(3)  # a caller may write into what it gets
    again = Streets(card, "train", count=9, size=(48, 96))
    assert (again.image(3) == source.image(3)).all() and (again.labels(3) == source.labels(3)).all()
    with pytest.raises(IndexError):
        source.image(5)


def test_splits_and_seeds_are_disjoint() -> None:
    card = load_card("streets")
    first = {
        Streets(card, split, seed=seed, count=1, size=(24, 48)).image(0).tobytes()
        for split in ("train", "val", "test")
        for seed in range(3)
    }
    assert len(first) == 9


def test_a_source_without_pictures_is_refused() -> None:
    with pytest.raises(SwathError, match="count 0"):
        Streets(load_card("streets"), "train", count=0)


def test_an_image_and_its_labels_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import swath.data.streets.source as module

    drawn = []
    monkeypatch.setattr(module, "render", lambda *where, **how: drawn.append(where) or render(*where, **how))
    source = Streets(load_card("streets"), "val", count=3, size=(24, 48))
    source.image(1), source.labels(1), source.labels(2)
    assert len(drawn) == 2
