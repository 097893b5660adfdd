"""Small pictures for the page: a contact sheet, files that findings are about, and near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.data.folder import FolderSource
from swath.data.images import read_image
from swath.data.pairs import Pair
from swath.doctor.diagnosis import Diagnosis, SplitFacts
from swath.doctor.findings import Group, shown
from swath.doctor.twins import Twins
from swath.errors import SwathError
from swath.report import image_uri

Figure = tuple[str, str]  # caption, picture as a data URI
Array = NDArray[np.uint8]

_WIDTH = 300  # of a picture on the page
_ROW = 4
_SHEET = 24  # pictures, over all splits
_TWINS = 12
_SHOWN = 4  # of one finding
# Where a look at the file helps to see what is meant.
_VISIBLE = ("one-color", "grey", "aspect", "turned", "doubtful", "cmyk", "unknown-color", "swapped-colors")


def contact_sheet(diagnosis: Diagnosis) -> list[Figure]:
    """Pictures from all over every split, tinted by their classes."""
    figures: list[Figure] = []
    each = max(_ROW, _SHEET // max(1, len(diagnosis.splits)) // _ROW * _ROW)
    for split in diagnosis.splits:
        many = len(split.pairs)
        for at in range(min(each, many)):
            figure = _figure(diagnosis, split, split.pairs[at * many // min(each, many)])
            if figure:
                figures.append(figure)
    return figures


def sheet(figures: Sequence[Figure]) -> str:
    """Pictures in rows of four, the last row as well."""
    parts = "".join(
        f'<figure><img src="{uri}" alt="{escape(caption)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, uri in figures
    )
    return f'<div class="grid" style="grid-template-columns: repeat({_ROW}, minmax(0, 1fr))">{parts}</div>'


def _figure(diagnosis: Diagnosis, split: SplitFacts, pair: Pair) -> Figure | None:
    source = FolderSource(diagnosis.card, split.reading, diagnosis.root, [pair])
    caption = f"{split.name}: {shown(pair.image, diagnosis.root)}"
    try:
        image = source.image(0)
    except SwathError:
        return None
    try:
        labels = source.labels(0) if pair.label is not None or split.reading.coco else None
    except SwathError:
        labels, caption = None, f"{caption} (its label cannot be used)"
    return caption, image_uri(_tinted(image, labels, diagnosis.card.palette()))


def _tinted(image: Array, labels: Array | None, palette: Array) -> Array:
    """Made small first; what is ignored stays as it is."""
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    small = np.asarray(cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    if labels is None:
        return small
    flat = cv2.resize(labels, (_WIDTH, height), interpolation=cv2.INTER_NEAREST)
    tinted = np.asarray(cv2.addWeighted(small, 0.45, palette[flat], 0.55, 0), np.uint8)
    tinted[flat == 255] = small[flat == 255]
    return tinted


def of_group(diagnosis: Diagnosis, group: Group) -> list[Figure]:
    """The first files that a finding is about, where they can be looked at."""
    if group.kind not in _VISIBLE:
        return []
    figures = [_small(diagnosis.root / finding.file, finding.file) for finding in group.findings[:_SHOWN]]
    return [figure for figure in figures if figure]


def twin_figures(diagnosis: Diagnosis, twins: Sequence[Twins]) -> list[Figure]:
    """Near-duplicates side by side, two pairs a row."""
    figures: list[Figure] = []
    for twin in twins[:_TWINS]:
        sides = [
            _small(path, f"{split}: {shown(path, diagnosis.root)}")
            for split, path in ((twin.split, twin.picture), (twin.other_split, twin.other))
        ]
        figures += [side for side in sides if side] if all(sides) else []
    return figures


def _small(path: Path, caption: str) -> Figure | None:
    try:
        return caption, image_uri(read_image(path), width=_WIDTH)
    except SwathError:
        return None
