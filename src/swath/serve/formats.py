"""What a client may have: the label map as PNG, run lengths or polygons, the overlay, or shares alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from swath.data.images import encode_label
from swath.data.runs import run_lengths
from swath.errors import nearest
from swath.inference import Segmentation
from swath.serve.limits import Refused
from swath.serve.outlines import TooRagged, polygons


@dataclass(frozen=True)
class Format:
    media: str
    about: str
    make: Callable[[Segmentation], Any]  # bytes of a picture, or what JSON can hold


def png(result: Segmentation) -> bytes:
    """The file that `Segmentation.save` writes."""
    return encode_label(result.labels, result.palette())


def overlay(result: Segmentation) -> bytes:
    """The file that `Segmentation.save_overlay` writes."""
    pixels = cv2.cvtColor(result.overlay(), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def rle(result: Segmentation) -> dict[str, Any]:
    height, width = result.labels.shape
    names = result.names()
    classes = [
        {"id": value, "name": names[value], "area": area, "segmentation": {"size": [height, width], "counts": counts}}
        for value, (area, counts) in run_lengths(result.labels).items()
        if value in names
    ]
    return {"width": width, "height": height, "classes": classes}


def outlines(result: Segmentation) -> dict[str, Any]:
    height, width = result.labels.shape
    names, features = result.names(), []
    for value in np.unique(result.labels).tolist():
        if value not in names:
            continue
        try:
            shape = {"type": "MultiPolygon", "coordinates": polygons(result.labels == value)}
        except TooRagged:
            raise Refused(
                422, f"class '{names[value]}' is too ragged here for polygons; ask for format=rle or png"
            ) from None
        features.append({"type": "Feature", "properties": {"id": value, "name": names[value]}, "geometry": shape})
    return {"type": "FeatureCollection", "width": width, "height": height, "features": features}


def shares(result: Segmentation) -> dict[str, Any]:
    height, width = result.labels.shape
    return {"width": width, "height": height, "shares": result.shares()}


FORMATS = {
    "png": Format("image/png", "label map: pixel values are class numbers, the palette their colours", png),
    "overlay": Format("image/jpeg", "the picture tinted by class", overlay),
    "rle": Format("application/json", "a COCO mask (compressed run lengths) for each class", rle),
    "polygons": Format("application/geo+json", "outlines with holes along the pixels' edges, y downwards", outlines),
    "shares": Format("application/json", "how much of the picture each class covers", shares),
}
_ACCEPTED = {"*/*": "png", "image/*": "png", "application/*": "rle"} | {
    each.media: name for name, each in reversed(FORMATS.items()) if name != "shares"
}


def chosen(asked: str | None, accept: str) -> str:
    """The format by its name (`?format=`), or else what the Accept header likes best."""
    if asked is not None:
        if asked not in FORMATS:
            guess = nearest(asked[:20], FORMATS)
            hint = f"did you mean {guess}?" if guess else f"there are {', '.join(FORMATS)}"
            raise Refused(400, f"no such format; {hint}")
        return asked
    wanted = []
    for place, entry in enumerate((accept or "*/*").split(",")):
        media, _, options = entry.partition(";")
        name = _ACCEPTED.get(media.strip().lower())
        quality = _quality(options)
        if name and quality > 0:
            wanted.append((-quality, place, name))
    if not wanted:
        types = ", ".join(dict.fromkeys(each.media for each in FORMATS.values()))
        raise Refused(406, f"nothing of what Accept names can be made here; there are {types}")
    return min(wanted)[2]


def encode(name: str, result: Segmentation) -> bytes:
    """One picture's answer."""
    made = FORMATS[name].make(result)
    return made if isinstance(made, bytes) else as_json(made)


def encode_part(name: str, file: str, result: Segmentation) -> bytes:
    """An entry of the list that answers several pictures; pictures are in it as base64."""
    made = FORMATS[name].make(result)
    if isinstance(made, bytes):
        made = {"media": FORMATS[name].media, "data": base64.b64encode(made).decode("ascii")}
    return as_json({"picture": file, "format": name, **made})


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _quality(options: str) -> float:
    for option in options.split(";"):
        key, _, value = option.partition("=")
        if key.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
