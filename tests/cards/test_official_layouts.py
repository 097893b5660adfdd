"""A tiny tree of every layout of every shipped card, as the archives unpack, read back to train ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card

ULM = "ulm/ulm_000001_000019"
IMAGE = (2, 4)  # height and width of all pictures


@dataclass(frozen=True)
class Tree:
    """Files of one picture; `label` is written from `raw`, in the first four pixels of a row each."""

    card: str
    split: str
    image: str
    label: str
    raw: list[int] | list[tuple[int, int, int]]
    wanted: list[int]
    lists: dict[str, str] = field(default_factory=dict)
    layout: str | None = None
    kind: str = "grey"  # or palette, deep, GTcls, LabelMap


def voc2010(root: str) -> dict[str, str]:
    return {f"{root}ImageSets/Main/{split}.txt": f"{name}\n" for split, name in (("train", "a"), ("val", "b"))}


PP = "pascal_person_part/pascal_person_part"
PPL = "pascal_person_part_trainval_list"
IGN = 255
FINE, COARSE = [[7, 33, 0, 9], [0, 18, IGN, IGN]], [[26, 0, 11, 23], [13, IGN, 2, 10]]


def city(card: str, split: str, truth: str, raw: list, wanted: list) -> Tree:
    """Cityscapes' layout; the coarse splits have the pictures of `train` and `val`."""
    part = split.removesuffix("_coarse")
    image = f"leftImg8bit/{part}/{ULM}_leftImg8bit.png"
    return Tree(card, split, image, f"{truth.partition('_')[0]}/{part}/{ULM}_{truth}.png", raw, wanted)


COLORS = [(128, 64, 128), (0, 0, 142), (153, 153, 153), (0, 0, 0)]
CITY = [
    city("cityscapes", "train", "gtFine_labelIds", *FINE),
    city("cityscapes", "train_extra", "gtCoarse_labelIds", *COARSE),
    city("cityscapes", "train_coarse", "gtCoarse_labelIds", *COARSE),
    city("cityscapes", "val_coarse", "gtCoarse_labelIds", *COARSE),
    city("cityscapes-categories", "val", "gtFine_labelIds", [7, 9, 12, 33], [0, IGN, 1, 6]),
    city("cityscapes34", "val", "gtFine_labelIds", [0, 9, 18, 33], [0, 9, 18, 33]),
    city("cityscapes-trainids", "val", "gtFine_labelTrainIds", [0, 18, 255, 3], [0, 18, IGN, 3]),
    city("cityscapes-color", "val", "gtFine_color", COLORS, [0, 13, 5, IGN]),
    city("cityscapes-multitask", "val", "gtFine_labelIds", *FINE),
    city("cityscapes5", "val", "gtFine_labelTrainIds", [0, 3, 4, 255], [0, 3, 4, IGN]),
]
VISTAS = [
    Tree(
        card,
        "val",
        f"{before}validation/images/k.jpg",
        f"{before}validation/{inner}{folder}/k.png",
        raw,
        wanted,
        kind=kind,
    )
    for before in ("", "mapillary-vistas-dataset_public_v2.0/")
    for inner in ("", "v1.2/")
    for card, folder, raw, wanted, kind in (
        ("mapillary", "labels", [0, 64, 65, 13], [0, 64, IGN, 13], "palette"),
        ("mapillary66", "labels", [0, 64, 65, 13], [0, 64, 65, 13], "palette"),
        ("mapillary-instances", "instances", [64 * 256, 65 * 256 + 3, 7, 13 * 256 + 255], [64, IGN, 0, 13], "deep"),
    )
]
BDD = [
    Tree("bdd100k", "val", f"{before}{image}/val/x.jpg", f"{before}{label}", [0, 18, 255, 7], [0, 18, IGN, 7])
    for before, image, label in (
        ("", "images/10k", "labels/sem_seg/masks/val/x.png"),
        ("bdd100k/", "images/10k", "labels/sem_seg/masks/val/x.png"),
        ("bdd100k/", "seg/images", "seg/labels/val/x_train_id.png"),
        ("", "seg/images", "seg/labels/val/x_train_id.png"),
        ("", "images", "labels/val/x_train_id.png"),
    )
]
SEGNET = "/SegNet/CamVid/{0}/a.png /SegNet/CamVid/{0}annot/a.png\n"
CAMVID = [
    Tree("camvid", "val", f"{before}val/a.png", f"{before}valannot/a.png", [0, 10, 11, 3], [0, 10, IGN, 3],
         {f"{before}val.txt": SEGNET.format("val")}, "segnet")
    for before in ("", "CamVid/")
] + [
    Tree("camvid", "test", "701_StillsRaw_full/Seq05VD_f00000.png", "LabeledApproved_full/Seq05VD_f00000_L.png",
         [(128, 128, 128), (192, 0, 128), (0, 0, 192), (0, 0, 0)], [0, 1, 4, IGN], layout="original"),
    Tree("camvid-exact", "test", "701_StillsRaw_full/Seq05VD_f00000.png", "LabeledApproved_full/Seq05VD_f00000_L.png",
         [(128, 128, 128), (192, 0, 128), (0, 0, 192), (0, 0, 0)], [0, IGN, 4, IGN], layout="original"),
    Tree("camvid", "test", "images/Seq05VD_f00000.png", "labels/Seq05VD_f00000_L.png",
         [(192, 0, 192), (64, 0, 192), (0, 0, 64), (128, 0, 192)], [10, 9, 2, 3], layout="colors"),
    Tree("camvid-contextnet", "test", "images/Seq05VD_f00000.png", "labels/Seq05VD_f00000_P.png",
         [13, 18, 1, 17], [8, 3, IGN, 3], layout="indexed32"),
    Tree("camvid", "val", "val/images/a.png", "val/labels/a_P.png", [0, 4, 30, 17], [9, 1, IGN, 3],
         layout="indexed32_folders"),
    Tree("camvid", "val", "val/a.png", "val_labels/a_L.png",
         [(128, 128, 128), (192, 0, 128), (0, 0, 192), (0, 0, 0)], [0, 1, 4, IGN], layout="split_folders"),
    Tree("camvid", "val", "images/validation/a.png", "annotations/validation/a.png", [0, 10, 11, 3], [0, 10, IGN, 3],
         layout="annotations"),
]  # fmt: skip
ADE = [
    Tree(
        card,
        "val",
        f"{before}images/validation/ADE_val_1.jpg",
        f"{before}annotations/validation/ADE_val_1.png",
        [0, 1, 32, 150],
        wanted,
    )
    for before in ("", "ADEChallengeData2016/")
    for card, wanted in (("ade20k", [IGN, 0, 31, 149]), ("ade20k32", [0, 1, 0, 0]), ("ade20k151", [0, 1, 32, 150]))
]
VOC = [
    Tree("voc", split, f"{before}JPEGImages/a.jpg", f"{before}{folder}/a.png", [0, 20, 255, 15], [0, 20, IGN, 15],
         {f"{before}ImageSets/Segmentation/{split}.txt": "a\n"}, kind="palette")
    for before in ("", "VOC2012/", "VOCdevkit/VOC2012/")
    for split, folder in (("val", "SegmentationClass"), ("trainval", "SegmentationClass"),
                          ("trainaug", "SegmentationClassAug"), ("trainaug_noval", "SegmentationClassAug"))
] + [
    Tree("sbd", "train_noval", f"{before}img/a.jpg", f"{before}cls/a.mat", [0, 20, 7, 15], [0, 20, 7, 15],
         {f"{before}train_noval.txt": "a\n"}, kind="GTcls")
    for before in ("", "dataset/", "benchmark_RELEASE/dataset/")
]  # fmt: skip
PARTS = [
    Tree("person-part", "val", image, label, [0, 6, 255, 3], [0, 6, IGN, 3], {listed: "a\n"}, layout, "palette")
    for image, label, listed, layout in (
        ("VOCdevkit/VOC2010/JPEGImages/a.jpg", f"{PP}_gt/a.png", f"{PP}_trainval_list/val_id.txt", "official"),
        ("JPEGImages/a.jpg", "pascal_person_part_gt/a.png", f"{PPL}/val_id.txt", "together"),
        ("JPEGImages/a.jpg", "pascal_person_part_gt/a.png", "val_id.txt", "lists_beside"),
        ("JPEGImages/a.jpg", "SegmentationPart/a.png", "val_id.txt", "renamed"),
    )
]
CONTEXT = [
    Tree(card, "val", image, label, raw, [value - shift if value else (255 if shift else 0) for value in ids], lists,
         layout, kind)
    for card, shift in (("pascal-context", 0), ("pascal-context59", 1))
    for image, label, raw, ids, lists, layout, kind in (
        ("VOCdevkit/VOC2010/JPEGImages/b.jpg", "59_context_labels/b.png", [0, 1, 46, 59], [0, 1, 46, 59],
         voc2010("VOCdevkit/VOC2010/"), "official59", "grey"),
        ("VOCdevkit/VOC2010/JPEGImages/b.jpg", "trainval/b.mat", [3, 2, 324, 458], [0, 1, 46, 59],
         voc2010("VOCdevkit/VOC2010/"), "official459", "LabelMap"),
        ("JPEGImages/b.jpg", "59_context_labels/b.png", [0, 1, 46, 59], [0, 1, 46, 59], voc2010(""), "voc2010_59",
         "grey"),
        ("JPEGImages/b.jpg", "trainval/b.mat", [3, 2, 324, 458], [0, 1, 46, 59], voc2010(""), "voc2010_459",
         "LabelMap"),
        ("JPEGImages/b.jpg", "masks/b.png", [0, 1, 46, 59], [0, 1, 46, 59], {"val.txt": "b\n"}, "index", "palette"),
        ("JPEGImages/b.jpg", "masks_color/b.png", [(0, 0, 0), (128, 0, 0), (64, 128, 192), (192, 192, 64)],
         [0, 1, 46, 59], {"val.txt": "b\n"}, "colors", "grey"),
        ("JPEGImages/b.jpg", "masks_459/b.png", [3, 2, 324, 458], [0, 1, 46, 59], {"val.txt": "b\n"}, "context459",
         "deep"),
    )
] + [
    Tree(card, "val", f"{before}JPEGImages/b.jpg", f"{before}SegmentationClassContext/b.png", [0, 1, 59, 46], wanted,
         {f"{before}ImageSets/SegmentationContext/val.txt": "b\n"})
    for before in ("", "VOCdevkit/VOC2010/")
    for card, wanted in (("pascal-context-alphabetical", [0, 1, 59, 46]),
                         ("pascal-context59-alphabetical", [IGN, 0, 58, 45]))
]  # fmt: skip
LISTED = [
    Tree("nyuv2", "train", "train_images/000003.png", "train_labels/000003.png", [0, 39, 255, 5], [0, 39, IGN, 5],
         lists, layout, "palette")
    for lists, layout in (
        ({"train.nyu": "train_images/000003.png\ttrain_labels/000003.png\n"}, "lists"),
        ({"train.nyu": "/home/vn/nyud/train_images/000003.png\t/home/vn/nyud/train_labels/000003.png\n"}, "lists"),
        ({}, "folders"),
    )
] + [
    Tree("kitti6", "val", "rgb/1.png", "masks/1.png", [(128, 128, 128), (64, 0, 128), (0, 0, 0), (0, 0, 192)],
         [0, 5, IGN, 3], {"val.txt": "rgb/1.png\tmasks/1.png\tdepth/1.png\n"}),
]  # fmt: skip
TREES = [*CITY, *VISTAS, *BDD, *CAMVID, *ADE, *VOC, *PARTS, *CONTEXT, *LISTED]


def put(path: Path, array: np.ndarray, kind: str = "grey") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind in ("GTcls", "LabelMap"):
        savemat = pytest.importorskip("scipy.io").savemat
        savemat(path, {"GTcls": {"Segmentation": array, "Boundaries": array}} if kind == "GTcls" else {kind: array})
        return
    picture = Image.fromarray(array)
    if kind == "palette":
        picture.putpalette([(7 * value) % 256 for value in range(768)])
    picture.save(path)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: f"{tree.card}-{tree.split}-{tree.label.replace('/', '.')}")
def test_a_tree_as_it_is_unpacked(tmp_path: Path, tree: Tree) -> None:
    put(tmp_path / tree.image, np.full((*IMAGE, 3), 90, np.uint8))
    raw = np.array([tree.raw] * IMAGE[0], np.uint16 if tree.kind == "deep" or tree.kind == "LabelMap" else np.uint8)
    put(tmp_path / tree.label, raw, tree.kind)
    for name, text in tree.lists.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if "Seq05VD" in tree.image:  # the test pictures are those of neither train nor val, which must be there then
        for name in ("0001TP_006690", "0016E5_07959"):
            put((tmp_path / tree.image).with_name(f"{name}.png"), np.zeros((1, 1, 3), np.uint8))
    source = load_card(tree.card).open(tree.split, tmp_path)
    assert len(source) == 1
    assert source.labels(0).tolist() == [tree.wanted] * IMAGE[0]
    assert tree.layout is None or source.reading.layout == tree.layout  # type: ignore[attr-defined]


def test_every_layout_has_a_tree() -> None:
    """Of the cards with layouts each is tried; those of cards that only read the same files otherwise are not."""
    tried = {(tree.card, tree.layout) for tree in TREES if tree.layout}
    for name in ("camvid", "pascal-context", "pascal-context59", "person-part", "nyuv2"):
        for layout in load_card(name).layouts:
            if (name, layout) != ("camvid", "indexed32"):  # the tree of camvid-contextnet
                assert (name, layout) in tried


def test_splits_without_labels_open_for_prediction(tmp_path: Path) -> None:
    put(tmp_path / "city/leftImg8bit/test/a/a_leftImg8bit.png", np.zeros((2, 2, 3), np.uint8))
    put(tmp_path / "city/leftImg8bit/demoVideo/s/s_leftImg8bit.png", np.zeros((2, 2, 3), np.uint8))
    put(tmp_path / "vistas/testing/images/k.jpg", np.zeros((2, 2, 3), np.uint8))
    for name, split, folder in (("cityscapes", "test", "city"), ("cityscapes", "demo", "city"),
                                ("mapillary", "test", "vistas")):  # fmt: skip
        source = load_card(name).open(split, tmp_path / folder)
        assert source.image(0).shape == (2, 2, 3)
        with pytest.raises(SwathError, match="has no labels"):
            source.labels(0)


def test_both_annotations_of_context_are_no_question(tmp_path: Path) -> None:
    put(tmp_path / "VOCdevkit/VOC2010/JPEGImages/b.jpg", np.zeros((1, 2, 3), np.uint8))
    put(tmp_path / "59_context_labels/b.png", np.array([[46, 0]], np.uint8))
    put(tmp_path / "trainval/b.mat", np.array([[2, 3]], np.uint16), "LabelMap")
    for name, text in voc2010("VOCdevkit/VOC2010/").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    card = load_card("pascal-context")
    assert card.open("val", tmp_path).labels(0).tolist() == [[46, 0]]
    assert card.open("val", tmp_path, layout="official459").labels(0).tolist() == [[1, 0]]


@pytest.mark.parametrize("images", ["images/val2017", "val2017", "coco/val2017"])
def test_coco_as_it_is_unpacked(tmp_path: Path, images: str) -> None:
    put(tmp_path / images / "000000000139.jpg", np.zeros((4, 4), np.uint8))  # grey, as some are
    put(tmp_path / images / "000000000285.jpg", np.zeros((4, 4, 3), np.uint8))
    box = [0, 0, 2, 0, 2, 4, 0, 4]
    told = {
        "images": [{"id": n, "file_name": f"{n:012d}.jpg", "height": 4, "width": 4} for n in (285, 139)],
        "annotations": [
            {"id": 1, "image_id": 139, "category_id": 1, "area": 1001, "iscrowd": 0, "segmentation": [box]},
            {"id": 2, "image_id": 285, "category_id": 90, "area": 5000, "iscrowd": 0, "segmentation": [box]},
        ],
        "categories": [],
    }
    file = tmp_path / ("coco" if "coco" in images else "") / "annotations/instances_val2017.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(told))
    card = load_card("cocoseg21")
    source = card.open("val", tmp_path)
    assert [source.name(i) for i in range(len(source))] == ["000000000139"]
    assert source.labels(0)[0].tolist() == [15, 15, 0, 0] and source.image(0).shape == (4, 4, 3)
    every = card.open("val_all", tmp_path)
    assert len(every) == 2 and not every.labels(1).any()
    toothbrush = load_card("cocoseg81").open("val_all", tmp_path).labels(1)
    assert toothbrush[0].tolist() == [80, 80, 0, 0]
