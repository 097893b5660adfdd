"""Made-up datasets in the official layouts: four pictures to train on, two to validate or test, each 96 x 64."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

SPLITS = (("train", 4), ("val", 2))


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8))


def label(path: Path, seed: int, values: Sequence[int], kind: type = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed + 100).choice(values, (8, 12)).astype(kind)
    cv2.imwrite(str(path), np.repeat(np.repeat(blocks, 8, 0), 8, 1))


def cityscapes(root: Path) -> None:
    for split, count in SPLITS:
        for i in range(count):
            name = f"{split}/aachen/aachen_{i:06d}_{len(split):06d}"
            picture(root / f"leftImg8bit/{name}_leftImg8bit.png", i)
            label(root / f"gtFine/{name}_gtFine_labelIds.png", i, range(34))


def cityscapes5(root: Path) -> None:
    """With what EdgeAI-Lite adds: its own labels, flow and motion, beside the official disparities and cameras."""
    for split, count in SPLITS:
        for i in range(count):
            name = f"{split}/aachen/aachen_{i:06d}_{len(split):06d}"
            picture(root / f"leftImg8bit/{name}_leftImg8bit.png", i)
            label(root / f"gtFine/{name}_gtFine_labelTrainIds.png", i, [*range(5), 255])
            label(root / f"gtFine/{name}_gtFine_labelTrainIds_motion.png", i, [0, 255])
            label(root / f"disparity/{name}_disparity.png", i, [0, 2561, 7681], np.uint16)
            picture(root / f"leftImg8bit_flow_farneback/{name}_flow.png", i)
            camera = root / f"camera/{name}_camera.json"
            camera.parent.mkdir(parents=True, exist_ok=True)
            camera.write_text(json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2262.0}}))


def bdd100k(root: Path) -> None:
    for split, count in SPLITS:
        for i in range(count):
            picture(root / f"images/10k/{split}/{i:08x}.jpg", i)
            label(root / f"labels/sem_seg/masks/{split}/{i:08x}.png", i, [*range(19), 255])


def camvid(root: Path) -> None:
    for split, count in (*SPLITS, ("test", 2)):
        lines = []
        for i in range(count):
            name = f"{len(split)}{split[0]}{i:03d}"
            picture(root / f"{split}/{name}.png", i)
            label(root / f"{split}annot/{name}.png", i, range(12))
            lines.append(f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png")
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")


def mapillary(root: Path) -> None:
    for split, count in (("training", 4), ("validation", 2)):
        for i in range(count):
            picture(root / f"{split}/images/{split[0]}{i}.jpg", i)
            label(root / f"{split}/labels/{split[0]}{i}.png", i, range(66))


def nyuv2(root: Path) -> None:
    for split, count in SPLITS:
        lines = []
        for i in range(count):
            name = f"{split}{i:06d}.png"
            picture(root / f"rgb/{name}", i)
            label(root / f"masks/{name}", i, [*range(40), 255])
            label(root / f"depth/{name}", i, [0, 7490, 29649], np.uint16)
            lines.append(f"rgb/{name}\tmasks/{name}\tdepth/{name}")
        (root / f"{split}.nyu").write_text("\n".join(lines) + "\n")


def _listed(root: Path, file: str, names: Sequence[str]) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(names) + "\n")


def voc(root: Path) -> None:
    root = root / "VOCdevkit/VOC2012"
    for split, count in (*SPLITS, ("trainaug_noval", 4)):
        names = [f"2007_{len(split):03d}{i:03d}" for i in range(count)]
        folder = "SegmentationClassAug" if "aug" in split else "SegmentationClass"
        for i, name in enumerate(names):
            picture(root / f"JPEGImages/{name}.jpg", i)
            label(root / f"{folder}/{name}.png", i, [*range(21), 255])
        _listed(root, f"ImageSets/Segmentation/{split}.txt", names)


def sbd(root: Path) -> None:
    from scipy.io import savemat

    root = root / "benchmark_RELEASE/dataset"
    (root / "cls").mkdir(parents=True)
    for split, count in (("train_noval", 4), ("val", 2)):
        names = [f"2008_{len(split):03d}{i:03d}" for i in range(count)]
        for i, name in enumerate(names):
            picture(root / f"img/{name}.jpg", i)
            blocks = np.random.default_rng(i).integers(0, 21, (8, 12), np.uint8)
            savemat(root / f"cls/{name}.mat", {"GTcls": {"Segmentation": np.kron(blocks, np.ones((8, 8), np.uint8))}})
        _listed(root, f"{split}.txt", names)


def person_part(root: Path) -> None:
    lists = "pascal_person_part/pascal_person_part_trainval_list/{}_id.txt"
    _on_voc2010(root, "pascal_person_part/pascal_person_part_gt", 7, lists)


def pascal_context(root: Path) -> None:
    _on_voc2010(root, "59_context_labels", 60, "VOCdevkit/VOC2010/ImageSets/Main/{}.txt")


def _on_voc2010(root: Path, maps: str, classes: int, lists: str) -> None:
    """Other people's label maps of VOC 2010's pictures."""
    for split, count in SPLITS:
        names = [f"2008_{len(split):03d}{i:03d}" for i in range(count)]
        for i, name in enumerate(names):
            picture(root / f"VOCdevkit/VOC2010/JPEGImages/{name}.jpg", i)
            label(root / maps / f"{name}.png", i, range(classes))
        _listed(root, lists.format(split), names)


def ade20k(root: Path) -> None:
    for split, count in (("training", 4), ("validation", 2)):
        for i in range(count):
            name = f"ADE_{split[:-3]}_{i:08d}"
            picture(root / f"ADEChallengeData2016/images/{split}/{name}.jpg", i)
            label(root / f"ADEChallengeData2016/annotations/{split}/{name}.png", i, range(151))


def coco(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train2017", 4), ("val2017", 2)):
        images, annotations = [], []
        for i in range(count):
            name = f"{i:012d}"
            picture(root / f"{split}/{name}.jpg", i + len(split))
            images.append({"id": i, "file_name": f"{name}.jpg", "height": 64, "width": 96})
            for category, left in ((1, 4), (3, 50)):
                corners = [left, 4, left + 40, 4, left + 40, 60, left, 60]
                thing = {"id": 100 * i + left, "image_id": i, "category_id": category, "segmentation": [corners]}
                annotations.append({**thing, "area": 2240.0, "iscrowd": 0, "bbox": [left, 4, 40, 56]})
        categories = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
        whole = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(whole))


TREES: dict[str, Callable[[Path], None]] = {
    "ade20k32": ade20k,
    "bdd100k": bdd100k,
    "camvid": camvid,
    "cityscapes": cityscapes,
    "cityscapes5": cityscapes5,
    "cocoseg21": coco,
    "mapillary": mapillary,
    "nyuv2": nyuv2,
    "pascal-context": pascal_context,
    "person-part": person_part,
    "sbd": sbd,
    "voc": voc,
}
