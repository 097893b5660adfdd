"""The cards that come with swath, against the facts of their datasets, on small trees of each layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, list_cards, load_card
from swath.cards import Card

CLASSES = {
    "ade20k": 150,
    "ade20k151": 151,
    "ade20k32": 32,
    "bdd100k": 19,
    "camvid": 11,
    "camvid-contextnet": 11,
    "camvid-exact": 11,
    "cityscapes": 19,
    "cityscapes-categories": 7,
    "cityscapes-color": 19,
    "cityscapes-multitask": 19,
    "cityscapes-multitask-confidence": 19,
    "cityscapes-trainids": 19,
    "cityscapes34": 34,
    "cityscapes5": 5,
    "cocoseg21": 21,
    "cocoseg81": 81,
    "kitti6": 6,
    "mapillary": 65,
    "mapillary-instances": 65,
    "mapillary66": 66,
    "nyuv2": 40,
    "pascal-context": 60,
    "pascal-context-alphabetical": 60,
    "pascal-context59": 59,
    "pascal-context59-alphabetical": 59,
    "person-part": 7,
    "sbd": 21,
    "streets": 11,
    "voc": 21,
}


def put(path: Path, array: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if palette:
        picture.putpalette(list(range(256)) * 3)
    picture.save(path)


def labels_of(
    card: Card, root: Path, split: str, raw: np.ndarray, image: str, label: str, palette: bool = False
) -> list[int]:
    """Write one picture and its label, open the split, and give the train ids."""
    put(root / image, np.zeros((*raw.shape[:2], 3), np.uint8))
    put(root / label, raw, palette)
    source = card.open(split, root)
    assert len(source) == 1
    return source.labels(0).ravel().tolist()


def row(*values: int, deep: bool = False) -> np.ndarray:
    return np.array([values], np.uint16 if deep else np.uint8)


def test_all_cards_are_known() -> None:
    assert {name: load_card(name).num_classes for name in list_cards()} == CLASSES


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_card_is_whole(name: str) -> None:
    card = load_card(name)
    assert card.name == name and card.title and card.splits
    assert len(set(card.class_names)) == card.num_classes
    for readings in card.layouts.values():
        for reading in readings.values():
            reached = set(reading.table.ids.values()) | {reading.table.others}
            assert set(range(card.num_classes)) <= reached
            assert reached <= {*range(card.num_classes), 255, None}
    assert all(load_card(alias) is card for alias in card.aliases)


def test_cityscapes_reads_raw_ids(tmp_path: Path) -> None:
    image = "leftImg8bit/{}/ulm/ulm_000001_000019_leftImg8bit.png"
    label = "gt{0}/{1}/ulm/ulm_000001_000019_gt{0}_labelIds.png"
    official = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    card = load_card("cityscapes")
    got = labels_of(card, tmp_path, "train", row(*range(34)), image.format("train"), label.format("Fine", "train"))
    assert got == [official.index(value) if value in official else 255 for value in range(34)]
    assert card.open("train", tmp_path).name(0) == "ulm/ulm_000001_000019"
    coarse = label.format("Coarse", "train_extra")
    assert labels_of(card, tmp_path, "trainextra", row(26), image.format("train_extra"), coarse) == [13]
    put(tmp_path / image.format("test"), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(SwathError, match="has no labels"):
        card.open("test", tmp_path).labels(0)
    put(tmp_path / label.format("Fine", "train"), row(*range(33), 34))
    with pytest.raises(SwathError, match=r"labelIds\.png: value 34 in 1 pixels.*cityscapes\.yaml:\d+"):
        card.open("train", tmp_path).labels(0)
    seven = load_card("cityscapes-categories")
    assert seven.class_names == ["flat", "construction", "object", "nature", "sky", "human", "vehicle"]
    got = labels_of(seven, tmp_path, "val", row(7, 9, 12, 33), image.format("val"), label.format("Fine", "val"))
    assert got == [0, 255, 1, 6]
    assert len(card.categories) == 7


def test_camvid_segnet_lists_begin_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("/SegNet/CamVid/val/0016E5_07959.png /SegNet/CamVid/valannot/0016E5_07959.png\n")
    card = load_card("camvid")
    names = "val/0016E5_07959.png", "valannot/0016E5_07959.png"
    assert labels_of(card, tmp_path, "val", row(0, 10, 11), *names) == [0, 10, 255]
    assert card.class_names[:4] == ["Sky", "Building", "Pole", "Road"]


@pytest.mark.parametrize("folders", [("701_StillsRaw_full", "LabeledApproved_full"), ("images", "labels")])
def test_camvid_in_its_original_colors(tmp_path: Path, folders: tuple[str, str]) -> None:
    card = load_card("camvid")
    colors = np.array([[[128, 128, 128], [192, 0, 128], [0, 0, 192], [0, 0, 0], [192, 0, 192]]], np.uint8)
    for split, readings in card.layouts["original"].items():
        for name in readings.ids or ("Seq05VD_f00000",):
            put(tmp_path / folders[0] / f"{name}.png", np.zeros((1, 5, 3), np.uint8))
            put(tmp_path / folders[1] / f"{name}_L.png", colors)
            if split == "val":
                break
    for split in ("train", "test"):
        if split == "train":
            assert len(card.open(split, tmp_path)) == 367
    source = card.open("train", tmp_path)
    assert source.labels(0).ravel().tolist() == [0, 1, 4, 255, 10]
    exact = load_card("camvid-exact").open("train", tmp_path)
    assert exact.labels(0).ravel().tolist() == [0, 255, 4, 255, 255]
    readings = card.layouts["original"]
    assert not set(readings["train"].ids or ()) & set(readings["val"].ids or ())
    assert len(readings["val"].ids or ()) == 101
    rest = card.open("test", tmp_path)
    assert [rest.name(i) for i in range(len(rest))] == ["Seq05VD_f00000"]


@pytest.mark.parametrize(
    ("image", "label", "layout"),
    [
        ("val/images/a.png", "val/labels/a_P.png", "indexed32_folders"),
        ("images/validation/a.png", "annotations/validation/a.png", "annotations"),
    ],
)
def test_camvid_in_folders(tmp_path: Path, image: str, label: str, layout: str) -> None:
    card = load_card("camvid")
    got = labels_of(card, tmp_path, "val", row(0, 4, 11), image, label)
    assert got == ([9, 1, 3] if layout == "indexed32_folders" else [0, 4, 255])
    assert card.open("val", tmp_path).reading.layout == layout  # type: ignore[attr-defined]


def test_camvid_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match=r"looked for segnet: val\.txt; original: 701_StillsRaw_full"):
        load_card("camvid").open("val", tmp_path)


def test_other_datasets_read_their_own_values(tmp_path: Path) -> None:
    def read(name: str, split: str, raw: np.ndarray, image: str, label: str, palette: bool = False) -> list[int]:
        return labels_of(load_card(name), tmp_path / name, split, raw, image, label, palette)

    ade = "images/validation/ADE_val_1.jpg", "annotations/validation/ADE_val_1.png"
    assert read("ade20k", "val", row(0, 1, 150), *ade) == [255, 0, 149]
    assert read("ade20k32", "val", row(0, 1, 31, 32, 150), *ade) == [0, 1, 31, 0, 0]
    vistas = "validation/images/k.jpg", "validation/labels/k.png"
    assert read("mapillary", "val", row(0, 64, 65), *vistas, palette=True) == [0, 64, 255]
    deep = row(64 * 256, 65 * 256 + 3, 7, deep=True)
    assert read("mapillary-instances", "val", deep, vistas[0], "validation/instances/k.png") == [64, 255, 0]
    bdd = "seg/images/val/x.jpg", "seg/labels/val/x_train_id.png"
    assert read("deepdrive", "val", row(0, 18, 255), *bdd) == [0, 18, 255]
    (tmp_path / "voc/ImageSets/Segmentation").mkdir(parents=True)
    (tmp_path / "voc/ImageSets/Segmentation/val.txt").write_text("2007_1\n")
    voc = "JPEGImages/2007_1.jpg", "SegmentationClass/2007_1.png"
    assert read("voc", "val", row(0, 20, 255), *voc, palette=True) == [0, 20, 255]
    (tmp_path / "nyuv2").mkdir()
    (tmp_path / "nyuv2/val.nyu").write_text("val_images/1.png\tval_labels/1.png\n")
    assert read("nyuv2", "val", row(0, 39, 255), "val_images/1.png", "val_labels/1.png", True) == [0, 39, 255]
    (tmp_path / "nyuv2/val.nyu").write_text("val_images/1.png\tval_labels/1.png\tdepth/1.png\tnormals/1.png\n")
    assert read("nyuv2", "val", row(0, 39, 255), "val_images/1.png", "val_labels/1.png", True) == [0, 39, 255]
    (tmp_path / "kitti6").mkdir()
    (tmp_path / "kitti6/val.txt").write_text("a.png\ta_l.png\ta_d.png\n")
    colors = np.array([[[128, 128, 128], [64, 0, 128], [0, 0, 0]]], np.uint8)
    assert read("kitti6", "val", colors, "a.png", "a_l.png") == [0, 5, 255]


def test_pascal_context_by_index_colors_and_the_long_list(tmp_path: Path) -> None:
    card = load_card("pascal-context")
    shown = card.palette()[[0, 46, 59]][None]
    for folder, raw in (("masks", row(0, 46, 59)), ("masks_color", shown)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "val.txt").write_text("1\n")
        assert labels_of(card, tmp_path / folder, "val", raw, "JPEGImages/1.jpg", f"{folder}/1.png") == [0, 46, 59]
    (tmp_path / "val.txt").write_text("1\n")
    raw = row(2, 427, 3, deep=True)
    assert labels_of(card, tmp_path, "val", raw, "JPEGImages/1.jpg", "masks_459/1.png") == [1, 20, 0]


def test_streets_take_options() -> None:
    with pytest.raises(SwathError, match="did you mean 'count'"):
        load_card("streets").open("train", cuont=3)
    with pytest.raises(SwathError, match="card 'cityscapes' reads files and takes no"):
        load_card("cityscapes").open("train", count=3)
