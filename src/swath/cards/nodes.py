"""A YAML file as a tree that remembers its lines, so that every complaint about a card can name one.

Scalars stay text until a reader asks for a type: YAML's own guesses turn a class called `no` into False.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from swath.errors import SwathError, nearest

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000  # aliases of aliases can stand for any number of them


@dataclass(frozen=True)
class Node:
    """A value of a card: text, None, a tuple of nodes or a dict of nodes; with its key and its line."""

    value: str | tuple[Node, ...] | dict[str, Node] | None
    key: str
    file: str
    line: int

    @property
    def where(self) -> str:
        """`bottles.yaml:7 (label_values)`."""
        return f"{self.file}:{self.line} ({self.key})" if self.key else f"{self.file}:{self.line}"

    def error(self, message: str) -> SwathError:
        """A complaint about this value."""
        return SwathError(f"{self.where}: {message}")

    def text(self) -> str:
        """The value as text."""
        if not isinstance(self.value, str):
            raise self.error(f"must be a text, not {self._kind()}")
        return self.value

    def integer(self, low: int, high: int) -> int:
        """The value as a whole number from low to high."""
        if not isinstance(self.value, str) or not re.fullmatch(r"-?\d{1,9}", self.value):
            raise self.error(f"must be a whole number from {low} to {high}, not {self._kind()}")
        number = int(self.value)
        if not low <= number <= high:
            raise self.error(f"must be from {low} to {high}, not {number}")
        return number

    def items(self) -> tuple[Node, ...]:
        """The value as a list; a single text counts as a list of its words."""
        if isinstance(self.value, str):
            return tuple(Node(word, self.key, self.file, self.line) for word in self.value.split())
        if not isinstance(self.value, tuple):
            raise self.error(f"must be a list, not {self._kind()}")
        return self.value

    def words(self) -> tuple[str, ...]:
        """The value as a list of texts."""
        return tuple(item.text() for item in self.items())

    def mapping(self, allowed: Collection[str] | None = None) -> dict[str, Node]:
        """The value as `key: value` pairs; a key that is not allowed is refused with the nearest that is."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.error(f"must be 'key: value' pairs, not {self._kind()}")
        if allowed is not None:
            for name, node in self.value.items():
                if name not in allowed:
                    raise node.error(unknown_key(name, allowed))
        return self.value

    def color(self) -> tuple[int, int, int]:
        """The value as red, green and blue: `[220, 20, 60]`, `220 20 60` or `'#dc143c'`."""
        if isinstance(self.value, str):
            return parse_color(self.value, self)
        parts = self.items()
        if len(parts) != 3:
            raise self.error(f"a color is [red, green, blue], not {len(parts)} numbers")
        red, green, blue = (part.integer(0, 255) for part in parts)
        return red, green, blue

    def _kind(self) -> str:
        if self.value is None:
            return "nothing"
        if isinstance(self.value, str):
            return f"'{self.value}'"
        return "a list" if isinstance(self.value, tuple) else "'key: value' pairs"


def unknown_key(name: str, allowed: Iterable[str]) -> str:
    """What to say about a key that does not exist."""
    allowed = list(allowed)
    guess = nearest(name, allowed)
    return f"unknown key '{name}'; " + (f"did you mean '{guess}'?" if guess else f"known: {', '.join(allowed)}")


def parse_color(text: str, node: Node) -> tuple[int, int, int]:
    """A color written as `220 20 60` or `#dc143c`."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    parts = re.split(r"[\s,]+", text.strip())
    if len(parts) == 3 and all(re.fullmatch(r"\d{1,3}", part) and int(part) < 256 for part in parts):
        return int(parts[0]), int(parts[1]), int(parts[2])
    raise node.error(f"'{text}' is no color; write three numbers from 0 to 255 ('220 20 60') or '#dc143c'")


def read_yaml(path: Path) -> Node:
    """The tree of a YAML file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SwathError(f"{path}: larger than {MAX_BYTES:,} bytes; this is not a card")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SwathError(f"{path}: is not UTF-8 text; save the card as UTF-8") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise SwathError(f"{path}: is empty; a card needs at least name, classes, images and labels")
        return _convert(root, "", path.name, root, (), itertools.count())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SwathError(f"{path.name}:{line}: is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SwathError(f"{path}: is not YAML: {' '.join(str(error).split())[:200]}") from error
    finally:
        loader.dispose()


def _convert(
    node: yaml.Node, key: str, file: str, at: yaml.Node, above: tuple[yaml.Node, ...], count: Iterator[int]
) -> Node:
    """`at` is where the line is taken from: a mapping's key, because that is where a person looks."""
    line = at.start_mark.line + 1
    if next(count) > MAX_VALUES:
        raise SwathError(f"{file}:{line}: the card stands for more than {MAX_VALUES:,} values; this is not a card")
    if any(node is parent for parent in above):
        raise SwathError(f"{file}:{line}: this alias contains itself")
    if isinstance(node, yaml.ScalarNode):
        empty = node.style is None and node.value in ("", "~", "null", "Null", "NULL")
        return Node(None if empty else node.value, key, file, line)
    if isinstance(node, yaml.SequenceNode):
        parts = tuple(_convert(child, key, file, child, (*above, node), count) for child in node.value)
        return Node(parts, key, file, line)
    pairs: dict[str, Node] = {}
    for name, child in node.value:
        name_line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            raise SwathError(f"{file}:{name_line}: a key must be a text; write a color as '220 20 60'")
        if name.value in pairs:
            first = pairs[name.value].line
            raise SwathError(f"{file}:{name_line}: '{name.value}' stands here twice (first in line {first})")
        inner = f"{key}.{name.value}" if key else name.value
        pairs[name.value] = _convert(child, inner, file, name, (*above, node), count)
    return Node(pairs, key, file, line)
