"""One picture and its label, as a worker looks at them: what is wrong, and what the whole set wants to know."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.cards.card import Card, Reading
from swath.cards.tables import LabelTable
from swath.data.folder import FolderSource
from swath.data.images import read_image, read_label_raw
from swath.data.pairs import Pair
from swath.doctor.files import Header, Wrong, check_png, open_header
from swath.doctor.findings import Finding, shown, without_path
from swath.doctor.masks import Mask, weigh, wrong_palette
from swath.errors import SwathError

THUMB = 32  # pixels: enough to know a picture again
LEAST = 33  # below it some networks refuse a picture
_FLAT = 4  # steps of brightness within which a picture counts as of one color


@dataclass
class Probe:
    """What is known of one pair after it has been looked at."""

    split: str
    index: int  # in the split
    findings: list[Finding] = field(default_factory=list)
    size: tuple[int, int] | None = None
    grey: bool = False
    flat: bool = False
    thumb: NDArray[np.uint8] | None = None
    picture: bytes = b""  # hash of the picture's file
    label: bytes = b""  # hash of the label's values
    mask: Mask | None = None
    again: bool = False  # an earlier split has the same pair, and tells what is wrong with it


@dataclass(frozen=True)
class Set:
    """What a worker has to know beside the files."""

    card: Card
    root: Path
    readings: dict[str, Reading]


class Examiner:
    """Examines pairs; `noise` gives what the decoders have printed since it was asked last."""

    def __init__(self, what: Set, noise: Callable[[], str]):
        self.what, self.noise = what, noise

    def examine(self, split: str, index: int, pair: Pair) -> Probe:
        """One picture and its label."""
        probe = Probe(split, index)
        header = self._picture(probe, pair.image)
        try:
            if self.what.readings[split].coco is not None:
                self._drawn_label(probe, pair)
            elif pair.label is not None:
                self._label(probe, pair.label, pair, header)
        except Wrong as wrong:
            self._add(probe, pair.label or pair.image, wrong.kind, wrong.message, wrong.advice)
        return probe

    def _add(self, probe: Probe, path: Path, kind: str, message: str, advice: str = "", level: str = "") -> None:
        file = shown(path, self.what.root)
        probe.findings.append(Finding(kind, probe.split, file, message, advice, level))

    def _picture(self, probe: Probe, path: Path) -> Header | None:
        try:
            header = open_header(path)
        except Wrong as wrong:
            self._add(probe, path, wrong.kind, wrong.message, wrong.advice)
            return None
        probe.size = header.size
        probe.picture = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        self._form(probe, path, header)
        try:
            image = read_image(path)
        except SwathError as error:
            if header.mode == "F" or header.mode.startswith("I"):
                message = "holds grey values of 16 bits or floats"
                self._add(probe, path, "sixteen-bit", message, "save it with 8 bits; choose yourself how it is scaled")
            else:
                self._add(probe, path, "damaged", without_path(error, path), "copy or download it again")
            self.noise()
            return header
        if said := self.noise():
            self._add(probe, path, "doubtful", f"the decoder complains: {said}", "look at it; part of it may be lost")
        self._pixels(probe, path, image, header)
        return header

    def _form(self, probe: Probe, path: Path, header: Header) -> None:
        """What the header alone tells."""
        height, width = header.size
        if min(header.size) < LEAST:
            message = f"is {width} x {height} pixels; some networks need {LEAST} x {LEAST}"
            self._add(probe, path, "tiny", message, "leave it out, or is it a thumbnail that came along?")
        if header.mode == "CMYK":
            message = "is CMYK, made for print; its colors change when they become RGB"
            self._add(probe, path, "cmyk", message, "save it as RGB with its color profile applied")
        if header.deep:
            self._add(probe, path, "deep", "has 16 bits a color; only the upper 8 are read", "save it with 8 bits")
        if header.orientation != 1:
            message = f"is turned upright as its EXIF orientation ({header.orientation}) says; many programs do not"
            cure = "look whether its label fits the turned picture; best save both without EXIF orientation"
            self._add(probe, path, "turned", message, cure)

    def _pixels(self, probe: Probe, path: Path, image: NDArray[np.uint8], header: Header) -> None:
        thumb = np.asarray(cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA), np.uint8)
        probe.thumb = thumb
        if header.alpha:
            self._alpha(probe, path)
        spread = thumb.max(axis=2).astype(np.int16) - thumb.min(axis=2)
        probe.grey = int(spread.max()) <= 2 and _is_grey(image)
        levels = thumb.reshape(-1, 3)
        reach = int((levels.max(axis=0) - levels.min(axis=0)).max())
        if reach <= _FLAT and float(image.std(axis=(0, 1)).max()) < _FLAT:
            probe.flat = True
            color = tuple(int(value) for value in levels[0])
            what = "black" if max(color) <= 16 else "white" if min(color) >= 239 else f"of one color {color}"
            self._add(probe, path, "one-color", f"is all {what}", "leave it out: a camera was covered or a frame lost")

    def _alpha(self, probe: Probe, path: Path) -> None:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if image is not None and image.ndim == 3 and image.shape[2] == 4:
            clear = float((image[..., 3] < 255).mean())
            if clear:
                message = f"{100 * clear:.3g} % of its pixels are transparent; the colors beneath are what is read"
                self._add(probe, path, "transparent", message, "save it without transparency")
                return
        self._add(probe, path, "alpha", "has an alpha channel that hides nothing", "it only costs room")

    def _label(self, probe: Probe, path: Path, pair: Pair, header: Header | None) -> None:
        reading = self.what.readings[probe.split]
        table = reading.table
        form = open_header(path) if reading.mat is None else None
        raw = self._raw(path, form, reading)
        if probe.size is not None and raw.shape[:2] != probe.size:
            raise _other_size(raw.shape[:2], probe.size, header)
        probe.label = hashlib.blake2b(raw.tobytes(), digest_size=16).digest()
        probe.mask = weigh(raw, table, self.what.card.num_classes)
        if probe.picture and probe.picture == hashlib.blake2b(path.read_bytes(), digest_size=16).digest():
            raise Wrong("picture-as-label", f"is the same file as its picture {shown(pair.image, self.what.root)}")
        if form is not None and form.mode == "P" and not table.by_color:
            self._palette(probe, path, probe.mask, table)

    def _palette(self, probe: Probe, path: Path, mask: Mask, table: LabelTable) -> None:
        other = wrong_palette(path, mask, table, self.what.card.colors)
        if other:
            value, meant, looks = other
            names = self.what.card.class_names
            message = f"value {value} is '{names[meant]}' by the card, but its palette shows it as '{names[looks]}'"
            cure = "if the palette is right, read colors: write label_colors in place of label_values"
            self._add(probe, path, "palette", message, cure)

    def _raw(self, path: Path, form: Header | None, reading: Reading) -> NDArray[Any]:
        """What the label's file holds."""
        again = "save it again from the program it was drawn with"
        try:
            if form is None:
                from swath.data.matlab import read_mat

                return read_mat(path, reading.mat or "")
            if form.format in ("JPEG", "MPO", "WEBP"):
                cure = "draw or export the labels again as PNG; converting this file keeps the wrong values"
                raise Wrong("lossy-format", f"is {form.format}, which does not keep exact values", cure)
            raw = read_label_raw(path, colors=reading.table.by_color and form.mode in ("P", "PA"))
        except SwathError as error:
            said = without_path(error, path)
            raise Wrong("damaged" if "damaged" in said else "label-mode", said, again) from error
        if form.format == "PNG":
            check_png(path)
        return raw

    def _drawn_label(self, probe: Probe, pair: Pair) -> None:
        """A label that is drawn from outlines: read as a training reads it."""
        source = FolderSource(self.what.card, self.what.readings[probe.split], self.what.root, [pair])
        try:
            labels = source.labels(0)
        except SwathError as error:
            raise Wrong("label-mode", str(error), "mend the file of outlines, or take the picture out of it") from error
        counts = np.bincount(labels.ravel(), minlength=256)
        pixels = counts[: self.what.card.num_classes].astype(np.int64)
        probe.mask = Mask(False, {}, pixels, int(counts[self.what.card.ignore_index]))


def _other_size(label: tuple[int, ...], picture: tuple[int, int], header: Header | None) -> Wrong:
    said = f"is {label[1]} x {label[0]} pixels, but its picture is {picture[1]} x {picture[0]}"
    if tuple(label) == picture[::-1]:
        if header is not None and header.orientation in range(5, 9):
            message = f"{said}: the picture's EXIF orientation turns it, the label was drawn on the unturned one"
            cure = "save the picture without EXIF orientation, or turn the label with it"
            return Wrong("turned-label", message, cure)
        return Wrong("transposed", f"{said}: height and width are swapped", "transpose it, as an array's .T does")
    if abs(label[0] * picture[1] - label[1] * picture[0]) <= max(picture):
        said += f": {label[0] / picture[0]:.3g} times its size"
    return Wrong("size", said, "make labels of the pictures' size (resized by nearest neighbour, never otherwise)")


def _is_grey(image: NDArray[np.uint8]) -> bool:
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())


def printed(handle: int) -> Callable[[], str]:
    """What has been written to a file since the last call; decoders in C print their complaints."""
    at = os.fstat(handle).st_size

    def news() -> str:
        nonlocal at
        end = os.fstat(handle).st_size
        os.lseek(handle, at, os.SEEK_SET)
        text = os.read(handle, end - at).decode("utf-8", "replace")
        at = end
        return " ".join(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))[:200]

    return news
