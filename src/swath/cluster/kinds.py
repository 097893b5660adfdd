"""What an archive's pictures become: label PNGs in the same tree, or tables of a part each: masks, or statistics."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from swath.cluster.places import Place
from swath.cluster.sources import png_name
from swath.data.images import encode_label
from swath.data.runs import run_lengths, run_turns, unpacked
from swath.errors import SwathError
from swath.inference.segmenter import Answer

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class About:
    """What all pictures have in common."""

    class_names: list[str]
    colors: list[tuple[int, int, int]]
    engine: str
    model: str  # digest of its files


class Kind(Protocol):
    sure: bool  # whether it wants to know how sure labels are

    def picture(self, entry: str, answer: Answer, pixels: Counts) -> Any:
        """Called in threads; `pixels` of each class."""
        ...

    def part(self, number: int, rows: Sequence[Any]) -> None:
        """When all pictures of a part have become rows, in their order."""
        ...


class Pngs:
    """A palette PNG for each picture."""

    sure = False

    def __init__(self, place: Place, about: About) -> None:
        self.place = place
        self.palette = np.zeros((256, 3), np.uint8)
        self.palette[: len(about.colors)] = about.colors

    def picture(self, entry: str, answer: Answer, pixels: Counts) -> None:
        self.place.write(png_name(entry), encode_label(answer.labels, self.palette))

    def part(self, number: int, rows: Sequence[Any]) -> None:
        """Everything is written."""


class Masks:
    """Parquet: a row a picture, of the classes in it how many pixels they cover and COCO's compressed run lengths."""

    sure = False

    def __init__(self, place: Place, about: About) -> None:
        self.place, self.about = place, about

    def picture(self, entry: str, answer: Answer, pixels: Counts) -> dict[str, Any]:
        height, width = answer.labels.shape
        found = {value: each for value, each in run_lengths(answer.labels).items() if value < len(pixels)}
        return {
            "name": plain(entry),
            "height": height,
            "width": width,
            "classes": list(found),
            "areas": [area for area, _ in found.values()],
            "counts": [counts for _, counts in found.values()],
            "engine": self.about.engine,
            "model": self.about.model,
        }

    def part(self, number: int, rows: Sequence[dict[str, Any]]) -> None:
        import pyarrow as pa

        word = pa.dictionary(pa.int32(), pa.string())
        fields = {
            "name": pa.string(),
            "height": pa.int32(),
            "width": pa.int32(),
            "classes": pa.list_(pa.uint8()),
            "areas": pa.list_(pa.int64()),
            "counts": pa.list_(pa.string()),
            "engine": word,
            "model": word,
        }
        write_table(self.place, number, rows, pa.schema(fields), self.about)


class Statistics:
    """Parquet: a row a picture, how sure the labels are on average and which share of it each class covers."""

    sure = True

    def __init__(self, place: Place, about: About) -> None:
        self.place, self.about = place, about
        self.shares = [f"share_{name}" for name in about.class_names]

    def picture(self, entry: str, answer: Answer, pixels: Counts) -> dict[str, Any]:
        height, width = answer.labels.shape
        sure = None if answer.confidence is None else float(answer.confidence.mean(dtype=np.float64))
        shares = zip(self.shares, (pixels / answer.labels.size).tolist())
        return {"name": plain(entry), "height": height, "width": width, "mean_confidence": sure, **dict(shares)}

    def part(self, number: int, rows: Sequence[dict[str, Any]]) -> None:
        import pyarrow as pa

        fields = {"name": pa.string(), "height": pa.int32(), "width": pa.int32(), "mean_confidence": pa.float32()}
        schema = pa.schema({**fields, **dict.fromkeys(self.shares, pa.float32())})
        write_table(self.place, number, rows, schema, self.about)


class StatisticsCsv(Statistics):
    """The same as text."""

    def part(self, number: int, rows: Sequence[dict[str, Any]]) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, ["name", "height", "width", "mean_confidence", *self.shares], lineterminator="\n")
        table.writeheader()
        table.writerows(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
        )
        self.place.write(f"part-{number:07d}.csv", text.getvalue().encode())


KINDS: dict[str, Callable[[Place, About], Kind]] = {
    "png": Pngs,
    "parquet": Masks,
    "stats": Statistics,
    "stats-csv": StatisticsCsv,
}


def check_kind(kind: str, class_names: Sequence[str]) -> None:
    """Columns are named by classes."""
    if kind.startswith("stats") and len(set(class_names)) < len(class_names):
        raise SwathError("two classes of this model have the same name, and so would columns; write --as parquet")


def label_map(height: int, width: int, classes: Sequence[int], counts: Sequence[str]) -> Bytes:
    """The uint8 label map of a row of `--as parquet`; 255 where no class is."""
    flat = np.full(width * height, 255, np.uint8)
    for value, text in zip(classes, counts):
        turns = run_turns(np.array(unpacked(text), np.int64))
        for begin, end in zip(turns[::2], turns[1::2]):
            flat[begin:end] = value
    return np.ascontiguousarray(flat.reshape(width, height).T)


def write_table(place: Place, number: int, rows: Sequence[dict[str, Any]], schema: Any, about: About) -> None:
    """A part's table. Its schema says what class numbers mean."""
    import pyarrow as pa
    from pyarrow import parquet

    told = {"classes": about.class_names, "colors": about.colors, "model": about.model}
    table = pa.Table.from_pylist(list(rows), schema.with_metadata({"swath": json.dumps(told)}))
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd")
    place.write(f"part-{number:07d}.parquet", file.getvalue())


def plain(entry: str) -> str:
    """A name as text: bytes of file names that are none are written as \\x.."""
    return entry.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unique_name(kind: str, entry: str) -> str:
    """What no two pictures may share."""
    return png_name(entry) if kind == "png" else str(PurePosixPath(entry))
