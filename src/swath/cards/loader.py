"""From a card's YAML to a Card: every key checked, every complaint with the file and the line."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from swath.cards.card import Card, ClassInfo, Reading, SplitInfo
from swath.cards.nodes import Node, read_yaml
from swath.cards.reading import READING_KEYS, Values, merge, reading
from swath.cards.tables import MAX_CLASSES
from swath.errors import SwathError, unknown

CARD_KEYS = (
    "name",
    "title",
    "aliases",
    "extends",
    "classes",
    "root",
    "inside",
    "layout",
    "layouts",
    "splits",
    "generator",
)
SPLIT_KEYS = ("folder", "aliases", "count", "size")
_SHIPPED = Path(__file__).parent


def list_cards() -> list[str]:
    """The names of the cards that come with swath."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_card(name: str | Path) -> Card:
    """A shipped card by its name or alias, or a card of your own by its file."""
    text = str(name)
    if isinstance(name, Path) or text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text:
        path = Path(name).expanduser()
        if path.is_dir():
            raise SwathError(f"{path}: is a folder, not a card; `swath init-card {path}` writes a card for it")
        if not path.exists():
            raise SwathError(f"{path}: there is no such card; known cards: {', '.join(list_cards())}")
        return _parse(path, builtin=False, above=())
    return _shipped(text)


@cache
def _shipped(name: str) -> Card:
    wanted = name.lower().replace("_", "-")
    if wanted in list_cards():
        return _parse(_SHIPPED / f"{wanted}.yaml", builtin=True, above=())
    for other in list_cards():
        if wanted in _shipped(other).aliases:
            return _shipped(other)
    raise unknown("card", name, list_cards())


def _parse(path: Path, builtin: bool, above: tuple[Path, ...]) -> Card:
    root = read_yaml(path)
    keys = _with_base(root, path, above)
    if "name" not in keys:
        raise SwathError(f"{path}: has no 'name'; write the dataset's name there, such as 'name: {path.stem}'")
    name = keys["name"].text()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise keys["name"].error(f"'{name}' must consist of letters, digits, '-', '_' and '.'")
    if "classes" not in keys:
        raise SwathError(f"{path}: has no 'classes'; write 'classes: {{background: [0, 0, 0], …}}'")
    classes = _classes(keys["classes"])
    generator = keys["generator"].text() if "generator" in keys else None
    if generator not in (None, "streets"):
        raise keys["generator"].error(f"unknown generator '{generator}'; known: streets")
    infos, layouts = _layouts(keys, path, Values([info.name for info in classes], [info.color for info in classes]))
    preferred = keys["layout"].words() if "layout" in keys else ()
    for layout in preferred:
        if layout not in layouts:
            raise keys["layout"].error(str(unknown("layout", layout, layouts)))
    return Card(
        name=name,
        title=keys["title"].text() if "title" in keys else name,
        aliases=keys["aliases"].words() if "aliases" in keys else (),
        classes=classes,
        split_infos=infos,
        layouts={} if generator else layouts,
        file=path,
        builtin=builtin,
        root=(path.parent / Path(keys["root"].text()).expanduser()) if "root" in keys else None,
        layout=" ".join(preferred) or None,
        inside=keys["inside"].words() if "inside" in keys else (),
        generator=generator,
    )


def _with_base(root: Node, path: Path, above: tuple[Path, ...]) -> dict[str, Node]:
    """The card's keys over those of the card that it extends."""
    keys = root.mapping((*CARD_KEYS, *READING_KEYS))
    if "extends" not in keys:
        return keys
    node = keys["extends"]
    name = node.text()
    base = path.parent / name if name.endswith((".yaml", ".yml")) else _SHIPPED / f"{name.lower()}.yaml"
    if base.resolve() == path.resolve() or base.resolve() in above:
        raise node.error("the cards extend each other in a circle")
    if not base.exists():
        raise node.error(str(unknown("card", name, list_cards())))
    inherited = dict(_with_base(read_yaml(base), base, (*above, path.resolve())))
    dropped = ["aliases", "root"]  # these belong to the other card's file
    if keys.keys() & {"images", "list"}:  # other files than those that the base's keys are about
        dropped += ["layouts", "inside", "instances", "maps"]
    if keys.keys() & {"images", "list", "layouts"}:
        dropped.append("layout")
    for key in dropped:
        inherited.pop(key, None)
    return merge(inherited, keys)


def _classes(node: Node) -> tuple[ClassInfo, ...]:
    if isinstance(node.value, dict):
        pairs = list(node.value.items())
    else:
        pairs = [(item.text(), Node(None, node.key, item.file, item.line)) for item in node.items()]
    if not 0 < len(pairs) <= MAX_CLASSES:
        raise node.error(f"there must be from 1 to {MAX_CLASSES} classes, not {len(pairs)}")
    infos: list[ClassInfo] = []
    for name, value in pairs:
        if name in ("ignore", "others", "in order") or not name.strip():
            raise value.error(f"'{name}' cannot be the name of a class: it has a meaning of its own in cards")
        if any(name == other.name for other in infos):
            raise value.error(f"the class '{name}' stands here twice")
        infos.append(_class(name, value, len(infos)))
    return tuple(infos)


def _class(name: str, value: Node, index: int) -> ClassInfo:
    if value.value is None:
        return ClassInfo(name, voc_color(index))
    if not isinstance(value.value, dict):
        return ClassInfo(name, value.color())
    fields = value.mapping(("color", "category"))
    color = fields["color"].color() if "color" in fields else voc_color(index)
    return ClassInfo(name, color, fields["category"].text() if "category" in fields else "")


def voc_color(index: int) -> tuple[int, int, int]:
    """Color of a class that has none of its own: PASCAL VOC's map, which spreads the bits of the number."""
    color = [0, 0, 0]
    for bit in range(8):
        color[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    return color[0], color[1], color[2]


def _layouts(
    keys: dict[str, Node], path: Path, values: Values
) -> tuple[tuple[SplitInfo, ...], dict[str, dict[str, Reading]]]:
    """The splits, and for each layout (there is one, `default`, where the card names none) how each is read."""
    common = {key: keys[key] for key in READING_KEYS if key in keys}
    shared = _splits(keys["splits"]) if "splits" in keys else {}
    named = keys["layouts"].mapping() if "layouts" in keys else {"default": Node({}, "", path.name, 1)}
    if not named:
        raise keys["layouts"].error("names no layout")
    infos = {split: _split_info(split, _fields(node)) for split, node in shared.items()}
    layouts: dict[str, dict[str, Reading]] = {}
    for layout, node in named.items():
        own = node.mapping((*READING_KEYS, "splits"))
        base = merge(common, {key: own[key] for key in READING_KEYS if key in own})
        splits = (_splits(own["splits"]) if "splits" in own else shared) or _default_splits(base, path)
        layouts[layout] = {}
        for split, split_node in splits.items():
            fields = _fields(split_node)
            infos.setdefault(split, _split_info(split, fields))
            folder = fields["folder"].text() if "folder" in fields else split
            merged = merge(base, {key: fields[key] for key in READING_KEYS if key in fields})
            if "generator" not in keys:
                layouts[layout][split] = reading(layout, split, folder, merged, split_node, values)
        _check_splits(layouts[layout])
    return tuple(infos.values()), layouts


def _check_splits(readings: dict[str, Reading]) -> None:
    """Every `except` names a split, and no two splits are the same pictures with the same labels."""
    seen: dict[object, str] = {}
    for split, item in readings.items():
        for other in item.excluding:
            if other not in readings or other == split:
                raise SwathError(f"{item.where}: except: {unknown('split', other, readings)}")
        files = (item.images, item.labels, item.list_file, item.coco)
        paths = [text and text.replace("{split}", item.folder) for text in files]
        key = (*paths, item.min_area, item.ids, item.excluding, item.percent)
        if key in seen:
            raise SwathError(
                f"{item.where}: the splits '{seen[key]}' and '{split}' would read the same pictures; "
                "write {split} where their folders differ, or give each its 'list', 'ids' or 'percent'"
            )
        seen[key] = split


def _splits(node: Node) -> dict[str, Node]:
    """Declared splits: a list of names, or names with what is particular to each."""
    if isinstance(node.value, dict):
        splits = node.value
    else:
        splits = {item.text(): Node(None, node.key, item.file, item.line) for item in node.items()}
    for name, child in splits.items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise child.error(f"'{name}' must consist of letters, digits, '-', '_' and '.'")
    if not splits:
        raise node.error("names no split")
    return splits


def _default_splits(base: dict[str, Node], path: Path) -> dict[str, Node]:
    """Without a word about splits: train, val and test where folders or lists are named by them, else one: all."""
    named = any("{split}" in base[key].text() for key in ("images", "list") if key in base)
    return {name: Node(None, "", path.name, 1) for name in (("train", "val", "test") if named else ("all",))}


def _fields(node: Node) -> dict[str, Node]:
    if isinstance(node.value, str):  # `val: validation` is short for `val: {folder: validation}`
        return {"folder": node}
    return node.mapping((*SPLIT_KEYS, *READING_KEYS))


def _split_info(name: str, fields: dict[str, Node]) -> SplitInfo:
    size = None
    if "size" in fields:
        parts = fields["size"].items()
        if len(parts) != 2:
            raise fields["size"].error("a size is [height, width]")
        size = parts[0].integer(1, 100_000), parts[1].integer(1, 100_000)
    return SplitInfo(
        name,
        aliases=fields["aliases"].words() if "aliases" in fields else (),
        count=fields["count"].integer(0, 100_000_000) if "count" in fields else 0,
        size=size,
    )
