"""Training windows: pictures and labels stay together, windows are drawn as asked, and again and again the same."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from swath import SwathError
from swath.data import Joined, Windows, WindowSpec, resize_image, resize_labels, whole, window
from swath.data.colors import recolor
from swath.data.windows import place


def coded(height: int, width: int) -> np.ndarray:
    """A picture whose red is x, green is y (in steps that fit a byte) and blue nothing."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)


class One:
    """A source of one picture."""

    card = None

    def __init__(self, height: int = 96, width: int = 160) -> None:
        self.picture = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
        self.truth = np.random.default_rng(6).integers(0, 19, (height, width), np.uint8)

    def __len__(self) -> int:
        return 1

    def size(self, index: int) -> tuple[int, int]:
        return self.truth.shape

    def image(self, index: int) -> np.ndarray:
        return self.picture

    def labels(self, index: int) -> np.ndarray:
        return self.truth


def test_a_pixel_shows_the_place_it_comes_from() -> None:
    picture = coded(200, 250)
    labels = (picture[..., 0] // 10 + 25 * (picture[..., 1] // 100)).astype(np.uint8)
    spec = WindowSpec((64, 96), scale=(0.4, 2.5), flip=0.5)
    for seed in range(200):
        where = place(200, 250, spec, np.random.default_rng(seed))
        shown = where.image(picture).astype(float)
        if where.mirrored:
            shown = shown[:, ::-1]
        inner = shown[where.top : where.top + where.height, where.left : where.left + where.width]
        # Half-pixel centres: output j shows source start + (j + 1/2) * step - 1/2.
        step_x = (where.columns.stop - where.columns.start) / where.width
        step_y = (where.rows.stop - where.rows.start) / where.height
        x = where.columns.start + (np.arange(where.width) + 0.5) * step_x - 0.5
        y = where.rows.start + (np.arange(where.height) + 0.5) * step_y - 0.5
        assert np.abs(inner[..., 0] - x).max() <= 1.01
        assert np.abs(inner[..., 1] - y[:, None]).max() <= 1.01
        got = where.labels(labels)
        got = got[:, ::-1] if where.mirrored else got
        got = got[where.top : where.top + where.height, where.left : where.left + where.width]
        # A label is that of the pixel under the centre; a centre just between two pixels may go either way.
        wanted = labels[np.floor(y + 0.5).astype(int)][:, np.floor(x + 0.5).astype(int)]
        clear = np.ix_(*(np.abs((axis + 0.5 + 0.5) % 1 - 0.5) > 0.01 for axis in (y, x)))
        assert np.array_equal(got[clear], wanted[clear])


def test_a_window_is_the_resized_picture_cut_out() -> None:
    source = One(128, 160)
    for scale in (0.5, 2.0):
        spec = WindowSpec((32, 48), scale=(scale, scale), flip=0)
        picture = resize_image(source.picture, (int(128 * scale), int(160 * scale)))
        truth = resize_labels(source.truth, picture.shape[:2])
        for seed in range(30):
            where = place(128, 160, spec, np.random.default_rng(seed))
            top, left = int(where.rows.start * scale), int(where.columns.start * scale)
            if (top / scale, left / scale) != (where.rows.start, where.columns.start):
                continue  # begins in the middle of a pixel of the shrunken picture
            inner = np.s_[1:-1, 1:-1]  # at the rim the whole picture knows pixels that the window has cut away
            wanted = picture[top : top + 32, left : left + 48][inner].astype(int)
            assert np.abs(where.image(source.picture)[inner] - wanted).max() <= 1
            assert np.array_equal(where.labels(source.truth), truth[top : top + 32, left : left + 48])


def test_small_pictures_are_padded_and_ignored() -> None:
    picture, labels = np.full((20, 30, 3), 7, np.uint8), np.zeros((20, 30), np.uint8)
    spec = WindowSpec((64, 48), scale=(0.5, 2.0), pad_color=(1, 2, 3))
    seen = set()
    for seed in range(50):
        image, truth = window(picture, labels, spec, np.random.default_rng(seed))
        assert image.shape == (64, 48, 3) and truth.shape == (64, 48)
        outside = truth == 255
        assert outside.any() and (truth[~outside] == 0).all()
        assert (image[outside] == (1, 2, 3)).all() and (image[~outside] == 7).all()
        seen.add(int(np.argwhere(~outside)[0, 0]))
    assert len(seen) > 10  # pictures lie anywhere in the window


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2), (97, 61)])
def test_any_picture_gives_a_window(size: tuple[int, int]) -> None:
    picture, labels = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    for seed in range(20):
        image, truth = window(picture, labels, WindowSpec((33, 47), scale=(0.1, 9)), np.random.default_rng(seed))
        assert image.shape == (33, 47, 3) and truth.shape == (33, 47) and (truth == 0).any()


def test_scales_and_mirrors_are_drawn_as_asked() -> None:
    spec = WindowSpec((64, 64), scale=(0.5, 2.0), flip=0.3)
    places = [place(1000, 1000, spec, np.random.default_rng(seed)) for seed in range(3000)]
    scales = np.array([64 / (where.rows.stop - where.rows.start) for where in places])
    assert 0.49 < scales.min() < 0.52 and 1.95 < scales.max() < 2.07
    assert abs(scales.mean() - 1.25) < 0.03
    assert abs(np.mean([where.mirrored for where in places]) - 0.3) < 0.03
    starts = np.array([where.rows.start / (1000 - (where.rows.stop - where.rows.start)) for where in places])
    assert abs(starts.mean() - 0.5) < 0.03 and starts.min() < 0.01 and starts.max() > 0.99
    log = WindowSpec((64, 64), scale=(0.5, 2.0), scale_log=True)
    rows = [place(1000, 1000, log, np.random.default_rng(seed)).rows for seed in range(3000)]
    assert abs(np.mean([64 / (r.stop - r.start) < 1 for r in rows]) - 0.5) < 0.03


def test_short_side_sets_the_scale_of_one() -> None:
    spec = WindowSpec((64, 64), scale=(1, 1), short_side=128)
    for height, width in ((256, 400), (1000, 512), (64, 64)):
        where = place(height, width, spec, np.random.default_rng(0))
        wanted = 64 * min(height, width) / 128
        assert abs((where.rows.stop - where.rows.start) - wanted) <= 1


def test_samples_depend_on_seed_epoch_and_index_alone() -> None:
    from torch.utils.data import DataLoader

    class Many(One):
        def __len__(self) -> int:
            return 8

    spec = WindowSpec((32, 32), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    windows = Windows(Many(), spec, seed=3)
    first = windows[2, 0]
    again = Windows(Many(), spec, seed=3)[2, 0]
    assert first["image"].shape == (3, 32, 32) and first["image"].flags["C_CONTIGUOUS"] and first["index"] == 0
    assert np.array_equal(first["image"], again["image"]) and np.array_equal(first["labels"], again["labels"])
    for other in (windows[3, 0], windows[2, 1], Windows(Many(), spec, seed=4)[2, 0]):
        assert not np.array_equal(first["image"], other["image"])
    order = [(1, index) for index in (5, 3, 0, 7, 1, 2, 6, 4)]
    batches = [
        [batch["image"] for batch in DataLoader(windows, 4, sampler=order, num_workers=workers)] for workers in (0, 2)
    ]
    assert all((a == b).all() for a, b in zip(*batches))


class Cut(One):
    """A source that can read a part of a picture."""

    maps: ClassVar[dict[str, int]] = {"depth": 1, "flow": 2}

    def __init__(self) -> None:
        super().__init__()
        draw = np.random.default_rng(7)
        self.shown = {"depth": draw.random((96, 160), np.float32), "flow": draw.random((96, 160, 2), np.float32)}
        self.read: list[tuple[slice, slice]] = []

    def map(self, index: int, name: str) -> np.ndarray:
        return self.shown[name]

    def cut(self, index: int, rows: slice, columns: slice, names: list[str]) -> dict[str, np.ndarray]:
        self.read.append((rows, columns))
        every = {"image": self.picture, "labels": self.truth, **self.shown}
        return {name: every[name][rows, columns].copy() for name in names}


@pytest.mark.parametrize("joined", [False, True])
def test_a_source_that_can_is_asked_for_the_window_alone(joined: bool) -> None:
    spec = WindowSpec((48, 64), scale=(0.5, 2.0), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    part = Cut()
    source, index = (Joined(None, [Cut(), part]), 1) if joined else (part, 0)
    windows = Windows(source, spec, seed=3, maps=("depth", "flow"))
    for epoch in range(40):
        got = windows[epoch, index]
        draws = np.random.default_rng((3, epoch, index))
        where = place(96, 160, spec, draws)
        assert part.read[-1] == (where.rows, where.columns)
        assert np.array_equal(got["image"].transpose(1, 2, 0), recolor(where.image(part.picture), spec, draws))
        assert np.array_equal(got["labels"], where.labels(part.truth))
        assert np.array_equal(got["depth"], where.depth(part.shown["depth"]))
        assert np.array_equal(got["flow"].transpose(1, 2, 0), where.flow(part.shown["flow"]))
    assert len(part.read) == 40


def test_a_source_on_a_network_is_told_of_a_batch() -> None:
    told: list[tuple[list[int], tuple[str, ...]]] = []

    class Far(One):
        def __len__(self) -> int:
            return 4

        def ahead(self, indices: list[int], names: tuple[str, ...]) -> None:
            told.append((list(indices), tuple(names)))

    far = Far()
    spec = WindowSpec((32, 32))
    batch = Windows(Joined(None, [One(), far]), spec).__getitems__([(0, 3), (0, 0), (0, 1)])
    assert told == [([2, 0], ("image", "labels"))]
    assert [each["index"] for each in batch] == [3, 0, 1]
    assert np.array_equal(batch[2]["image"], Windows(Joined(None, [One(), far]), spec)[0, 1]["image"])


def test_planes_are_the_picture() -> None:
    spec = WindowSpec((96, 160), scale=(1, 1), flip=0)
    sample = Windows(One(), spec)[0, 0]
    assert np.array_equal(sample["image"].transpose(1, 2, 0), One().picture)
    assert np.array_equal(sample["labels"], One().truth)


def spec_of(**ranges: float) -> WindowSpec:
    return WindowSpec((8, 8), **ranges)


def test_colors_change_within_their_ranges() -> None:
    picture = np.random.default_rng(0).integers(60, 180, (64, 64, 3), np.uint8)
    means = [
        recolor(picture, spec_of(brightness=0.2), np.random.default_rng(s)).mean() / picture.mean() for s in range(300)
    ]
    assert 0.79 < min(means) < 0.83 and 1.17 < max(means) < 1.21
    for seed in range(50):
        flat = recolor(picture, spec_of(contrast=0.5), np.random.default_rng(seed)).astype(float)
        assert abs(flat.mean() - picture.mean()) < 4  # contrast keeps the mean
        ratio = flat.std() / picture.std()
        assert 0.45 < ratio < 1.55


def test_saturation_and_hue_leave_greys_alone() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2)
    for seed in range(50):
        shown = recolor(grey, spec_of(saturation=0.8, hue=0.5), np.random.default_rng(seed))
        assert np.abs(shown.astype(int) - grey).max() <= 1


def test_jitter_is_a_chance() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    spec = spec_of(brightness=0.5, jitter=0.25)
    changed = [not np.array_equal(recolor(picture, spec, np.random.default_rng(s)), picture) for s in range(1000)]
    assert 0.2 < np.mean(changed) < 0.3


def test_no_ranges_change_no_byte() -> None:
    source = One()
    image, _ = window(
        source.picture, source.truth, WindowSpec((96, 160), scale=(1, 1), flip=0), np.random.default_rng(0)
    )
    assert np.array_equal(image, source.picture)


def test_flow_and_depth_follow_the_window() -> None:
    flow = np.zeros((100, 120, 3), np.float32)
    flow[..., 0], flow[..., 1], flow[..., 2] = 3, -2, 0.5
    depth = np.where(np.eye(100, 120), 0, 10).astype(np.float32)
    for seed in range(20):
        where = place(100, 120, WindowSpec((50, 50), scale=(0.5, 2)), np.random.default_rng(seed))
        shown = where.flow(flow)
        scale_x = where.width / (where.columns.stop - where.columns.start)
        inside = shown[..., 2] == 0.5
        assert np.allclose(shown[inside][:, 0], 3 * scale_x * (-1 if where.mirrored else 1), atol=1e-4)
        assert set(np.unique(where.depth(depth))) <= {0, np.float32(10) / np.float32(where.scale)}


def test_whole_pictures() -> None:
    source = One()
    assert whole(source.picture, source.truth)[0] is source.picture
    image, labels = whole(source.picture, source.truth, (48, 80))
    assert image.shape == (48, 80, 3) and labels.shape == (48, 80)
    assert np.abs(image[0, 0].astype(int) - source.picture[:2, :2].mean((0, 1))).max() <= 1


@pytest.mark.parametrize(
    "wrong",
    [{"size": (0, 4)}, {"scale": (2, 1)}, {"scale": (0, 1)}, {"flip": 1.5}, {"hue": 0.6}, {"brightness": -0.1}],
)
def test_specs_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SwathError, match=next(iter(wrong))):
        WindowSpec(**({"size": (4, 4)} | wrong))  # type: ignore[arg-type]
