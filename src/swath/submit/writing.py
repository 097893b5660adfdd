"""From a split to an archive: first a file a picture, then all of them packed, so that a stopped run can go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from swath.errors import SwathError
from swath.evaluation.evaluator import check_classes
from swath.files import atomic_write, make_folder
from swath.inference import Segmenter
from swath.inference.ahead import ahead
from swath.submit.archives import write_archive
from swath.submit.inspection import Watch
from swath.submit.servers import Server

if TYPE_CHECKING:
    from swath.data import Source

_ORIGIN = "made-of.json"
_EFFORT = 6  # of compression: half the size of the least effort, for some milliseconds a picture


def write_submission(
    segmenter: Segmenter, source: Source, server: Server, out: str | Path, *, split: str, watch: Watch | None = None
) -> None:
    """Segment every picture and write the archive that a server takes.

    Predictions stand in a folder beside it until it is written. A second run takes those that are there, unless they
    were made by other weights, of other pictures or in another way.
    """
    out = Path(out)
    if not out.name.endswith(server.archive):
        raise SwathError(f"{out}: {server.title} takes a .{server.archive}; name it {server.name}.{server.archive}")
    check_classes(segmenter, source.card)
    table = server.table(source.card)
    parts = make_folder(out.with_name(out.name + ".parts"))
    _claim(parts, {"server": server.name, "card": source.card.name, "split": split, **_made_by(segmenter)})
    files = [(server.file_name(source.name(index)), index) for index in range(len(source))]
    if len({name for name, _ in files}) < len(files):
        raise SwathError(f"card '{source.card.name}': pictures of split '{split}' share a name, and would share a file")
    palette = _palette(source, table) if server.palette else None
    missing = [(name, index) for name, index in files if not (parts / Path(name).name).is_file()]
    done = len(files) - len(missing)
    for (name, _), picture in ahead(lambda job: source.image(job[1]), missing):
        labels = segmenter.label_maps([picture()])[0]
        write_png(parts / Path(name).name, np.asarray(cv2.LUT(labels, table), np.uint8), palette)
        done += 1
        if watch:
            watch(done, len(files))
    write_archive(out, server.archive, [(name, parts / Path(name).name) for name, _ in files])
    shutil.rmtree(parts)


def write_png(path: Path, values: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None) -> None:
    """Grey, or with a palette."""
    picture = Image.fromarray(values)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    with atomic_write(path) as file:
        picture.save(file, "PNG", compress_level=_EFFORT)


def _palette(source: Source, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The card's colors, by value."""
    palette = np.zeros((256, 3), np.uint8)
    palette[table[: source.card.num_classes]] = source.card.colors
    return palette


def _made_by(segmenter: Segmenter) -> dict[str, str]:
    """What tells one way of predicting from another."""
    file, digest = Path(segmenter.name), hashlib.sha256()
    for part in (file, file.with_suffix(".bin"), Path(f"{file}.data")):  # some formats keep their numbers beside them
        digest.update(part.read_bytes() if part.is_file() else b"")
    return {"weights": segmenter.name, "sha256": digest.hexdigest(), "views": str(segmenter.views)}


def _claim(parts: Path, origin: dict[str, str]) -> None:
    """Note down what the predictions of a folder are made of, or see that it is still the same."""
    note = parts / _ORIGIN
    if not note.exists():
        with atomic_write(note, "w") as file:
            json.dump(origin, file, indent=1)
        return
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SwathError(f"{note}: cannot be read; delete the folder {parts} to start anew") from error
    for key, value in origin.items():
        if before.get(key) != value:
            raise SwathError(
                f"{parts}: holds predictions of another run ({key}: {before.get(key)!r}, now {value!r}); delete it to "
                "start anew, or write to another file"
            )
