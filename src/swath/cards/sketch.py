"""A first card for a folder: what `swath init-card` writes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from swath.cards.counting import Counts, count_labels, read_names, shown
from swath.cards.loader import load_card, voc_color
from swath.cards.survey import Survey, survey
from swath.cards.tables import IGNORE, MAX_CLASSES, unpack
from swath.data.pairs import percent_of
from swath.errors import SwathError
from swath.files import atomic_write

_VOID = re.compile(r"(void|unlabell?ed|ignored?|unknown|unannotated)", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 _/-]*")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

Track = Callable[[list[tuple[Path, Path]]], Iterable[tuple[Path, Path]]]


@dataclass(frozen=True)
class Sketch:
    """A card's text, and what was found while it was written."""

    text: str
    found: Survey
    counts: Counts
    lists: dict[str, list[str]]  # list files to write beside the pictures: split -> ids


def sketch(folder: Path, card: Path, track: Track = iter) -> Sketch:
    """Look at a folder and write a card for it; `track` shows how far the reading of labels is."""
    found = survey(folder)
    labelled = {split: pairs for split, pairs in found.pairs.items() if pairs}
    counts = count_labels(track([(image, label) for pairs in labelled.values() for _, image, label in pairs]))
    names = _names(counts, folder)
    if len(set(names.values()) - {"ignore"}) > MAX_CLASSES:
        raise SwathError(f"{folder}: the labels hold {len(names)} values; a card has at most {MAX_CLASSES} classes")
    # Where some pictures have no label, a list of those that have one makes the card usable.
    lists = {split: [name for name, _, _ in pairs] for split, pairs in labelled.items() if found.bare.get(split)}
    lines = [
        f"# A first card for {folder.name}, written by `swath init-card` from what lies there.",
        "# Give the classes their names; write 'ignore' for values that should not be learnt.",
        f"name: {_card_name(folder)}",
        "classes:",
        *_class_lines(counts, names),
    ]
    root = Path(os.path.relpath(folder.resolve(), card.resolve().parent)).as_posix()
    if root != ".":
        lines.append(f"root: {json.dumps(root)}")
    lines += [f"images: {json.dumps(found.images)}", f"labels: {json.dumps(found.labels)}"]
    lines += _split_lines(found, {split: _list_name(card, found, split) for split in lists})
    lines.append("label_colors:" if counts.by_color else "label_values:")
    lines += [f"  {shown(counts, key)}: {_quoted(name)}{_share(counts, key)}" for key, name in names.items()]
    return Sketch("\n".join(lines) + "\n", found, counts, lists)


def write_card(folder: Path, card: Path, force: bool = False, track: Track = iter) -> Sketch:
    """Write a card for a folder, and open every split of it once."""
    if card.exists() and not force:
        raise SwathError(f"{card}: exists already; --force writes over it, --out names another file")
    made = sketch(folder, card, track)
    for split, names in made.lists.items():
        with atomic_write(folder / _list_name(card, made.found, split), "w") as file:
            file.write("\n".join(names) + "\n")
    with atomic_write(card, "w") as file:
        file.write(made.text)
    loaded = load_card(card)
    for split in loaded.splits:
        loaded.open(split)
    return made


def _names(counts: Counts, folder: Path) -> dict[int, str]:
    """A name for every value or color that occurs: from a file beside the data, or class_0, class_1, …"""
    by_value, by_color = read_names(folder)
    known = by_color if counts.by_color else by_value
    keys = sorted(counts.pixels)
    if not counts.by_color and set(keys) == {0, 255}:
        return {0: "background", 255: "object"}
    names: dict[int, str] = {}
    for key in keys:
        if not counts.by_color and key == IGNORE and key not in known:
            names[key] = "ignore"
            continue
        name = known.get(key, "")
        if _VOID.fullmatch(name):
            names[key] = "ignore"
        elif name and name not in ("others", "in order"):
            names[key] = name
        else:
            names[key] = f"class_{key}" if not counts.by_color else f"class_{len(names)}"
    return names


def _class_lines(counts: Counts, names: dict[int, str]) -> list[str]:
    lines = []
    classes = dict.fromkeys(name for name in names.values() if name != "ignore")
    for index, name in enumerate(classes):
        key = next(key for key, other in names.items() if other == name)
        if counts.by_color:
            color = unpack(key)
        elif key < len(counts.palette):
            color = counts.palette[key]
        else:
            color = voc_color(index)
        lines.append(f"  {_quoted(name)}: [{color[0]}, {color[1]}, {color[2]}]")
    return lines


def _list_name(card: Path, found: Survey, split: str) -> str:
    return f"{card.stem}-{found.folders[split] or split}.txt"


def _split_lines(found: Survey, lists: dict[str, str]) -> list[str]:
    lines = ["splits:"]
    order = ["all", "train", "val", "test", "train_extra"]
    for split, folder in sorted(found.folders.items(), key=lambda item: order.index(item[0])):
        pairs, bare = found.pairs.get(split, []), found.bare.get(split, [])
        fields = [f"folder: {folder}"] if folder and folder != split else []
        if split in lists:
            fields.append(f"list: {json.dumps(lists[split])}")
        if not pairs:
            fields.append("labels: none")
        comment = f"# {len(pairs) or len(bare)} pictures" + (", without labels" if not pairs else "")
        if split != "all":
            lines.append(f"  {split}: {{{', '.join(fields)}}}  {comment}")
            continue
        places = [percent_of(name) for name, _, _ in pairs]
        if not min(places) < 80 <= max(places):
            lines.append(f"  all: {{{', '.join(fields)}}}  {comment}")
            continue
        comment += " in one folder, divided by their names, four to one"
        for part, percent in (("train", "0-80"), ("val", "80-100")):
            lines.append(f"  {part}: {{{', '.join([*fields, f'percent: {percent}'])}}}  {comment}")
    return lines


def _share(counts: Counts, key: int) -> str:
    pixels = counts.pixels[key]
    return f"  # {pixels:,} pixels ({100 * pixels / counts.total:.3f} %)"


def _card_name(folder: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-_.").lower()
    return name or "dataset"


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _YAML_WORDS else json.dumps(name, ensure_ascii=False)
