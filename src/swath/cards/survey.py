"""Finding pictures and their labels in a folder that has no card yet, by the names that people give them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from swath.data.pairs import PICTURES, files_below
from swath.errors import SwathError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "train_extra": "train_extra",
}
_PHOTOGRAPHS = (".jpg", ".jpeg")
_LABEL_WORDS = (
    "gtfine",
    "gtcoarse",
    "groundtruths",
    "groundtruth",
    "ground_truth",
    "annotations",
    "annotation",
    "ann_dir",
    "annot",
    "anno",
    "labels",
    "label",
    "masks",
    "mask",
    "gts",
    "gt",
    "segmentationclassaug",
    "segmentationclass",
    "segmentations",
    "segmentation",
    "segs",
    "seg",
    "targets",
    "target",
)
_IMAGE_WORDS = (
    "leftimg8bit",
    "jpegimages",
    "images",
    "image",
    "imgs",
    "img",
    "img_dir",
    "img_raw",
    "rgb",
    "inputs",
    "input",
    "photos",
    "pictures",
    "frames",
)
_LABEL_ENDINGS = (
    "_gtFine_labelIds",
    "_gtFine_labelTrainIds",
    "_gtFine_color",
    "_gtFine_instanceIds",
    "_gtCoarse_labelIds",
    "_labelIds",
    "_labelTrainIds",
    "_train_id",
    "_train_color",
    "_instanceIds",
    "_annotation",
    "_segmentation",
    "_groundtruth",
    "_labels",
    "_label",
    "_masks",
    "_mask",
    "_color",
    "_colors",
    "_seg",
    "_gt",
    "_L",
    "_P",
)
_IMAGE_ENDINGS = (
    "_leftImg8bit",
    "_image",
    "_img",
    "_rgb",
)
# Of several labels of one picture, these are the last to be taken.
_SECOND_CHOICE = re.compile(r"color|colour|instance|trainid|object|_raw", re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """A file as its name tells it: the split's folder, what pairs it, and the pattern that finds it."""

    path: Path
    folder: str | None  # the split as the folder writes it
    key: tuple[str, str]  # (split folder or "", id)
    pattern: str


@dataclass
class Survey:
    """What a folder holds."""

    root: Path
    images: str
    labels: str
    folders: dict[str, str | None]  # split -> its folder; all: None
    pairs: dict[str, list[tuple[str, Path, Path]]]  # split -> (id, image, label)
    bare: dict[str, list[Path]]  # pictures without a label
    stray: list[Path] = field(default_factory=list)  # labels without a picture
    others: list[str] = field(default_factory=list)  # patterns of further labels


def survey(root: Path) -> Survey:
    """Pictures and labels below a folder, paired by the likeliest patterns."""
    if not root.is_dir():
        raise SwathError(f"{root}: is no folder")
    paths = [path for path in files_below(root) if path.suffix.lower() in PICTURES]
    if not paths:
        raise SwathError(f"{root}: holds no pictures ({', '.join(PICTURES)})")
    relative = {path: PurePosixPath(path.relative_to(root).as_posix()) for path in paths}
    photographs = {text.with_suffix("") for text in relative.values() if text.suffix.lower() in _PHOTOGRAPHS}
    labels: list[Named] = []
    images: list[Named] = []
    for path, text in relative.items():
        # A PNG beside a JPEG of the same name is its label, whatever the folder is called.
        beside = text.suffix.lower() not in _PHOTOGRAPHS and text.with_suffix("") in photographs
        label = beside or _is_label(text)
        (labels if label else images).append(_named(path, text, label))
    if not labels or not images:
        found = f"{len(images)} pictures and {len(labels)} labels"
        raise SwathError(
            f"{root}: {found} were recognised; name the labels' folder 'labels' (or masks, annotations, gt, …) "
            "or end their names in _mask, _label or _L, and name the pictures alike"
        )
    return _paired(root, images, labels)


def _is_label(path: PurePosixPath) -> bool:
    if path.suffix.lower() in _PHOTOGRAPHS:
        return False
    if any(_stripped(part, _LABEL_WORDS) != part.lower() for part in path.parts[:-1]):
        return not any(path.stem.endswith(ending) for ending in _IMAGE_ENDINGS)
    return any(path.stem.endswith(ending) for ending in _LABEL_ENDINGS)


def _stripped(part: str, words: tuple[str, ...]) -> str:
    """A folder's name without a word: `trainannot` and `train_labels` become `train`, `masks` becomes nothing."""
    lower = part.lower()
    for word in words:
        if lower == word:
            return ""
        for split in SPLIT_NAMES:
            if lower in (f"{split}{word}", f"{split}_{word}", f"{split}-{word}"):
                return split
            if lower in (f"{word}{split}", f"{word}_{split}", f"{word}-{split}"):
                return split
    return lower


def _named(path: Path, text: PurePosixPath, label: bool) -> Named:
    """Take a path apart: `gtFine/val/ulm/ulm_1_gtFine_labelIds.png` has folder val and id ulm/ulm_1."""
    folder: str | None = None
    pattern: list[str] = []
    inner: list[str] = []
    words = _LABEL_WORDS if label else _IMAGE_WORDS
    for part in text.parts[:-1]:
        bare = _stripped(part, words)
        if folder is None and bare in SPLIT_NAMES:
            at = part.lower().index(bare)
            folder = part[at : at + len(bare)]
            pattern += [*inner, part[:at] + "{split}" + part[at + len(bare) :]]
            inner = []
        elif bare == "":
            pattern += [*inner, part]
            inner = []
        else:
            inner.append(part)
    stem = text.stem
    ending = next((e for e in (_LABEL_ENDINGS if label else _IMAGE_ENDINGS) if stem.endswith(e)), "")
    name = "/".join([*inner, stem[: len(stem) - len(ending)]])
    return Named(path, folder, (folder or "", name), "/".join([*pattern, "{id}" + ending + text.suffix]))


def _paired(root: Path, images: list[Named], labels: list[Named]) -> Survey:
    """The most frequent pair of patterns, and what it leaves over."""
    by_key: dict[tuple[str, str], list[Named]] = {}
    for label in labels:
        by_key.setdefault(label.key, []).append(label)
    votes = Counter((image.pattern, label.pattern) for image in images for label in by_key.get(image.key, ()))
    if not votes:
        raise SwathError(
            f"{root}: no label has the name of a picture, for example {images[0].path.relative_to(root)} "
            f"and {labels[0].path.relative_to(root)}; give a label its picture's name (_mask or the like may follow)"
        )
    (image_pattern, label_pattern), _ = max(
        votes.items(), key=lambda item: (not _SECOND_CHOICE.search(item[0][1]), item[1], item[0])
    )
    base = image_pattern[: image_pattern.rindex(".")]
    chosen = [image for image in images if image.pattern[: image.pattern.rindex(".")] == base]
    if len({image.pattern for image in chosen}) > 1:
        image_pattern = base + ".*"
    label_of = {label.key: label.path for label in labels if label.pattern == label_pattern}
    found = Survey(root, image_pattern, label_pattern, {}, {}, {})
    for image in sorted(chosen, key=lambda named: named.key):
        split = SPLIT_NAMES[image.folder.lower()] if image.folder else "all"
        found.folders[split] = image.folder
        if image.key in label_of:
            found.pairs.setdefault(split, []).append((image.key[1], image.path, label_of[image.key]))
        else:
            found.bare.setdefault(split, []).append(image.path)
    taken = {label for pairs in found.pairs.values() for _, _, label in pairs}
    found.stray = [path for path in label_of.values() if path not in taken]
    found.others = sorted({pattern for _, pattern in votes} - {label_pattern})
    return found
