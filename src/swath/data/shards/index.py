"""shards.json: which pictures lie where in the shards, byte by byte, and what their label values mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from swath.cards.card import Card
from swath.data.packed.manifest import rules
from swath.errors import SwathError, unknown

NAME = "shards.json"
FORMAT = "swath shards"
VERSION = 1


@dataclass(frozen=True)
class Part:
    """The bytes of one file in a shard, and their CRC-32."""

    offset: int
    length: int
    crc: int


@dataclass(frozen=True)
class Entry:
    """One picture: `parts` by "image", "labels" and the names of maps."""

    name: str
    shard: str
    size: tuple[int, int]
    parts: Mapping[str, Part]


@dataclass
class Split:
    """One split. A row is [name, number of its shard, height, width, then offset, length, CRC of each part]."""

    rules: str | None  # of the card's reading that it was made by; a generator has none
    maps: dict[str, int]
    parts: list[str]
    shards: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)

    def entry(self, index: int) -> Entry:
        """A picture; kept as a row until it is asked for, since there may be a million."""
        name, shard, height, width, *numbers = self.rows[index]
        parts = {part: Part(*numbers[3 * i : 3 * i + 3]) for i, part in enumerate(self.parts)}
        return Entry(name, self.shards[shard], (height, width), parts)


@dataclass
class Index:
    """What shards.json holds."""

    card: str
    classes: list[str]
    splits: dict[str, Split] = field(default_factory=dict)

    def to_json(self) -> str:
        """The file's text, one picture a line."""
        splits = []
        for name, split in self.splits.items():
            head = json.dumps({key: value for key, value in asdict(split).items() if key != "rows"})
            rows = ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in split.rows)
            splits.append(f'{json.dumps(name)}: {head[:-1]}, "rows": [\n{rows}\n]}}')
        head = json.dumps({"format": FORMAT, "version": VERSION, "card": self.card, "classes": self.classes})
        return head[:-1] + ', "splits": {\n' + ",\n".join(splits) + "\n}}\n"


def parse_index(text: str | bytes, where: str) -> Index:
    """Read shards.json; `where` is for complaints."""
    try:
        told = json.loads(text)
        if told["format"] != FORMAT:
            raise KeyError("format")
        version = told["version"]
        if version == VERSION:
            splits = {name: Split(**split) for name, split in told["splits"].items()}
            if not all(re.fullmatch(r"\w[\w.-]*", shard) for split in splits.values() for shard in split.shards):
                raise ValueError("a shard lies beside its index, not elsewhere")
            return Index(told["card"], told["classes"], splits)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SwathError(f"{where}: is no index of shards, or is damaged; write the shards anew") from error
    raise SwathError(f"{where}: was written in version {version} of its form, this swath reads {VERSION}; update swath")


def checked_split(index: Index, card: Card, split: str, where: str) -> Split:
    """The split, when its train ids still mean what the card says."""
    if index.classes != card.class_names:
        raise SwathError(
            f"{where}: was written with the {len(index.classes)} classes of card '{index.card}', "
            f"card '{card.name}' has {card.num_classes} that differ; open it with that card, or write the shards anew"
        )
    if split not in index.splits:
        raise unknown(f"split of {where}", split, index.splits)
    found = index.splits[split]
    rules_now = {rules(readings[split]) for readings in card.layouts.values() if split in readings}
    if found.rules is not None and found.rules not in rules_now:
        raise SwathError(
            f"{where}: the card has changed since these shards were written: other pictures, or other label values; "
            "write the shards anew"
        )
    return found
