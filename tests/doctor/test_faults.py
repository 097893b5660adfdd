"""One fault at a time in a healthy dataset: the doctor names it, says where, and finds nothing else."""

from __future__ import annotations

import os
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import healthy
import numpy as np
import pytest
from healthy import HEAD, VALUES, card, picture, write
from PIL import Image

from swath import load_card
from swath.doctor import Diagnosis, check

IMAGE, LABEL = "train/images/p1", "train/labels/p1"
Plant = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Fault:
    name: str
    plant: Plant  # may return another card than card.yaml
    kind: str
    words: tuple[str, ...]  # in the file's name, the message or the advice
    level: str = "error"
    also: tuple[str, ...] = ()  # kinds that such a fault brings with it
    layout: str = "folders"


def values(root: Path, name: str = LABEL) -> np.ndarray:
    return cv2.imread(str(root / f"{name}.png"), cv2.IMREAD_UNCHANGED)


def relabel(change: Callable[[np.ndarray], np.ndarray], every: bool = False) -> Plant:
    """Change the label of p1, or all."""

    def plant(root: Path) -> None:
        for path in sorted(root.glob("*/labels/*.png")) if every else [root / f"{LABEL}.png"]:
            write(path, change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return plant


def as_picture(form: str, **options: object) -> Plant:
    """Save p1 in another way under its own name."""

    def plant(root: Path) -> None:
        image = Image.open(root / f"{IMAGE}.png").convert("RGB")
        mode = str(options.pop("mode", "RGB"))
        image.convert(mode).save(root / f"{IMAGE}.png", form, **options)

    return plant


def cut(name: str, share: float) -> Plant:
    def plant(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * share)])

    return plant


def content(name: str, data: bytes) -> Plant:
    return lambda root: (root / name).write_bytes(data) and None


def remove(name: str) -> Plant:
    return lambda root: (root / name).unlink()


def move(name: str, to: str) -> Plant:
    return lambda root: (root / name).rename(root / to) and None


def copied(name: str, to: str) -> Plant:
    return lambda root: shutil.copy(root / name, root / to) and None


def flipped_bit(name: str) -> Plant:
    def plant(root: Path) -> None:
        data = bytearray((root / name).read_bytes())
        at = data.index(b"IDAT") + 12
        data[at] ^= 0x10
        (root / name).write_bytes(data)

    return plant


def turned(label_too: bool) -> Plant:
    """A picture whose EXIF data turn it by a quarter, with a label of the turned or of the unturned picture."""

    def plant(root: Path) -> None:
        image = Image.open(root / f"{IMAGE}.png").convert("RGB")
        exif = Image.Exif()
        exif[0x0112] = 6
        if label_too:
            image = image.rotate(90, expand=True)
        image.save(root / f"{IMAGE}.png", "JPEG", exif=exif, quality=95)

    return plant


def animated(root: Path) -> None:
    frames = [Image.fromarray(picture(seed)) for seed in (90, 91)]
    frames[0].save(root / f"{IMAGE}.png", "GIF", save_all=True, append_images=frames[1:])


def deep(root: Path) -> None:
    write(root / f"{IMAGE}.png", picture(1).astype(np.uint16) * 257)


def sixteen(root: Path) -> None:
    Image.fromarray(picture(1)[..., 0].astype(np.uint16) * 200).save(root / f"{IMAGE}.png")


def alpha(least: int) -> Plant:
    def plant(root: Path) -> None:
        image = np.dstack([picture(1), np.full((healthy.HEIGHT, healthy.WIDTH), 255, np.uint8)])
        image[:5, :5, 3] = least
        Image.fromarray(image).save(root / f"{IMAGE}.png")

    return plant


def transparent_label(root: Path) -> None:
    label = values(root)
    Image.fromarray(np.dstack([label] * 3 + [np.where(label == 255, 0, 255).astype(np.uint8)])).save(
        root / f"{LABEL}.png"
    )


def scan_lost(root: Path) -> None:
    """A JPEG that ends properly, but lost the second half of its pixels."""
    data = cv2.imencode(".jpg", picture(1)[..., ::-1])[1].tobytes()
    (root / f"{IMAGE}.png").write_bytes(data[: len(data) * 2 // 3] + b"\xff\xd9")


def bomb(root: Path) -> None:
    """A header that promises more than any memory holds."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    (root / f"{IMAGE}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + end)


def pair(root: Path, split: str, name: str, seed: int, height: int, width: int) -> None:
    write(root / split / "images" / f"{name}.png", picture(seed, height, width))
    write(root / split / "labels" / f"{name}.png", healthy.label(seed, height, width))


def mirrored(root: Path) -> None:
    write(root / "val/images/p1.png", picture(1)[:, ::-1])


def recompressed(root: Path) -> None:
    """The same picture, smaller, brighter and through JPEG."""
    small = cv2.resize(picture(1), (healthy.WIDTH * 3 // 4, healthy.HEIGHT * 3 // 4), interpolation=cv2.INTER_AREA)
    brighter = np.clip(small.astype(np.int16) * 0.9 + 12, 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", brighter[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    (root / "val/images/p1.png").write_bytes(data)
    write(root / "val/labels/p1.png", healthy.label(7, *brighter.shape[:2]))


def dangling(root: Path) -> None:
    (root / f"{IMAGE}.png").unlink()
    (root / f"{IMAGE}.png").symlink_to("elsewhere.png")


def colors_in_labels(root: Path) -> None:
    for path in root.glob("*/labels/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        write(path, np.where((label == 255)[..., None], np.uint8(0), healthy.COLORS[np.minimum(label, 2)]))


def blurred(root: Path) -> None:
    """Labels made from smaller ones with bilinear interpolation; 0 and 200 are classes, what lies between is not."""
    card(root, HEAD.replace("box", "box") + images_labels() + "label_values: {0: ground, 100: box, 200: disc}\n")
    for path in root.glob("*/labels/*.png"):
        label = np.minimum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 2) * 100
        write(path, cv2.resize(cv2.resize(label, (16, 12), interpolation=cv2.INTER_NEAREST), (64, 48)))


def images_labels() -> str:
    return 'images: "{split}/images/{id}.png"\nlabels: "{split}/labels/{id}.png"\nsplits: [train, val]\n'


def silently_blurred(root: Path) -> None:
    """The same, but every value between is a class of its own."""
    names = ", ".join(f"c{i}" for i in range(9))
    card(root, f"name: blobs\nclasses: [{names}]\n{images_labels()}")
    for index, path in enumerate(sorted(root.glob("*/labels/*.png"))):
        draw = np.random.default_rng(index)
        label = draw.integers(0, 9, (6, 8)).astype(np.uint8)
        label[0] = np.arange(8)
        label[1, 0] = 8
        soft = path.parent.parent.name == "train" and path.stem == "p1"
        how = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST
        write(path, cv2.resize(label, (64, 48), interpolation=how))


def through_jpeg(root: Path) -> None:
    colors = cv2.imread(str(root / f"{LABEL}.png"))
    cv2.imwrite(str(root / "x.jpg"), colors, [cv2.IMWRITE_JPEG_QUALITY, 75])
    cv2.imwrite(str(root / f"{LABEL}.png"), cv2.imread(str(root / "x.jpg")))
    (root / "x.jpg").unlink()


def swapped_colors(root: Path) -> None:
    """Labels written by OpenCV from an array that was RGB."""
    card(root, (root / "card.yaml").read_text().replace("[40, 40, 200]", "[10, 90, 160]"))
    for path in root.glob("*/labels/*.png"):
        label = cv2.imread(str(path))[..., ::-1]
        label = np.where((label == (40, 40, 200)).all(axis=2)[..., None], np.array([10, 90, 160], np.uint8), label)
        write(path, label[..., ::-1])


def other_grey(root: Path) -> None:
    label = cv2.imread(str(root / f"{LABEL}.png"))[..., ::-1]
    write(root / f"{LABEL}.png", np.where((label == 90).all(axis=2)[..., None], np.uint8(93), label))


def photograph(root: Path) -> None:
    shutil.copy(root / "val/images/p1.png", root / f"{LABEL}.png")


def binary(root: Path) -> Path:
    """Masks of 0 and 255, with a card that says 0 and 1."""
    for path in root.glob("*/labels/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        write(path, np.where(label == 1, 255, 0).astype(np.uint8))
    text = f"name: bottles\nclasses: [background, bottle]\n{images_labels()}"
    return card(root, text + "label_values: {0: background, 1: bottle}\n")


def silent_binary(root: Path) -> Path:
    """The same without a word about values: 255 is ignored then."""
    binary(root)
    return card(root, f"name: bottles\nclasses: [background, bottle]\n{images_labels()}")


def two_layouts(root: Path) -> Path:
    shutil.copytree(root / "train" / "labels", root / "train" / "masks")
    shutil.copytree(root / "val" / "labels", root / "val" / "masks")
    layouts = "".join(
        f'  {name}:\n    images: "{{split}}/images/{{id}}.png"\n    labels: "{{split}}/{name}/{{id}}.png"\n'
        for name in ("labels", "masks")
    )
    return card(root, HEAD + VALUES + "splits: [train, val]\nlayouts:\n" + layouts)


def counted(root: Path) -> Path:
    return card(root, healthy.CARD.replace("splits: [train, val]", "splits: {train: {count: 8}, val: {count: 3}}"))


def three_classes_absent(root: Path) -> Path:
    return card(root, healthy.CARD.replace("disc: [40, 40, 200]", "disc: [40, 40, 200], ghost: [1, 2, 3]"))


def palette_of_others(root: Path) -> None:
    label = Image.fromarray(values(root))
    label.putpalette([90, 90, 90, 40, 40, 200, 200, 40, 40, *[0] * 759])
    label.save(root / f"{LABEL}.png")


def edit(name: str, change: Callable[[str], str], encoding: str = "utf-8") -> Plant:
    return lambda root: (root / name).write_text(change((root / name).read_text()), encoding=encoding) and None


def one_class(root: Path) -> None:
    for path in root.glob("train/labels/*.png"):
        write(path, np.ones((healthy.HEIGHT, healthy.WIDTH), np.uint8))


def mostly_ignored(root: Path) -> None:
    for path in root.glob("train/labels/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        label[healthy.HEIGHT // 3 :] = 255
        write(path, label)


def not_utf8(root: Path) -> None:
    for kind in ("images", "labels"):
        old = os.fsencode(root / "train" / kind / "p1.png")
        os.rename(old, old.replace(b"p1", b"stra\xdfe"))  # noqa: PTH104 - pathlib takes no bytes


def half_size(label: np.ndarray) -> np.ndarray:
    return label[::2, ::2]


def stray_value(label: np.ndarray) -> np.ndarray:
    label[10:12, 20:23] = 7
    return label


FAULTS = [
    # partners
    Fault("a label is missing", remove(f"{LABEL}.png"), "missing-label", (LABEL, "no such label")),
    Fault("a picture is missing", remove(f"{IMAGE}.png"), "surplus-label", (LABEL, "no picture"), "warning"),
    Fault("the folder of labels is named otherwise", move("train/labels", "train/masks"), "missing-label",
          ("train/labels does not exist",)),
    Fault("the label's suffix is in capitals", move(f"{LABEL}.png", f"{LABEL}.PNG"), "suffix-case",
          (f"{LABEL}.png", "p1.PNG is"), also=("surplus-label",)),
    Fault("the picture's suffix is in capitals", move(f"{IMAGE}.png", f"{IMAGE}.PNG"), "suffix-case",
          (f"{IMAGE}.PNG", "passed by", ".png"), "warning", also=("surplus-label",)),
    Fault("a picture is of another type", move(f"{IMAGE}.png", f"{IMAGE}.jpg"), "left-out",
          (f"{IMAGE}.jpg", "wants .png", "'.*'"), "warning", also=("surplus-label",)),
    Fault("two pictures have one id", copied("train/p1.png", "train/p1.bmp"), "same-id",
          ("'p1'", "train/p1.bmp"), layout="beside", also=("same-picture",)),
    Fault("a link points nowhere", dangling, "broken-link", (IMAGE, "link to elsewhere.png")),
    Fault("a name is not UTF-8", not_utf8, "bad-name", ("stra�e.png", "not UTF-8")),
    Fault("a split is missing", lambda root: shutil.rmtree(root / "val"), "missing-split",
          ("only train is there", "percent"), "warning"),
    Fault("there are fewer pictures than the card says", counted, "count", ("6 pictures", "says 8", "2 missing"),
          "warning"),
    Fault("two layouts fit", two_layouts, "layouts", ("labels, masks", "--layout labels")),
    # lists
    Fault("a list names a picture that is not there", edit("train.txt", lambda text: text.replace("p0", "p0x")),
          "missing-picture", ("images/p0x.jpg", "nearest name there is p0.jpg"), layout="listed ids"),
    Fault("a listed pair lacks its label", edit("train.txt", lambda text: text.replace("labels/p1", "labels/p9")),
          "missing-label", ("train/labels/p9.png",), layout="listed files"),
    Fault("a line is of another form", edit("train.txt", lambda text: text.replace("p1.png /", "p1.png", 1)),
          "bad-line", ("train.txt:2", "{image} {label}"), layout="listed files"),
    Fault("a list names a picture twice", edit("train.txt", lambda text: text + "p1\n"), "listed-twice",
          ("images/p1.jpg", "2 times"), "warning", layout="listed ids"),
    Fault("a list is UTF-16", edit("train.txt", str, "utf-16"), "bad-list", ("train.txt", "not UTF-8"),
          layout="listed ids"),
    Fault("a list has a byte order mark", edit("train.txt", str, "utf-8-sig"), "list-mark", ("byte order mark",),
          "note", layout="listed ids"),
    Fault("an id of the card is not there", edit("card.yaml", lambda text: text.replace("ids: p0", "ids: q0 p0")),
          "missing-picture", ("images/q0.jpg",), layout="ids"),
    # files
    Fault("a picture has zero bytes", content(f"{IMAGE}.png", b""), "empty-file", (IMAGE, "zero bytes")),
    Fault("a label has zero bytes", content(f"{LABEL}.png", b""), "empty-file", (LABEL, "zero bytes")),
    Fault("a picture is a placeholder", content(f"{IMAGE}.png", b"version https://git-lfs.github.com/spec/v1\n"),
          "pointer", ("Git LFS", "git lfs pull")),
    Fault("a picture is a web page", content(f"{IMAGE}.png", b"<!DOCTYPE html><html>404"), "web-page", ("download",)),
    Fault("a picture is text", content(f"{IMAGE}.png", b"hello, I am no picture"), "unreadable", (IMAGE,)),
    Fault("a picture was never written", content(f"{IMAGE}.png", bytes(5000)), "damaged", ("zeros",)),
    Fault("a picture is cut off", cut(f"{IMAGE}.png", 0.6), "damaged", (IMAGE, "cut off")),
    Fault("a label is cut off", cut(f"{LABEL}.png", 0.6), "damaged", (LABEL,)),
    Fault("a label lost a bit", flipped_bit(f"{LABEL}.png"), "damaged", (LABEL,)),
    Fault("a JPEG lost its second half", scan_lost, "doubtful", ("premature end",), "warning"),
    Fault("a header promises too much", bomb, "unreadable", ("pixels", "refused")),
    Fault("a picture is animated", animated, "animated", ("several pictures",)),
    Fault("a picture is grey with 16 bits", sixteen, "sixteen-bit", ("16 bits",)),
    Fault("a picture has 16 bits a color", deep, "deep", ("upper 8",), "warning"),
    Fault("a picture is CMYK", as_picture("JPEG", mode="CMYK"), "cmyk", ("print",), "warning"),
    Fault("a picture is partly transparent", alpha(0), "transparent", ("transparent",), "warning"),
    Fault("a picture has an alpha channel", alpha(255), "alpha", ("hides nothing",), "note"),
    # what pictures show
    Fault("a picture is turned by EXIF", turned(label_too=True), "turned", ("orientation (6)",), "warning"),
    Fault("a picture is turned, its label is not", turned(label_too=False), "turned-label", ("unturned",),
          also=("turned", "aspect")),
    Fault("a picture is black", lambda root: write(root / f"{IMAGE}.png", picture(1) // 200), "one-color",
          ("all black",), "warning"),
    Fault("a picture is grey", lambda root: write(root / f"{IMAGE}.png", np.dstack([picture(1)[..., 0]] * 3)), "grey",
          (IMAGE, "colored"), "warning"),
    Fault("a picture is tiny", lambda root: pair(root, "train", "p1", 1, 24, 32), "tiny", ("32 x 24",), "warning"),
    Fault("a picture is a strip", lambda root: pair(root, "train", "p1", 1, 40, 160), "aspect", ("160 x 40",),
          "warning"),
    Fault("a picture is there twice", copied(f"{IMAGE}.png", "train/images/p2.png"), "same-picture",
          ("same file as train/images/p1.png",), "note"),
    # between splits
    Fault("a picture of train is in val", copied(f"{IMAGE}.png", "val/images/p1.png"), "leak",
          ("val/images/p1.png", "copy of train/images/p1.png")),
    Fault("both lists name a picture", edit("val.txt", lambda text: text + "p1\n"), "leak",
          ("images/p1.jpg", "same file"), layout="listed ids"),
    Fault("val has a smaller, brighter copy", recompressed, "near-duplicate",
          ("val/images/p1.png", "same as train/images/p1.png"), "warning"),
    Fault("val has a mirrored copy", mirrored, "near-duplicate", ("mirrored from train/images/p1.png",), "warning"),
    # a label and its picture
    Fault("a label is half as large", relabel(half_size), "size", ("32 x 24", "0.5 times")),
    Fault("a label is transposed", relabel(lambda label: label.T.copy()), "transposed", ("48 x 64", "swapped")),
    Fault("a label is a copy of another", copied("train/labels/p2.png", f"{LABEL}.png"), "same-label",
          ("train/labels/p2.png", "pictures differ"), "warning"),
    Fault("a label is its picture", copied(f"{IMAGE}.png", f"{LABEL}.png"), "picture-as-label", ("same file",),
          also=("photograph",)),
    Fault("a label is a photograph", photograph, "photograph", (LABEL, "photograph")),
    # values
    Fault("a value has no name", relabel(stray_value), "unknown-value",
          (LABEL, "value 7 in 6 pixels, first at x 20, y 10", "7: ignore")),
    Fault("values begin at 1", relabel(lambda label: np.where(label == 255, 255, label + 1).astype(np.uint8), True),
          "off-by-one", ("begin at 1", "1-3: in order", "255: ignore")),
    Fault("values are stretched", relabel(lambda label: (np.minimum(label, 2) * 127).astype(np.uint8), True),
          "stretched", ("value 127", "0: ground, 127: box, 254: disc")),
    Fault("masks are black and white", binary, "black-white", ("value 255", "{0: background, 255: bottle}")),
    Fault("white is taken for ignored", silent_binary, "black-white", ("'bottle' never occurs", "255: bottle"),
          ),
    Fault("labels hold instances", relabel(lambda label: np.minimum(label, 2).astype(np.uint16) * 1000 + 7, True),
          "instances", ("07 in", "label_divide: 1000")),
    Fault("labels are colored", colors_in_labels, "colors-for-values", ("(90, 90, 90)", "label_colors")),
    Fault("labels hold values, not colors", lambda root: write(root / f"{LABEL}.png", healthy.label(1)),
          "values-for-colors", ("0, 1, 2", "label_values"), layout="colors"),
    Fault("a color has no name", other_grey, "unknown-color", ("color (93, 93, 93)", "93 93 93: ground"),
          layout="colors"),
    Fault("red and blue are swapped", swapped_colors, "swapped-colors", ("RGB and BGR",), layout="colors"),
    Fault("labels went through JPEG", through_jpeg, "lossy-values", (LABEL, "near"), layout="colors"),
    Fault("a label is a JPEG", lambda root: Image.fromarray(values(root)).save(root / f"{LABEL}.png", "JPEG"),
          "lossy-format", ("JPEG", "exact values")),
    Fault("labels have soft edges", blurred, "soft-edges", ("between", "nearest neighbour")),
    Fault("a label has soft edges of named values", silently_blurred, "soft-edges", (LABEL, "between two classes"),
          "warning"),
    Fault("a palette shows other classes", palette_of_others, "palette", ("value 1 is 'box'", "'disc'"), "warning"),
    Fault("a label is transparent", transparent_label, "label-mode", ("transparent",)),
    Fault("a label holds floats", lambda root: Image.fromarray(values(root).astype(np.float32)).save(
        root / f"{LABEL}.png", "TIFF"), "label-mode", ("grey (8 or 16 bits)",)),
    Fault("a label is all ignored", relabel(lambda label: np.full_like(label, 255)), "all-ignored", (LABEL,),
          "warning"),
    Fault("most is ignored", mostly_ignored, "much-ignored", ("% of all pixels",), "warning"),
    Fault("a class never occurs", three_classes_absent, "absent-class", ("ghost",), "warning"),
    Fault("there is one class only", one_class, "single-class", ("only 'box'",)),
]  # fmt: skip


def examined(fault: Fault, root: Path) -> Diagnosis:
    path = healthy.LAYOUTS[fault.layout](root)
    path = fault.plant(root) or path
    return check(load_card(path))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_is_named(fault: Fault, tmp_path: Path) -> None:
    if fault.kind == "bad-name" and sys.platform != "linux":
        pytest.skip("only Linux keeps such names")
    diagnosis = examined(fault, tmp_path)
    named = [finding for finding in diagnosis.findings if finding.kind == fault.kind]
    told = [f"{finding.file} {finding.message} | {finding.advice}" for finding in named]
    assert named, [finding.as_dict() for finding in diagnosis.findings]
    assert any(all(word in text for word in fault.words) for text in told), told
    assert {finding.level for finding in named if finding.split == "train" or len(named) == 1} == {fault.level}
    assert {finding.kind for finding in diagnosis.findings} <= {fault.kind, *fault.also}
    assert diagnosis.fit == all(finding.level != "error" for finding in diagnosis.findings)
    for finding in diagnosis.findings:
        assert "\n" not in finding.message and str(tmp_path) not in finding.file


def test_there_are_many_different_ones() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    assert len({fault.kind for fault in FAULTS}) >= 45
