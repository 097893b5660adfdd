"""The keys of a card that say how files are found and what their labels mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

from swath.cards.card import Reading
from swath.cards.maps import companions
from swath.cards.nodes import Node, parse_color
from swath.cards.tables import IGNORE, LabelTable, pack, unpack
from swath.errors import nearest

READING_KEYS = (
    "images",
    "labels",
    "list",
    "list_line",
    "list_prefix",
    "ids",
    "except",
    "percent",
    "label_values",
    "label_colors",
    "label_divide",
    "instances",
    "mat",
    "coco",
    "min_area",
    "maps",
)
# Of each group one key can hold: who gives one drops what was inherited of the others.
EXCLUSIVE = (("list", "ids", "except", "coco"), ("label_values", "label_colors"), ("labels", "coco"))


@dataclass(frozen=True)
class Values:
    """The classes, for tables: names and colors by train id."""

    names: list[str]
    colors: list[tuple[int, int, int]]


def merge(base: dict[str, Node], own: dict[str, Node]) -> dict[str, Node]:
    """`own` over `base`."""
    dropped = {key for group in EXCLUSIVE if own.keys() & set(group) for key in group}
    return {key: node for key, node in base.items() if key not in dropped} | own


def reading(layout: str, split: str, folder: str, keys: dict[str, Node], place: Node, values: Values) -> Reading:
    """How one split is found and read; `place` is the line to name where a key is missing."""
    for group in EXCLUSIVE:
        given = [key for key in group if key in keys]
        if len(given) > 1:
            raise keys[given[1]].error(f"cannot stand beside '{given[0]}'")
    images = _pattern(keys["images"]) if "images" in keys else None
    labels_node = keys.get("labels")
    labelled = labels_node is None or labels_node.value not in (None, "none")
    labels = _pattern(labels_node) if labels_node is not None and labelled else None
    found = companions(keys["maps"]) if "maps" in keys else ()
    line = _list_line(keys.get("list_line"), images, labels, labelled, "list" in keys, [each.name for each in found])
    if images is None and "{image}" not in (line or ""):
        raise place.error("'images' is missing: where the pictures are, such as 'images: \"{split}/images/{id}.jpg\"'")
    if labelled and labels is None and "coco" not in keys and "{label}" not in (line or ""):
        raise place.error("'labels' is missing: where the labels are (write 'labels: none' where there are none)")
    for each in found:
        if each.files is None and f"{{{each.name}}}" not in (line or ""):
            raise keys["maps"].error(f"{each.name} needs 'files', or a column {{{each.name}}} in list_line")
    if "min_area" in keys and "coco" not in keys:
        raise keys["min_area"].error("has a meaning only beside 'coco'")
    where = keys["images"].where if "images" in keys else keys["list"].where
    return Reading(
        layout=layout,
        split=split,
        folder=folder,
        images=images,
        labels=labels,
        labelled=labelled,
        table=_table(keys, values),
        where=where,
        list_file=keys["list"].text() if "list" in keys else None,
        list_line=line,
        list_prefix=keys["list_prefix"].text() if "list_prefix" in keys else "",
        ids=keys["ids"].words() if "ids" in keys else None,
        excluding=keys["except"].words() if "except" in keys else (),
        percent=_percent(keys["percent"]) if "percent" in keys else (0, 100),
        instances=_pattern(keys["instances"]) if "instances" in keys else None,
        mat=keys["mat"].text() if "mat" in keys else None,
        coco=keys["coco"].text() if "coco" in keys else None,
        min_area=keys["min_area"].integer(0, 100_000_000) if "min_area" in keys else None,
        maps=found,
    )


def _pattern(node: Node) -> str:
    """A text with {id} once, and {split} perhaps."""
    text = node.text()
    for field in re.findall(r"\{(.*?)\}", text):
        if field not in ("split", "id"):
            guess = nearest(field, ("split", "id"))
            hint = f"did you mean '{{{guess}}}'?" if guess else "known: {split}, {id}"
            raise node.error(f"unknown field '{{{field}}}'; {hint}")
    if text.count("{id}") != 1:
        raise node.error(f"'{text}' must hold {{id}} once: the part by which a picture finds its label")
    return text


def _list_line(
    node: Node | None, images: str | None, labels: str | None, labelled: bool, listed: bool, maps: list[str]
) -> str | None:
    """The form of a list's lines; without a word about it: ids where there are patterns, else the two files."""
    if node is None:
        if not listed:
            return None
        if images is not None and (labels is not None or not labelled):
            return "{id}"
        return "{image} {label}" if labelled else "{image}"
    text = node.text()
    fields = re.findall(r"\{(.*?)\}", text)
    for field in fields:
        if field not in ("id", "image", "label", *maps):
            known = "".join(f"{{{name}}}, " for name in ("id", "image", "label", *maps))
            raise node.error(f"unknown field '{{{field}}}'; known: {known}... for what follows")
    if "id" not in fields and "image" not in fields:
        raise node.error("a line of a list must hold {id} or {image}")
    if re.search(r"\[[^\]]*\]\s+[^\[.\s]", text):
        raise node.error("columns that a line may lack, in brackets, come last")
    return text


def _percent(node: Node) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,3})\s*-\s*(\d{1,3})", node.text())
    if not match or not int(match[1]) < int(match[2]) <= 100:
        raise node.error("must be a range such as '0-80'")
    return int(match[1]), int(match[2])


def _table(keys: dict[str, Node], values: Values) -> LabelTable:
    divide = keys["label_divide"].integer(1, 65535) if "label_divide" in keys else 1
    if "label_colors" in keys:
        if divide > 1:
            raise keys["label_divide"].error("has no meaning for label_colors")
        return _color_table(keys["label_colors"], values)
    if "label_values" in keys:
        return _value_table(keys["label_values"], values, divide)
    ids = {index: index for index in range(len(values.names))} | {IGNORE: IGNORE}
    where = "the card's classes: it has no label_values, so values 0, 1, … are its classes in order, 255 is ignored"
    return LabelTable(ids, divide=divide, where=where)


def _value_table(node: Node, values: Values, divide: int) -> LabelTable:
    ids: dict[int, int] = {}
    others: int | None = None
    for key, child in node.mapping().items():
        if key == "others":
            others = _target(child, values)
            continue
        match = re.fullmatch(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", key)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not match or last < first or last * divide > 65535:
            raise child.error(f"'{key}' must be a value or a range ('3' or '0-6') of at most {65535 // divide}")
        for value in range(first, last + 1):
            if value in ids:
                raise child.error(f"the value {value} stands here twice")
            if child.value == "in order":
                if value - first >= len(values.names):
                    raise child.error(f"has {last - first + 1} values for {len(values.names)} classes")
                ids[value] = value - first
            else:
                ids[value] = _target(child, values)
    return LabelTable(ids, others=others, divide=divide, where=node.where)


def _color_table(node: Node, values: Values) -> LabelTable:
    """Colors by name; a class that no line names is drawn in its own color."""
    ids: dict[int, int] = {}
    others: int | None = None
    for key, child in node.mapping().items():
        if key == "others":
            others = _target(child, values)
            continue
        packed = pack(parse_color(key, child))
        if packed in ids:
            raise child.error(f"the color {unpack(packed)} stands here twice")
        ids[packed] = _target(child, values)
    own: dict[int, int] = {}
    for index, color in enumerate(values.colors):
        if index in ids.values():
            continue
        packed = pack(color)
        if packed in ids or packed in own:
            other = ids.get(packed, own.get(packed, 0))
            used = "ignore" if other == IGNORE else f"'{values.names[other]}'"
            raise node.error(f"the color {color} of class '{values.names[index]}' stands for {used} too")
        own[packed] = index
    return LabelTable(ids | own, by_color=True, others=others, where=node.where)


def _target(node: Node, values: Values) -> int:
    name = node.text()
    if name == "ignore":
        return IGNORE
    if name not in values.names:
        guess = nearest(name, [*values.names, "ignore"])
        hint = f"did you mean '{guess}'?" if guess else "write one of the card's classes, or 'ignore'"
        raise node.error(f"'{name}' is no class of this card; {hint}")
    return values.names.index(name)
