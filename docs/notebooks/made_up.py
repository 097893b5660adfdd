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
    root, ids = FOLDER / "voc", []
    for name, image, labels, palette in _streets("voc", VOC):
        _write(root / f"JPEGImages/{name}.jpg", image)
        _write(root / f"SegmentationClass/{name}.png", labels, palette)
        ids.append(name)
    _list(root / "ImageSets/Segmentation/val.txt", ids)
    return root, _weights("voc")


def person_part() -> tuple[Path, dict[str, Path]]:
    """The same for PASCAL-Person-Part."""
    root, ids = FOLDER / "person-part", []
    for name, image, labels, palette in _streets("person-part", PERSON_PART):
        _write(root / f"VOCdevkit/VOC2010/JPEGImages/{name}.jpg", image)
        _write(root / f"pascal_person_part/pascal_person_part_gt/{name}.png", labels, palette)
        ids.append(name)
    _list(root / "pascal_person_part/pascal_person_part_trainval_list/val_id.txt", ids)
    return root, _weights("person-part")


def context() -> tuple[Path, dict[str, Path]]:
    """The same for PASCAL Context."""
    root, ids = FOLDER / "context", []
    for name, image, labels, palette in _streets("pascal-context", CONTEXT):
        _write(root / f"VOCdevkit/VOC2010/JPEGImages/{name}.jpg", image)
        _write(root / f"59_context_labels/{name}.png", labels, palette)
        ids.append(name)
    _list(root / "VOCdevkit/VOC2010/ImageSets/Main/val.txt", ids)
    return root, _weights("pascal-context")


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
