"""What a loss may be told: its options are the parameters with a default, and annotations say which values fit."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from swath.errors import SwathError, unknown


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `above`: `low` itself is none of them."""

    low: float = 0
    high: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def words(self, kind: str) -> str:
        """Such as 'a number between 0 and 1'."""
        if self.high < math.inf:
            return f"{kind} between {self.low:g} and {self.high:g}{f', not {self.low:g}' if self.above else ''}"
        return f"{kind} above {self.low:g}" if self.above else f"{kind} of {self.low:g} or more"


Share = Annotated[float, Range(0, 1)]
SomeShare = Annotated[float, Range(0, 1, above=True)]
Amount = Annotated[float, Range()]
SomeAmount = Annotated[float, Range(above=True)]
Count = Annotated[int, Range()]
SomeCount = Annotated[int, Range(1)]


def read_options(name: str, loss: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a loss with their types; what it does not take is refused."""
    known = [each.name for each in inspect.signature(loss).parameters.values() if each.default is not each.empty]
    kinds = typing.get_type_hints(loss, include_extras=True)
    read = {}
    for option, value in given.items():
        if option not in known:
            raise unknown(f"option of the loss '{name}'", option, known)
        read[option] = _read(f"loss_options.{option} of '{name}'", kinds[option], value)
    return read


def _read(what: str, kind: Any, value: Any) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise SwathError(f"{what} is {value}, it must be true or false")
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value in choices:
            return value
        raise SwathError(f"{what} is {value}, it must be {' or '.join(choices)}")
    number_type, allowed = typing.get_args(kind)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # 1e-3 is text to YAML
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number != number_type(number) or not allowed.holds(number):
        noun = "a whole number" if number_type is int else "a number"
        raise SwathError(f"{what} is {value}, it must be {allowed.words(noun)}")
    return number_type(number)
