"""Depth, flow, motion and instances that lie beside the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card
from swath.data import Windows, WindowSpec
from swath.data.source import read_parts, supplied

ULM = "ulm/ulm_000001_000019"
HEIGHT, WIDTH = 4, 6


def put(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Cityscapes with all companions of one picture."""
    put(tmp_path / f"leftImg8bit/train/{ULM}_leftImg8bit.png", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    put(tmp_path / f"gtFine/train/{ULM}_gtFine_labelIds.png", np.full((HEIGHT, WIDTH), 7, np.uint8))
    disparity = np.zeros((HEIGHT, WIDTH), np.uint16)
    disparity[0] = [0, 1, 257, 2561, 60001, 5]
    put(tmp_path / f"disparity/train/{ULM}_disparity.png", disparity)
    camera = tmp_path / f"camera/train/{ULM}_camera.json"
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 1000.0, "fy": 1.0}}))
    flow = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    flow[0, 0] = (130, 120, 192)
    put(tmp_path / f"leftImg8bit_flow_farneback/train/{ULM}_leftImg8bit.png", flow)
    motion = np.zeros((HEIGHT, WIDTH), np.uint8)
    motion[1] = 255
    put(tmp_path / f"gtFine/train/{ULM}_gtFine_labelTrainIds_motion.png", motion)
    return tmp_path


def test_cityscapes_companions(city: Path) -> None:
    source = load_card("cityscapes-multitask").open("train", city)
    assert supplied(source) == {"depth": 1, "flow": 3, "motion": 1}
    parts = read_parts(source, 0, ("image", "labels", "depth", "flow", "motion"))
    # 0 and 1 are not measured; then 200 / 1 and 200 / 10 m, and what is nearer than 1 m or farther than 255 m
    assert parts["depth"].dtype == np.float32
    assert np.allclose(parts["depth"][0], [0, 0, 200, 20, 1, 255], rtol=1e-6) and not parts["depth"][1:].any()
    assert parts["flow"].dtype == np.float32 and parts["flow"][0, 0].tolist() == [2, -8, 0.5]
    assert not parts["flow"][1:].any()
    assert parts["motion"].dtype == np.uint8 and parts["motion"][:, 0].tolist() == [0, 1, 0, 0]


def test_windows_cut_them(city: Path) -> None:
    source = load_card("cityscapes-multitask").open("train", city)
    spec = WindowSpec(size=(HEIGHT, WIDTH), scale=(1, 1), flip=1)
    cut = Windows(source, spec, maps=("depth", "flow", "motion"))[0, 0]
    assert np.allclose(cut["depth"][0], [255, 1, 20, 200, 0, 0], rtol=1e-6)
    assert cut["flow"].shape == (3, HEIGHT, WIDTH) and cut["flow"][:, 0, -1].tolist() == [-2, -8, 0.5]
    assert cut["motion"][1].tolist() == [1] * WIDTH


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("depth", f"disparity/train/{ULM}_disparity.png"),
        ("depth", f"camera/train/{ULM}_camera.json"),
        ("flow", f"leftImg8bit_flow_farneback/train/{ULM}_leftImg8bit.png"),
        ("motion", f"gtFine/train/{ULM}_gtFine_labelTrainIds_motion.png"),
    ],
)
def test_a_missing_companion_is_named_when_it_is_asked_for(city: Path, name: str, file: str) -> None:
    (city / file).unlink()
    source = load_card("cityscapes-multitask").open("train", city)
    assert source.labels(0).max() == 0
    with pytest.raises(SwathError, match=file.rsplit("_", 1)[0] + r".*cityscapes-multitask\.yaml:\d+ \(maps"):
        read_parts(source, 0, [name])


def test_wrong_companions_are_refused(city: Path) -> None:
    source = load_card("cityscapes-multitask").open("train", city)
    camera = city / f"camera/train/{ULM}_camera.json"
    for text, said in (("{}", "extrinsic.baseline"), ("{", "extrinsic.baseline"), (camera.read_text(), None)):
        if said:
            camera.write_text(text)
            with pytest.raises(SwathError, match=said):
                read_parts(source, 0, ["depth"])
    camera.write_text('{"extrinsic": {"baseline": -1}, "intrinsic": {"fx": 2}}')
    with pytest.raises(SwathError, match="above 0"):
        read_parts(source, 0, ["depth"])
    put(city / f"gtFine/train/{ULM}_gtFine_labelTrainIds_motion.png", np.full((HEIGHT, WIDTH), 3, np.uint8))
    with pytest.raises(SwathError, match=r"motion\.png: value 3 in 24 pixels"):
        read_parts(source, 0, ["motion"])
    put(city / f"gtFine/train/{ULM}_gtFine_labelTrainIds_motion.png", np.zeros((WIDTH, HEIGHT), np.uint8))
    with pytest.raises(SwathError, match=r"is 4 x 6 pixels, but its picture .* is 6 x 4"):
        read_parts(source, 0, ["motion"])
    put(city / f"leftImg8bit_flow_farneback/train/{ULM}_other.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(SwathError, match="2 files fit"):
        read_parts(source, 0, ["flow"])
    with pytest.raises(SwathError, match="unknown map of card 'cityscapes-multitask'"):
        read_parts(source, 0, ["normals"])
    assert supplied(load_card("cityscapes").open("train", city)) == {}


def test_flow_with_confidence_and_five_classes(city: Path) -> None:
    flow = np.full((HEIGHT, WIDTH, 3), 0, np.uint8)
    put(city / f"leftImg8bit_flow_farneback_confidence/train/{ULM}_leftImg8bit.png", flow)
    source = load_card("cityscapes-multitask-confidence").open("train", city)
    assert read_parts(source, 0, ["flow"])["flow"][0, 0].tolist() == [-128, -128, -1]
    put(city / f"gtFine/train/{ULM}_gtFine_labelTrainIds.png", np.full((HEIGHT, WIDTH), 3, np.uint8))
    five = load_card("cityscapes5").open("train", city)
    assert supplied(five) == {"depth": 1, "flow": 3, "motion": 1} and five.labels(0).max() == 3


def test_lists_name_depth(tmp_path: Path) -> None:
    for name in ("1", "2"):
        put(tmp_path / f"rgb/{name}.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        put(tmp_path / f"masks/{name}.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    put(tmp_path / "depth/1.png", np.full((HEIGHT, WIDTH), 7490, np.uint16))
    lines = ["rgb/1.png\tmasks/1.png\tdepth/1.png\tnormals/1.png", "rgb/2.png\tmasks/2.png\t\tnormals/2.png"]
    (tmp_path / "train.nyu").write_text("\n".join(lines))
    source = load_card("nyuv2").open("train", tmp_path)
    assert supplied(source) == {"depth": 1}
    assert np.allclose(read_parts(source, 0, ["depth"])["depth"], 1.498)
    assert not read_parts(source, 1, ["depth"])["depth"].any()  # the line lacks it: nothing is measured
    (tmp_path / "train.nyu").write_text("rgb/2.png\tmasks/2.png\n")
    assert supplied(load_card("nyuv2").open("train", tmp_path)) == {}
    (tmp_path / "train.nyu").write_text("rgb/2.png\tmasks/2.png\tdepth/9.png\n")
    with pytest.raises(SwathError, match=r"depth/9\.png: there is no such depth file of .*rgb/2\.png"):
        read_parts(load_card("nyuv2").open("train", tmp_path), 0, ["depth"])
    put(tmp_path / "masks/1.png", np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    (tmp_path / "train.txt").write_text("rgb/1.png masks/1.png depth/1.png\n")
    kitti = load_card("kitti6").open("train", tmp_path)
    assert np.allclose(read_parts(kitti, 0, ["depth"])["depth"], 7490 / 800) and not kitti.labels(0).any()


def test_instances(city: Path) -> None:
    source = load_card("cityscapes").open("train", city)
    with pytest.raises(SwathError, match="instanceIds"):
        source.instances(0)  # type: ignore[attr-defined]
    numbers = np.full((HEIGHT, WIDTH), 26001, np.uint16)
    put(city / f"gtFine/train/{ULM}_gtFine_instanceIds.png", numbers)
    found = source.instances(0)  # type: ignore[attr-defined]
    assert found.dtype == np.int32 and found.shape == (HEIGHT, WIDTH) and (found == 26001).all()
    put(city / f"gtFine/train/{ULM}_gtFine_instanceIds.png", numbers.T)
    with pytest.raises(SwathError, match="is 4 x 6 pixels"):
        source.instances(0)  # type: ignore[attr-defined]
    (city / "card.yaml").write_text(
        "name: x\nclasses: [a]\nimages: 'leftImg8bit/train/{id}_leftImg8bit.png'\n"
        "labels: 'gtFine/train/{id}_gtFine_labelIds.png'\nlabel_values: {others: a}\n"
    )
    with pytest.raises(SwathError, match="names no files of instances"):
        load_card(city / "card.yaml").open("all").instances(0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ("{dept: {files: 'd/{id}.png'}}", "did you mean 'depth'"),
        ("{depth: {files: 'd/{id}.png'}}", "either 'per_metre'.*or 'camera'"),
        ("{depth: {per_metre: 5000}}", "needs 'files', or a column"),
        ("{depth: {files: 'd/x.png', per_metre: 5000}}", "must hold {id} once"),
        ("{depth: {files: 'd/{id}.png', per_metre: 5000, range: [9, 3]}}", "must be below"),
        ("{flow: {files: 'd/{id}.png', channels: 4}}", "from 2 to 3"),
        ("{motion: {files: 'd/{id}.png'}}", "needs 'values'"),
        ("{motion: {files: 'd/{id}.png', values: {0: walking}}}", "one of still, moving, ignore"),
        ("{motion: {files: 'd/{id}.png', values: {x: moving}}}", "must be a value"),
    ],
)
def test_wrong_maps_are_refused(tmp_path: Path, maps: str, said: str) -> None:
    (tmp_path / "card.yaml").write_text(
        f"name: x\nclasses: [a]\nimages: 'i/{{id}}.png'\nlabels: 'l/{{id}}.png'\nmaps: {maps}\n"
    )
    with pytest.raises(SwathError, match=said):
        load_card(tmp_path / "card.yaml")
