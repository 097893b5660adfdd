"""The key `maps` of a card: depth, optical flow and motion that lie beside the pictures."""

from __future__ import annotations

import re

from swath.cards.nodes import Node
from swath.cards.tables import IGNORE
from swath.data.companions import Companion, Depth, Disparity, Flow, Motion

MOTION = {"still": 0, "moving": 1, "ignore": IGNORE}


def companions(node: Node) -> tuple[Companion, ...]:
    """What the card says about each map."""
    readers = {"depth": _depth, "flow": _flow, "motion": _motion}
    return tuple(readers[name](child) for name, child in node.mapping(readers).items())


def _depth(node: Node) -> Companion:
    keys = node.mapping(("files", "per_metre", "camera", "range"))
    if len(keys.keys() & {"per_metre", "camera"}) != 1:
        raise node.error("needs either 'per_metre' (values of the file in one metre) or 'camera' (for disparities)")
    if "per_metre" in keys:
        return Depth("depth", _files(keys), node.where, keys["per_metre"].integer(1, 65535), _range(keys))
    return Disparity("depth", _files(keys), node.where, file_pattern(keys["camera"]), _range(keys))


def _flow(node: Node) -> Companion:
    keys = node.mapping(("files", "zero", "channels"))
    zero = keys["zero"].integer(0, 255) if "zero" in keys else 128
    return Flow("flow", _files(keys), node.where, zero, keys["channels"].integer(2, 3) if "channels" in keys else 2)


def _motion(node: Node) -> Companion:
    keys = node.mapping(("files", "values"))
    if "values" not in keys:
        raise node.error("needs 'values', such as '{0: still, 255: moving}'")
    ids: dict[int, int] = {}
    for key, child in keys["values"].mapping().items():
        if not re.fullmatch(r"\d{1,5}", key) or int(key) > 65535:
            raise child.error(f"'{key}' must be a value of at most 65535")
        if child.text() not in MOTION:
            raise child.error(f"'{child.text()}' must be one of {', '.join(MOTION)}")
        ids[int(key)] = MOTION[child.text()]
    return Motion("motion", _files(keys), keys["values"].where, tuple(ids.items()))


def _files(keys: dict[str, Node]) -> str | None:
    return file_pattern(keys["files"]) if "files" in keys else None


def file_pattern(node: Node) -> str:
    """A pattern with {id} once; `*` stands for what a name may hold beside it."""
    text = node.text()
    if text.count("{id}") != 1 or set(re.findall(r"\{(.*?)\}", text)) - {"split", "id"}:
        raise node.error(f"'{text}' must hold {{id}} once, and no other field than {{split}}")
    return text


def _range(keys: dict[str, Node]) -> tuple[float, float] | None:
    if "range" not in keys:
        return None
    parts = keys["range"].items()
    if len(parts) != 2:
        raise keys["range"].error("a range is [nearest, farthest], in metres")
    low, high = parts[0].integer(0, 65535), parts[1].integer(1, 65535)
    if low >= high:
        raise keys["range"].error(f"the nearest ({low}) must be below the farthest ({high})")
    return float(low), float(high)
