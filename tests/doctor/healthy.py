"""A small healthy dataset in every layout that a card knows: pictures of coloured blobs, labels of four blocks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 48, 64
CLASSES = "classes: {ground: [90, 90, 90], box: [200, 40, 40], disc: [40, 40, 200]}"
HEAD = f"name: blobs\n{CLASSES}\n"
VALUES = "label_values: {0-2: in order, 255: ignore}\n"
CARD = (
    HEAD + 'images: "{split}/images/{id}.png"\nlabels: "{split}/labels/{id}.png"\n' + VALUES + "splits: [train, val]\n"
)
COLORS = np.array([[90, 90, 90], [200, 40, 40], [40, 40, 200]], np.uint8)
COUNTS = {"train": 6, "val": 3}


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth colours, RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def label(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Blocks; every class occurs, and a little is ignored."""
    coarse = np.random.default_rng(1000 + seed).choice(np.array([0, 1, 2], np.uint8), (4, 6))
    coarse[0, :4] = (0, 1, 2, 255)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)


def folders(root: Path) -> Path:
    """SPLIT/images and SPLIT/labels; returns the card."""
    seed = 0
    for split, count in COUNTS.items():
        for index in range(count):
            write(root / split / "images" / f"p{index}.png", picture(seed))
            write(root / split / "labels" / f"p{index}.png", label(seed))
            seed += 1
    return card(root, CARD)


def card(root: Path, text: str) -> Path:
    (root / "card.yaml").write_text(text)
    return root / "card.yaml"


def one_folder(root: Path, splits: str, count: int = 9, names: str = "p{}") -> Path:
    """images and labels without splits, which the card makes."""
    for index in range(count):
        write(root / "images" / f"{names.format(index)}.jpg", picture(index))
        write(root / "labels" / f"{names.format(index)}.png", label(index))
    return card(root, HEAD + 'images: "images/{id}.jpg"\nlabels: "labels/{id}.png"\n' + VALUES + splits)


def listed_ids(root: Path) -> Path:
    (root / "train.txt").write_text("p0\np1\np2\np3\np4\np5\n")
    (root / "val.txt").write_text("p6\np7\np8\n")
    return one_folder(root, 'list: "{split}.txt"\nsplits: [train, val]\n')


def listed_files(root: Path) -> Path:
    """Lists of pairs, with paths of another machine."""
    folders(root)
    for split, count in COUNTS.items():
        lines = [f"/data/blobs/{split}/images/p{i}.png /data/blobs/{split}/labels/p{i}.png" for i in range(count)]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    text = 'list: "{split}.txt"\nlist_line: "{image} {label}"\nlist_prefix: /data/blobs/\nsplits: [train, val]\n'
    return card(root, HEAD + VALUES + text)


def by_ids(root: Path) -> Path:
    return one_folder(root, "splits: {train: {ids: p0 p1 p2 p3 p4 p5}, val: {ids: p6 p7 p8}}\n")


def by_percent(root: Path) -> Path:
    return one_folder(root, "splits: {train: {percent: 0-60}, val: {percent: 60-100}}\n", 12)


def by_except(root: Path) -> Path:
    return one_folder(root, "splits: {train: {except: val}, val: {ids: p6 p7 p8}}\n")


def beside(root: Path) -> Path:
    """Labels beside the pictures, and pictures of any type."""
    seed = 0
    for split, count in COUNTS.items():
        for index in range(count):
            write(root / split / f"p{index}{('.jpg', '.png')[index % 2]}", picture(seed))
            write(root / split / f"p{index}_mask.png", label(seed))
            seed += 1
    text = 'images: "{split}/{id}.*"\nlabels: "{split}/{id}_mask.png"\nsplits: [train, val]\n'
    return card(root, HEAD + text + VALUES)


def colored(root: Path) -> Path:
    """Labels in the classes' own colours."""
    path = folders(root)
    for file in root.glob("*/labels/*.png"):
        values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        write(file, np.where((values == 255)[..., None], np.uint8(0), COLORS[np.minimum(values, 2)]))
    path.write_text(CARD.replace(VALUES, "label_colors: {0 0 0: ignore}\n"))
    return path


def instances(root: Path) -> Path:
    """16 bits: class * 1000 + number."""
    path = folders(root)
    for file in root.glob("*/labels/*.png"):
        values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.uint16)
        write(file, np.where(values == 255, 3000, values * 1000 + 7).astype(np.uint16))
    path.write_text(CARD.replace(VALUES, "label_values: {0-2: in order, 3: ignore}\nlabel_divide: 1000\n"))
    return path


def only_pictures(root: Path) -> Path:
    """A split without labels beside one that has them."""
    path = folders(root)
    for index in range(3):
        write(root / "test" / "images" / f"p{index}.png", picture(50 + index))
    path.write_text(CARD.replace("splits: [train, val]", "splits: {train: , val: , test: {labels: none}}"))
    return path


def outlines(root: Path) -> Path:
    """Instances of a COCO file."""
    for split, count in COUNTS.items():
        told: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
        for index in range(count):
            write(root / split / f"p{index}.jpg", picture(10 * len(split) + index))
            told["images"].append({"id": index, "file_name": f"p{index}.jpg", "height": HEIGHT, "width": WIDTH})
            for kind in (1, 2):
                x, y = 25.0 * kind - 20 + index, 5.0 + index
                outline = [[x, y, x + 20, y, x + 20, y + 20, x, y + 20]]
                told["annotations"].append(
                    {
                        "id": 2 * index + kind,
                        "image_id": index,
                        "category_id": kind,
                        "segmentation": outline,
                        "area": 400,
                        "iscrowd": 0,
                    }
                )
        (root / f"{split}.json").write_text(json.dumps(told))
    return card(root, HEAD + 'images: "{split}/{id}.jpg"\ncoco: "{split}.json"\n' + VALUES + "splits: [train, val]\n")


LAYOUTS = {
    "folders": folders,
    "listed ids": listed_ids,
    "listed files": listed_files,
    "ids": by_ids,
    "percent": by_percent,
    "except": by_except,
    "beside": beside,
    "colors": colored,
    "instances": instances,
    "without labels": only_pictures,
    "outlines": outlines,
}
