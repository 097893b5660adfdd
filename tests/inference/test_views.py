"""Sizes, scales, mirroring and windows, against full-size arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tiny
from swath import Segmenter, SwathError
from swath.cli.main import main
from swath.data import resize_image
from swath.deploy import export
from swath.inference import Views
from swath.inference.blend import Axis, Piece, blend
from swath.inference.pictures import write_picture
from swath.inference.views import starts
from swath.networks import Network
from telling import Telling, blobs, picture


def logits(model: Network, image: np.ndarray) -> Tensor:
    """At the network's own stride."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    with torch.no_grad():
        small: Tensor = model.logits(model.preprocess(pixels))
    return small


def enlarged(small: Tensor, size: tuple[int, int], corners: bool = False) -> Tensor:
    return F.interpolate(small, size=size, mode="bilinear", align_corners=corners)


def network(corners: bool = False) -> Network:
    model = tiny.network()
    model.align_corners = corners
    return model


def compare(model: Network, image: np.ndarray, views: Views, expected: Tensor, probabilities: bool = True) -> None:
    """Labels and probabilities are those of the expected full-size scores; ties may fall either way."""
    (answer,) = Segmenter(model, optimise=False, views=views).answers([image], confidence=True)
    best, labels = (expected if probabilities else expected.softmax(1))[0].max(0)
    assert answer.confidence is not None
    assert np.abs(answer.confidence - best.numpy()).max() < 1e-4
    assert (answer.labels != labels.numpy()).mean() < 2e-3


def test_a_short_side_keeps_the_shape() -> None:
    views = Views(short_side=60)
    assert views.sizes(120, 200) == [(60, 100)] and views.sizes(90, 45) == [(120, 60)] and not views.plain
    assert Views(short_side=60, scales=(0.5, 1)).sizes(120, 201) == [(30, 50), (60, 100)]
    assert str(views) == "short side 60"
    for wrong in ({"short_side": 0}, {"short_side": 60, "size": (60, 100)}):
        with pytest.raises(SwathError, match="short side"):
            Views(**wrong)  # type: ignore[arg-type]


def test_a_thin_picture_is_not_enlarged_without_end() -> None:
    views = Views(short_side=360)
    assert views.sizes(16, 16) == [(360, 360)] and views.sizes(1, 1) == [(360, 360)]
    assert Views(short_side=800).sizes(3000, 100) == [(24000, 800)]
    for height, width in ((3000, 1), (1, 3000), (100, 100_000)):
        with pytest.raises(SwathError, match=f"{width}x{height} would be shown at .* too much"):
            views.sizes(height, width)
    assert Views(size=(6000, 6000)).sizes(3000, 1) == [(6000, 6000)]  # somebody's own wish
    (answer,) = Segmenter(network(), views=views).answers([tiny.picture(0, 40, 60)])
    assert answer.labels.shape == (40, 60)


def test_one_thin_picture_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.weights(tmp_path / "w.safetensors")
    for name, height, width in (("a", 1, 9000), ("b", 64, 96)):
        write_picture(Path(f"{name}.png"), tiny.picture(0, 64, 96)[:1, :1].repeat(height, 0).repeat(width, 1))
    assert main(["predict", "w.safetensors", "a.png", "b.png", "--short-side", "2000", "--out", "o"]) == 2
    assert sorted(path.name for path in Path("o").iterdir()) == ["b.png", "b_overlay.jpg"]


def test_as_learnt_is_a_size_of_its_own() -> None:
    assert Views(as_learnt=True, flip=True).settled(48) == Views(short_side=48, flip=True)
    assert Views(as_learnt=True).settled(None).plain and not Views(as_learnt=True).plain
    assert Views(size=(64, 96)).settled(48) == Views(size=(64, 96)) and Views().settled(48).plain
    for wrong in ({"short_side": 60}, {"size": (60, 100)}):
        with pytest.raises(SwathError, match="give one of them"):
            Views(as_learnt=True, **wrong)  # type: ignore[arg-type]


def test_smaller_pictures_in_and_the_truths_own_size_out() -> None:
    model, image = network(), tiny.picture(0, 150, 210)
    small = logits(model, resize_image(image, (64, 96)))
    compare(model, image, Views(size=(64, 96)), enlarged(small, (150, 210)), probabilities=False)


@pytest.mark.parametrize("corners", [False, True])
def test_mirrored_pictures_count_as_much_as_others(corners: bool) -> None:
    model, image = network(corners), tiny.picture(1, 64, 96)
    here = enlarged(logits(model, image), (64, 96), corners).softmax(1)
    there = enlarged(logits(model, image[:, ::-1]), (64, 96), corners).softmax(1).flip(3)
    compare(model, image, Views(flip=True), (here + there) / 2)


def test_scales_are_averaged_at_the_pictures_size() -> None:
    model, image = network(), tiny.picture(2, 64, 96)
    sizes = [(32, 48), (64, 96), (96, 144)]
    views = Views(scales=(0.5, 1, 1.5))
    each = [enlarged(logits(model, resize_image(image, size)), (64, 96)) for size in sizes]
    compare(model, image, views, torch.stack([one.softmax(1) for one in each]).mean(0))
    mean = torch.stack(each).mean(0)
    compare(model, image, Views(scales=(0.5, 1, 1.5), average="logits"), mean, probabilities=False)


@pytest.mark.parametrize("corners", [False, True])
def test_overlapping_windows_share_their_pixels(corners: bool) -> None:
    model, image = network(corners), tiny.picture(3, 75, 104)
    total, count = torch.zeros(1, 4, 75, 104), torch.zeros(75, 104)
    for top in (0, 24, 27):  # the last one is moved inside
        for left in (0, 24, 48, 56):
            part = image[top : top + 48, left : left + 48]
            total[..., top : top + 48, left : left + 48] += enlarged(logits(model, part), (48, 48), corners).softmax(1)
            count[top : top + 48, left : left + 48] += 1
    compare(model, image, Views(window=(48, 48), stride=(24, 24)), total / count)


@pytest.mark.parametrize(
    "views",
    [
        Views(flip=True),
        Views(window=(16, 24)),
        Views(window=(16, 24), stride=(5, 7), flip=True),
        Views(window=(16, 24), stride=(16, 24), average="logits"),
        Views(window=(64, 200), flip=True),  # larger than the picture
        Views(scales=(1, 2), flip=True, window=(20, 20)),
        Views(size=(82, 124)),
    ],
    ids=str,
)
def test_whatever_the_view_every_pixel_keeps_its_place(views: Views) -> None:
    """A network that says what it sees must say it there."""
    labels = np.kron(blobs(np.random.default_rng(0), [0, 1, 2, 3], 20, 30), np.ones((2, 2), np.uint8))
    labels = np.pad(labels, [(0, 1), (0, 2)], mode="edge")
    segmenter = Segmenter(Telling(4), optimise=False, views=views)
    (answer,) = segmenter.answers([picture(labels)])
    if views.scales == (1.0,) and views.size is None:
        assert np.array_equal(answer.labels, labels)
    else:  # resized pictures are mixed at the edges of the blobs: what lies within keeps its class
        inside = np.ones_like(labels, bool)
        for axis in (0, 1):
            for by in (1, 2, -1, -2):
                inside &= np.roll(labels, by, axis) == labels
        assert inside.sum() > 200 and (answer.labels == labels)[inside].mean() > 0.97


@pytest.mark.parametrize(
    "views", [Views(), Views(size=(50, 70)), Views(scales=(0.75, 1), flip=True), Views(window=(40, 40))], ids=str
)
def test_batches_of_different_sizes_answer_as_one_by_one(views: Views) -> None:
    images = [tiny.picture(index, 40 + 9 * (index % 3), 60 + 7 * (index % 2)) for index in range(8)]
    segmenter = Segmenter(tiny.network(), views=views)
    together = [labels for start in (0, 4) for labels in segmenter.label_maps(images[start : start + 4])]
    for image, labels in zip(images, together):
        assert labels.shape == image.shape[:2]
        assert np.array_equal(labels, segmenter.label_maps([image])[0])


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("have", "padded", "pixels"), [((4, 6), (32, 48), (30, 41)), ((1, 3), (8, 24), (8, 20))])
def test_between_the_logits_of_a_padded_picture(
    corners: bool, have: tuple[int, int], padded: tuple[int, int], pixels: tuple[int, int]
) -> None:
    values = torch.randn(2, 5, *have)
    axes = [Axis.of(p, logits=h, padded=w, align_corners=corners) for p, h, w in zip(pixels, have, padded)]
    full = F.interpolate(values, size=padded, mode="bilinear", align_corners=corners)
    got = Piece(values, *axes).scores(0, pixels[0])
    assert torch.allclose(got, full[..., : pixels[0], : pixels[1]], atol=1e-5)
    found = blend([[Piece(values, *axes)]], pixels, logits=True, confidence=False)
    assert found.confidence is None and found.labels.shape == (2, *pixels)


def test_many_bands_make_one_picture() -> None:
    values = torch.randn(1, 150, 6, 40)
    axes = [Axis.of(side, logits=have) for side, have in ((48, 6), (320, 40))]
    full = enlarged(values, (48, 320)).softmax(1)[0].max(0)
    found = blend([[Piece(values, *axes)]], (48, 320), logits=True, confidence=True)
    assert (found.labels[0] != full.indices).float().mean() < 1e-3
    assert found.confidence is not None and (found.confidence[0] - full.values).abs().max() < 1e-5


def test_windows_cover_everything_and_stay_inside() -> None:
    for length in (1, 5, 16, 17, 40):
        for window in (1, 4, 16):
            for step in (1, 3, window):
                first = starts(length, window, min(step, window))
                covered = {pixel for start in first for pixel in range(start, start + window)}
                assert covered >= set(range(length)) and first == sorted(set(first)) and first[0] == 0
                assert first[-1] == max(0, length - window)


def test_files_that_answer_labels_take_a_size_and_nothing_to_average(tmp_path: Path) -> None:
    model, image = tiny.network(), tiny.picture(4, 128, 192)
    export(model, tmp_path / "inside.pt", "torchscript", finish="inside")
    labels = Segmenter(tmp_path / "inside.pt", views=Views(size=(64, 96))).label_maps([image])[0]
    small = Segmenter(model).label_maps([resize_image(image, (64, 96))])[0]
    assert (labels != np.kron(small, np.ones((2, 2), np.uint8))).mean() < 1e-3
    for views in (Views(flip=True), Views(scales=(1, 2)), Views(window=(32, 32))):
        with pytest.raises(SwathError, match="answers labels, which cannot be averaged"):
            Segmenter(tmp_path / "inside.pt", views=views)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": (0.5, -1)}, "scales"),
        ({"scales": (100,)}, "at most 8"),
        ({"size": (0, 5)}, "size 5x0"),
        ({"stride": (5, 5)}, "a stride is that of windows"),
        ({"window": (8, 8), "stride": (9, 4)}, "larger than the window"),
    ],
)
def test_views_that_mean_nothing_are_refused(options: dict[str, tuple[int, ...]], said: str) -> None:
    with pytest.raises(SwathError, match=said):
        Views(**options)


def test_views_in_words() -> None:
    assert str(Views()) == "" and Views().plain
    views = Views(size=(512, 1024), scales=(0.5, 1), flip=True, window=(100, 200))
    assert str(views) == "at 1024x512, scales 0.5, 1, mirrored too, windows of 200x100"
