"""Stand-ins for datasets and weights, so that the notebooks can be run where there are none: SWATH_NOTEBOOKS=made-up.

The pictures are synthetic streets, stored as the real dataset stores its own, under the names of classes that it has.
The networks are untrained: their answers show nothing but that everything works. Without that variable nothing of this
is used.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

import swath
from swath.data import write_label
from swath.data.streets import video as drive

FOLDER = Path("made-up")  # in the working folder
SIZE = (96, 192)

# classes of the streets -> those of a dataset; what is not named is class 0
VOC = {"Car": "car", "Pedestrian": "person", "Bicyclist": "bicycle"}
PERSON_PART = {"Pedestrian": "torso", "Bicyclist": "upper legs"}
CONTEXT = {
    "Sky": "sky",
    "Building": "building",
    "Road": "road",
    "Pavement": "sidewalk",
    "Tree": "tree",
    "SignSymbol": "sign",
    "Fence": "fence",
    **VOC,
}
NYU = {
    "Sky": "ceiling",
    "Road": "floor",
    "Pavement": "floor",
    "Tree": "curtain",
    "SignSymbol": "picture",
    "Car": "sofa",
}


def voc() -> tuple[Path, dict[str, Path]]:
    """The root of a dataset in VOC's layout, and weights by title."""
    return _listed("voc", VOC, "", "SegmentationClass", "ImageSets/Segmentation/val.txt")


def person_part() -> tuple[Path, dict[str, Path]]:
    """The same for PASCAL-Person-Part."""
    part = "pascal_person_part/pascal_person_part_"
    return _listed("person-part", PERSON_PART, "VOCdevkit/VOC2010/", f"{part}gt", f"{part}trainval_list/val_id.txt")


def context() -> tuple[Path, dict[str, Path]]:
    """The same for PASCAL Context."""
    devkit = "VOCdevkit/VOC2010/"
    return _listed("pascal-context", CONTEXT, devkit, "59_context_labels", f"{devkit}ImageSets/Main/val.txt")


def nyu() -> tuple[Path, dict[str, Path]]:
    """The same for NYUv2, in folders."""
    root = FOLDER / "nyu"
    for name, image, labels, palette in _streets("nyuv2", NYU):
        _write(root / f"val_images/{name}.png", image)
        _write(root / f"val_labels/{name}.png", labels, palette)
    return root, _weights("nyuv2")


def photos() -> tuple[Path, Path]:
    """A folder of pictures, and weights that know the streets' classes by name."""
    for name, image, _, _ in _streets("streets", {}):
        _write(FOLDER / f"photos/{name}.jpg", image)
    return FOLDER / "photos", next(iter(_weights("streets", "contextnet14_160").values()))


def video() -> tuple[Path, Path]:
    """A film of a second, and weights."""
    path = FOLDER / "drive.mp4"
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, SIZE[::-1])
    for frame in drive(1, 10, size=SIZE):
        writer.write(frame.image[:, :, ::-1])
    writer.release()
    return path, next(iter(_weights("streets", "contextnet14_160").values()))


def _listed(
    card: str, names: dict[str, str], images: str, labels: str, ids: str
) -> tuple[Path, dict[str, Path]]:
    """A dataset of JPEGs as VOC has them, a folder of labels, and a list of its names."""
    root, listed = FOLDER / card, []
    for name, image, mask, palette in _streets(card, names):
        _write(root / f"{images}JPEGImages/{name}.jpg", image)
        _write(root / f"{labels}/{name}.png", mask, palette)
        listed.append(name)
    _list(root / ids, listed)
    return root, _weights(card)


def _streets(card: str, names: dict[str, str]):
    """Four synthetic streets with the labels and the palette of another dataset."""
    streets, target = swath.load_card("streets").open("test", count=4, size=SIZE), swath.load_card(card)
    table = np.zeros(256, np.uint8)
    table[255] = 255
    for index, name in enumerate(streets.card.class_names):
        table[index] = target.class_names.index(names[name]) if name in names else 0
    for index in range(len(streets)):
        yield f"2010_{index:06d}", streets.image(index), table[streets.labels(index)], target.palette()


def _write(path: Path, pixels: np.ndarray, palette: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if palette is None:
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    else:
        write_label(path, pixels, palette)


def _list(path: Path, ids: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{each}\n" for each in ids))


def _weights(card: str, network: str = "rf_lw_mobilenetv2") -> dict[str, Path]:
    classes = swath.load_card(card)
    path = FOLDER / f"{network}-{card}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = swath.create_model(network, num_classes=classes.num_classes)
    swath.save(path, model, classes=classes.class_names, colors=classes.colors, dataset=card)
    return {f"{network}, untrained": path}
