"""`swath verify`: is a bundle whole, and does its engine answer on this machine as the original did?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from swath.deploy.bundle import LIST, VERSION, sha256
from swath.deploy.exporter import FORMATS
from swath.deploy.folders import is_inside
from swath.errors import SwathError
from swath.inference import Segmenter, Views
from swath.inference.runtimes.engines import default_engine

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Vector:
    """One picture of a bundle with the original's labels."""

    name: str
    size: tuple[int, int]
    picture: Array  # H x W x C
    labels: Array  # H x W
    sure: npt.NDArray[np.bool_]  # where another label is a mistake
    limit: float  # share of pixels that may be


@dataclass(frozen=True)
class Seen:
    """What came out on one picture."""

    name: str
    size: tuple[int, int]
    pixels: int
    differ: int
    wrong: int  # of these, where the original was sure
    limit: float

    @property
    def passed(self) -> bool:
        return self.wrong <= self.limit * self.pixels


@dataclass(frozen=True)
class Verdict:
    """The outcome of a whole bundle."""

    bundle: str
    format: str
    precision: str
    engine: str
    pictures: list[Seen]
    classes: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> (pixels, of these different)

    @property
    def passed(self) -> bool:
        return all(each.passed for each in self.pictures)

    def as_dict(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "format": self.format,
            "precision": self.precision,
            "engine": self.engine,
            "passed": self.passed,
            "pictures": [
                {
                    "name": each.name,
                    "size": list(each.size),
                    "differ": each.differ / each.pixels,
                    "wrong": each.wrong / each.pixels,
                    "limit": each.limit,
                    "passed": each.passed,
                }
                for each in self.pictures
            ],
            "classes": {
                name: {"pixels": pixels, "differ": differ / pixels} for name, (pixels, differ) in self.classes.items()
            },
        }


def recheck(folder: str | Path, device: str = "cpu", watch: Callable[[int, int], None] | None = None) -> Verdict:
    """Check every file's checksum, then run every picture of the bundle by its engine. `watch` is told how many are
    done, of how many."""
    folder = Path(folder)
    about = read_list(folder)
    vectors = [_vector(folder, about, each) for each in about["vectors"]]
    if about["format"] == "tensorrt" and device == "cpu":
        device = "cuda"
    model = folder / about["model"]
    # By the engine of the bundle, though another may be the fastest here; and every picture as it is.
    segmenter = Segmenter(model, device, engine=default_engine(model.suffix), views=Views())
    if segmenter.num_classes != len(about["classes"]):
        raise SwathError(
            f"{folder}: {about['model']} has {segmenter.num_classes} classes, {LIST} names {len(about['classes'])}; "
            "export the bundle again"
        )
    seen = []
    totals = np.zeros((256, 2), np.int64)
    for done, vector in enumerate(vectors, 1):
        given = segmenter.labels(torch.from_numpy(vector.picture)[None])[0].cpu().numpy()
        differ = given != vector.labels
        wrong = int((differ & vector.sure).sum())
        seen.append(Seen(vector.name, vector.size, differ.size, int(differ.sum()), wrong, vector.limit))
        totals[:, 0] += np.bincount(vector.labels.ravel(), minlength=256)
        totals[:, 1] += np.bincount(vector.labels[differ], minlength=256)
        if watch is not None:
            watch(done, len(vectors))
    classes = {name: (int(pixels), int(differ)) for name, (pixels, differ) in zip(about["classes"], totals) if pixels}
    return Verdict(str(folder), about["format"], about["precision"], segmenter.runtime.engine, seen, classes)


def read_list(folder: Path) -> dict[str, Any]:
    """What `bundle.json` says, after every file that it names was found as it was exported."""
    path = folder / LIST
    if not path.is_file():
        raise SwathError(f"{folder}: holds no {LIST}, so is no bundle; `swath export WEIGHTS --to onnx` writes one")
    try:
        about = json.loads(path.read_text("utf-8"))
        _need(about, {"bundle": int})
        if about["bundle"] != VERSION:
            raise SwathError(f"{path}: is of version {about['bundle']}, this swath reads {VERSION}; export it again")
        _need(about, {"format": str, "model": str, "precision": str, "channels": int})
        _need(about, {"classes": list, "vectors": list, "files": dict})
        if about["format"] not in FORMATS:
            raise ValueError(f"the format {about['format']!r} is unknown")
        if about["model"] not in about["files"]:
            raise ValueError(f"the model {about['model']!r} is not among its files")
        if Path(about["model"]).suffix != FORMATS[about["format"]]:
            raise ValueError(f"the model {about['model']!r} is no file of {about['format']}")
        if not about["vectors"]:
            raise ValueError("it has no pictures to try")
        for each in about["vectors"]:
            _need(each, {"name": str, "size": list, "picture": str, "labels": str, "sure": str, "limit": float})
            if not 0 <= each["limit"] <= 1:
                raise ValueError(f"the limit {each['limit']} is no share")
            for key in ("picture", "labels", "sure"):
                if each[key] not in about["files"]:
                    raise ValueError(f"{each[key]!r} is not among its files")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SwathError(f"{path}: is not what swath writes ({error}); export the bundle again") from error
    for name, digest in about["files"].items():
        _check_file(folder, name, digest)
    return about  # type: ignore[no-any-return]


def _need(found: Any, wanted: dict[str, type]) -> None:
    if not isinstance(found, dict):
        raise TypeError(f"a {type(found).__name__} stands where names and values should")
    for key, kind in wanted.items():
        if key not in found:
            raise KeyError(f"{key} is missing")
        if not isinstance(found[key], kind) or isinstance(found[key], bool):
            raise TypeError(f"{key} is a {type(found[key]).__name__}")


def _check_file(folder: Path, name: str, digest: object) -> None:
    """A file of the bundle lies in it, and is what was exported."""
    if not is_inside(name):
        raise SwathError(f"{folder / LIST}: names '{name}', which is no file inside the bundle; do not trust it")
    path = folder / name
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        raise SwathError(f"{path}: is a link, and a bundle has none; do not trust it")
    if not path.is_file():
        raise SwathError(f"{path}: is missing from the bundle; copy or export it again")
    try:
        found = sha256(path)
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
    if found != digest:
        raise SwathError(f"{path}: is not the file that was exported (its sha256 differs); copy or export it again")


def _vector(folder: Path, about: dict[str, Any], entry: dict[str, Any]) -> Vector:
    try:
        height, width = entry["size"]
        if not (type(height) is int and type(width) is int and height > 0 and width > 0):
            raise ValueError(f"the size {entry['size']}")
        picture, labels, sure = (np.fromfile(folder / entry[key], np.uint8) for key in ("picture", "labels", "sure"))
        return Vector(
            entry["name"],
            (height, width),
            picture.reshape(height, width, about["channels"]),
            labels.reshape(height, width),
            sure.reshape(height, width) > 0,
            entry["limit"],
        )
    except (ValueError, TypeError) as error:
        raise SwathError(
            f"{folder / LIST}: the files of '{entry['name']}' do not fit its size ({error}); export the bundle again"
        ) from error
