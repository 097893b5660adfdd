"""A window of a picture and its label, read from their files without decoding what stands below it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.data.images import image_size, read_image_rows, read_label_rows

if TYPE_CHECKING:
    from swath.data.folder import FolderSource


def cut_files(
    source: FolderSource, index: int, rows: slice, columns: slice, names: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """`read_parts(source, index, names)`, each only [rows, columns]; label values outside are not looked at."""
    cut = {}
    for name in names:
        if name == "image":
            cut[name] = read_image_rows(source.pairs[index].image, rows, columns)
        elif name == "labels":
            cut[name] = _labels(source, index, rows, columns)
        else:
            cut[name] = source.map(index, name)[rows, columns]
    return cut


def _labels(source: FolderSource, index: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
    path, reading = source.pairs[index].label, source.reading
    if path is None or reading.mat or reading.coco or image_size(path) != source.size(index):
        return source.labels(index)[rows, columns]  # not a picture of its own, or a complaint
    raw = read_label_rows(path, rows, colors=reading.table.by_color)[:, columns]
    return reading.table.apply(np.ascontiguousarray(raw), str(path))
