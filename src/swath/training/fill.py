"""Typed dataclasses from YAML and from the command line: what does not fit is refused with the nearest that does."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from swath.errors import SwathError, unknown

T = TypeVar("T")

COMMAND_LINE = "command line"
_SIZE = re.compile(r"(\d+)[xX](\d+)")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


@dataclass(frozen=True)
class Words:
    """What a person typed after `--key`: text, whose type the field decides."""

    words: tuple[str, ...]


def override(tree: Any, key: str, value: Any, above: str = "") -> Any:
    """A copy of `tree` with the dotted `key` set; numbers pick an entry of a list."""
    head, _, rest = key.partition(".")
    full = _join(above, head)
    if isinstance(tree, list):
        if not head.isdigit() or int(head) >= len(tree):
            raise SwathError(f"{COMMAND_LINE}: --{full}: there are {len(tree)} {above}, counted from 0")
        copy: Any = list(tree)
        place: Any = int(head)
        inner = copy[place]
    else:
        copy = dict(tree) if isinstance(tree, Mapping) else {}
        place, inner = head, copy.get(head)
    copy[place] = override(inner, rest, value, full) if rest else value
    return copy


def merge(base: Any, change: Any) -> Any:
    """`change` over `base`: mappings mix, everything else replaces; {0: {…}} changes the first entry of a list."""
    if isinstance(base, list) and isinstance(change, Mapping):
        for key, value in change.items():
            if not str(key).isdigit() or int(key) >= len(base):
                raise SwathError(f"'{key}' is no entry of a list of {len(base)}; count from 0, or give the whole list")
            base = [merge(each, value) if i == int(key) else each for i, each in enumerate(base)]
        return base
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return {**base, **{key: merge(base.get(key), value) for key, value in change.items()}}
    return change


def fill(kind: type[T], raw: Any, where: str, path: str = "") -> T:
    """An instance of the dataclass `kind` from a mapping; `where` (a file's name) is what a complaint begins with."""
    if not isinstance(raw, Mapping):
        raise _wrong(raw, where, path, "a section with keys, such as --" + f"{path}.{_names(kind)[0]}".lstrip("."))
    hints = typing.get_type_hints(kind)
    known = {_join(path, name): name for name in _names(kind)}
    values = {}
    for key, value in raw.items():
        full = _join(path, str(key))
        if full not in known:
            raise SwathError(f"{_source(value, where)}: {unknown('key', full, known)}")
        values[known[full]] = convert(hints[known[full]], value, where, full)
    needed = [f.name for f in dataclasses.fields(kind) if f.init and _required(f) and f.name not in values]  # type: ignore[arg-type]
    if needed:
        raise SwathError(
            f"{where}: '{_join(path, needed[0])}' is missing; give it there or as --{_join(path, needed[0])}"
        )
    try:
        return kind(**values)
    except SwathError as error:
        raise SwathError(f"{_source(raw, where)}: {path + ': ' if path else ''}{error}") from error


def convert(kind: Any, raw: Any, where: str, path: str) -> Any:
    """`raw` as the type `kind`, which a field is annotated with."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, raw, where, path)
    if dataclasses.is_dataclass(kind):
        return fill(typing.cast(type[Any], kind), raw, where, path)
    if origin in (tuple, list):
        return _sequence(origin, arguments, raw, where, path)
    if origin is dict and dataclasses.is_dataclass(arguments[1]):
        if not isinstance(raw, Mapping):
            raise _wrong(raw, where, path, f"a section with keys, such as --{path}.NAME.{_names(arguments[1])[0]}")
        return {str(key): convert(arguments[1], value, where, _join(path, str(key))) for key, value in raw.items()}
    if origin is dict or kind is Any:
        return plain(raw)
    if origin is typing.Literal:
        text = _text(raw, where, path)
        if text not in arguments:
            raise SwathError(f"{_source(raw, where)}: {path}: {unknown('choice', str(text), map(str, arguments))}")
        return text
    return _scalar(kind, raw, where, path)


def plain(raw: Any) -> Any:
    """What stands in a free section: typed words are read as YAML, WIDTHxHEIGHT as [height, width]."""
    if isinstance(raw, Words):
        values = [plain(word if _SIZE.fullmatch(word) else yaml.safe_load(word)) for word in raw.words]
        return values[0] if len(values) == 1 else values
    if isinstance(raw, Mapping):
        return {str(key): plain(value) for key, value in raw.items()}
    if isinstance(raw, (list, tuple)):
        return [plain(value) for value in raw]
    if isinstance(raw, str) and (size := _SIZE.fullmatch(raw)):
        return [int(size[2]), int(size[1])]
    return raw


def as_plain(value: Any) -> Any:
    """The way back: dataclasses and tuples as what YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        return {key: as_plain(each) for key, each in value.items()}
    return [as_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _union(kinds: Sequence[Any], raw: Any, where: str, path: str) -> Any:
    words = raw.words if isinstance(raw, Words) else (raw,)
    if type(None) in kinds and words in ((None,), ("none",), ("null",)):
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    problem: SwathError | None = None
    for kind in others:
        try:
            return convert(kind, raw, where, path)
        except SwathError as error:
            problem = problem or error
    assert problem
    raise problem


def _sequence(origin: Any, kinds: tuple[Any, ...], raw: Any, where: str, path: str) -> Any:
    values: Any = raw
    if isinstance(raw, Words):
        values = list(raw.words)
        if len(values) == 1 and values[0][:1] in "[(":
            values = values[0].strip("[]() ").replace(",", " ").split()
    elif isinstance(raw, str):
        values = [raw]
    pair = origin is tuple and kinds in ((int, int),)
    if pair and isinstance(values, list) and len(values) == 1 and (size := _SIZE.fullmatch(str(values[0]))):
        values = [int(size[2]), int(size[1])]
    if isinstance(values, Mapping) or not isinstance(values, (list, tuple)):
        raise _wrong(raw, where, path, "a list")
    each = kinds[0] if origin is list or kinds[-1:] == (Ellipsis,) else None
    if each is None and len(values) != len(kinds):
        what = "two whole numbers (height, width) or WIDTHxHEIGHT" if pair else f"{len(kinds)} values"
        raise _wrong(raw, where, path, what)
    source = _source(raw, where)
    filled = [convert(each or kinds[i], value, source, f"{path}.{i}") for i, value in enumerate(values)]
    return filled if origin is list else tuple(filled)


def _scalar(kind: Any, raw: Any, where: str, path: str) -> Any:
    if kind is bool and isinstance(raw, Words) and not raw.words:
        return True  # a bare --flag
    value = _text(raw, where, path)
    text = str(value).strip()
    if kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise _wrong(raw, where, path, "true or false")
    if kind is str and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return text
    if kind in (int, float) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            number = float(text)  # 1e-3 is text to YAML
            if kind is float or number == int(number):
                return kind(number) if "." in text or "e" in text.lower() or kind is float else int(text)
        except (ValueError, OverflowError):
            pass
    raise _wrong(raw, where, path, {int: "a whole number", float: "a number", str: "text"}[kind])


def _text(raw: Any, where: str, path: str) -> Any:
    if not isinstance(raw, Words):
        return raw
    if len(raw.words) != 1:
        raise _wrong(raw, where, path, "one value")
    return raw.words[0]


def _wrong(raw: Any, where: str, path: str, wanted: str) -> SwathError:
    shown = " ".join(raw.words) if isinstance(raw, Words) else raw
    return SwathError(f"{_source(raw, where)}: {path or 'this'}: '{shown}' is not {wanted}")


def _source(raw: Any, where: str) -> str:
    """Where a value came from: somewhere inside it there are words that were typed, or it is the file's."""
    if isinstance(raw, Words):
        return COMMAND_LINE
    if isinstance(raw, Mapping) and any(_source(value, where) == COMMAND_LINE for value in raw.values()):
        return COMMAND_LINE
    return where


def _names(kind: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(kind) if f.init]


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
