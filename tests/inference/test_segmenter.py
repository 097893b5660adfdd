"""One behaviour for every picture: any size, any way to hand it over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from swath import Segmenter, SwathError


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(tiny.network())


def by_hand(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    with torch.no_grad():
        return model(model.preprocess(pixels)).argmax(1)[0].to(torch.uint8).numpy()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 96), (97, 131), (250, 40)])
def test_labels_are_those_of_the_network(segmenter: Segmenter, size: tuple[int, int]) -> None:
    image = tiny.picture(1, *size)
    result = segmenter(image)
    assert result.labels.shape == size and result.labels.dtype == np.uint8
    assert (result.labels != by_hand(tiny.network(), image)).mean() < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (31, 32), (5, 9)])
def test_small_pictures_are_segmented_as_with_their_edge_repeated(segmenter: Segmenter, size: tuple[int, int]) -> None:
    image = tiny.picture(2, *size)
    wide = np.pad(image, [(0, max(0, 32 - size[0])), (0, max(0, 32 - size[1])), (0, 0)], mode="edge")
    assert np.array_equal(segmenter(image).labels, segmenter(wide).labels[: size[0], : size[1]])


def test_sides_become_the_multiple_that_the_network_asks_for() -> None:
    model = tiny.network()
    plain = Segmenter(model)
    model.preprocess = replace(model.preprocess, multiple=32)
    image = tiny.picture(3, 70, 90)
    wide = np.pad(image, [(0, 96 - 70), (0, 96 - 90), (0, 0)], mode="edge")
    assert np.array_equal(Segmenter(model)(image).labels, plain(wide).labels[:70, :90])


def test_a_batch_of_different_sizes_keeps_its_order(segmenter: Segmenter) -> None:
    images = [tiny.picture(i, 40 + 8 * (i % 2), 60) for i in range(5)]
    together = segmenter.batch(images)
    for image, result in zip(images, together):
        assert result.image is image
        assert (result.labels != segmenter(image).labels).mean() < 1e-3
    assert segmenter.batch([]) == []


def test_paths_arrays_and_pil_images_are_the_same_picture(segmenter: Segmenter, tmp_path: Path) -> None:
    image = tiny.picture(4)
    cv2.imwrite(str(tmp_path / "a.png"), image[:, :, ::-1])
    expected = segmenter(image).labels
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        assert np.array_equal(segmenter(given).labels, expected)


def test_the_order_of_channels_belongs_to_the_network() -> None:
    model = tiny.network()
    image = tiny.picture(5)
    expected = Segmenter(model)(np.ascontiguousarray(image[:, :, ::-1])).labels
    first = model.detail[0][0].weight
    model.preprocess = replace(model.preprocess, order="BGR", mean=model.preprocess.mean, std=model.preprocess.std)
    assert np.array_equal(Segmenter(model)(image).labels, expected)
    assert first is model.detail[0][0].weight  # the network handed over is not changed


def test_weights_say_everything(tmp_path: Path) -> None:
    segmenter = Segmenter(tiny.weights(tmp_path / "w.safetensors"))
    result = segmenter(tiny.picture(0))
    assert result.class_names == tiny.NAMES and list(result.colors) == tiny.COLORS
    assert (result.labels != Segmenter(tiny.network())(tiny.picture(0)).labels).mean() < 1e-3


def test_a_network_without_a_history_gets_names_and_distinct_colors(segmenter: Segmenter) -> None:
    assert segmenter.class_names == ["class 0", "class 1", "class 2", "class 3"]
    many = Segmenter(tiny.swath.create_model("contextnet14_160", num_classes=150))
    assert len(set(many.colors)) == 150


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_channels(channels: int) -> None:
    segmenter = Segmenter(tiny.network(in_channels=channels))
    image = np.repeat(tiny.picture(0)[:, :, :1], channels, axis=2)
    result = segmenter(image)
    assert result.labels.shape == image.shape[:2]
    assert result.overlay().shape == (*image.shape[:2], 3)
    with pytest.raises(SwathError, match=f"height x width x {channels}"):
        segmenter(tiny.picture(0))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 3), np.float32),
        np.zeros((0, 40, 3), np.uint8),
        np.zeros((1, 40, 40, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(segmenter: Segmenter, image: np.ndarray) -> None:
    with pytest.raises(SwathError, match="uint8 array height x width x 3"):
        segmenter(image)


def test_other_things_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(SwathError, match="not list"):
        segmenter([1, 2])  # type: ignore[arg-type]


def test_files_that_cannot_be_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="no such file"):
        Segmenter(tmp_path / "none.onnx")
    (tmp_path / "a.pth").write_bytes(b"x")
    with pytest.raises(SwathError, match=r"it runs \.safetensors, \.onnx"):
        Segmenter(tmp_path / "a.pth")
    for suffix in (".safetensors", ".onnx", ".pt", ".pt2"):
        damaged = tmp_path / f"a{suffix}"
        damaged.write_bytes(b"this is nothing of the kind")
        with pytest.raises(SwathError, match="not a readable"):
            Segmenter(damaged)


def test_devices_and_precisions_that_are_not_there_are_refused() -> None:
    with pytest.raises(SwathError, match="try --device cpu"):
        Segmenter(tiny.network(), "quantum")
    if not torch.cuda.is_available():
        with pytest.raises(SwathError, match="device 'cuda' cannot be used"):
            Segmenter(tiny.network(), "cuda")
    with pytest.raises(SwathError, match="unknown precision 'float8'"):
        Segmenter(tiny.network(), dtype="float8")


def test_half_precision_is_close() -> None:
    image = tiny.picture(6)
    exact = Segmenter(tiny.network())(image).labels
    assert (Segmenter(tiny.network(), dtype="bfloat16")(image).labels != exact).mean() < 0.15


def test_networks_that_take_more_than_a_picture_are_refused() -> None:
    model = tiny.network()
    model.inputs = {"image": 3, "flow": 2}
    with pytest.raises(SwathError, match="takes image and flow"):
        Segmenter(model)


def test_of_several_tasks_segmentation_is_taken() -> None:
    class Two(type(tiny.network())):  # type: ignore[misc]
        def forward_logits(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = super().forward_logits(*inputs)
            return {"depth": logits[:, :1] * 0, "segmentation": logits}

    model = tiny.network()
    expected = Segmenter(model)(tiny.picture(0)).labels
    model.__class__ = Two
    model.tasks = {"depth": 1, "segmentation": 4}
    assert np.array_equal(Segmenter(model)(tiny.picture(0)).labels, expected)
