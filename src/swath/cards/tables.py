"""From what a label file holds (values or colors) to train ids, by one lookup; a value without a name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.errors import SwathError

IGNORE = 255
UNKNOWN = 254  # never a train id: a card has at most 254 classes
MAX_CLASSES = 254


class LabelTable:
    """Train ids by raw value (8 or 16 bit) or by color (`by_color`: keys are red << 16 | green << 8 | blue)."""

    def __init__(
        self,
        ids: Mapping[int, int],
        *,
        by_color: bool = False,
        others: int | None = None,
        divide: int = 1,
        where: str = "",
    ) -> None:
        self.ids = dict(ids)
        self.by_color = by_color
        self.others = others
        self.divide = divide
        self.where = where

    def apply(self, raw: NDArray[Any], name: str = "label") -> NDArray[np.uint8]:
        """Train ids of a label as `read_label_raw` gives it; `name` is the file that a complaint will name."""
        if self.by_color:
            keys: NDArray[Any] = _packed(raw, name, self.where)
            train_ids = self._color_table.take(keys)
        else:
            keys = raw = _one_channel(raw, name, self.where)
            if raw.dtype == np.uint8 and self.divide == 1:
                train_ids = cv2.LUT(raw, self._byte_table)
            else:
                train_ids = self._word_table.take(raw)
        if self.others is None:
            unknown = train_ids == UNKNOWN
            if unknown.any():
                raise self._unknown(keys, unknown, name)
        return np.asarray(train_ids, np.uint8)

    def knows(self, value: int) -> bool:
        """Whether the card names this raw value (or packed color)."""
        return self.others is not None or value // self.divide in self.ids

    @cached_property
    def _word_table(self) -> NDArray[np.uint8]:
        table = np.full(65536, UNKNOWN if self.others is None else self.others, np.uint8)
        for value, train_id in self.ids.items():
            table[value * self.divide : (value + 1) * self.divide] = train_id
        return table

    @cached_property
    def _byte_table(self) -> NDArray[np.uint8]:
        return self._word_table[:256].copy()

    @cached_property
    def _color_table(self) -> NDArray[np.uint8]:
        table = np.full(1 << 24, UNKNOWN if self.others is None else self.others, np.uint8)
        for color, train_id in self.ids.items():
            table[color] = train_id
        return table

    def __getstate__(self) -> dict[str, Any]:
        # The tables are made again where they are used: the one for colors has 16 MB.
        return {key: value for key, value in self.__dict__.items() if not key.endswith("_table")}

    def _unknown(self, keys: NDArray[Any], unknown: NDArray[np.bool_], name: str) -> SwathError:
        y, x = (int(v) for v in np.argwhere(unknown)[0])
        value = int(keys[y, x])
        count = int(np.count_nonzero(keys == value))
        more = len(np.unique(keys[unknown])) - 1
        said = f"color {unpack(value)}" if self.by_color else f"value {value}"
        also = f" (and {more} other unknown ones)" if more else ""
        key = "label_colors" if self.by_color else "label_values"
        return SwathError(
            f"{name}: {said} in {count:,} pixels, first at x {x}, y {y}, has no name{also}; "
            f"see {self.where or key}: name it there, or write 'ignore' for it"
        )


def pack(color: tuple[int, int, int]) -> int:
    """A color as one number."""
    return color[0] << 16 | color[1] << 8 | color[2]


def unpack(packed: int) -> tuple[int, int, int]:
    """The color of a packed number."""
    return packed >> 16, packed >> 8 & 255, packed & 255


def _packed(raw: NDArray[Any], name: str, where: str) -> NDArray[np.uint32]:
    if raw.ndim != 3:
        raise SwathError(f"{name}: holds values, but the card reads colors ({where}); use label_values there")
    bgra = cv2.cvtColor(raw, cv2.COLOR_RGB2BGRA)  # read as one number, blue is its lowest byte
    keys: NDArray[np.uint32] = bgra.view("<u4")[..., 0]
    keys &= 0xFFFFFF
    return keys


def _one_channel(raw: NDArray[Any], name: str, where: str) -> NDArray[Any]:
    if raw.ndim == 2:
        return raw
    if (raw[..., 0] == raw[..., 1]).all() and (raw[..., 0] == raw[..., 2]).all():
        return np.ascontiguousarray(raw[..., 0])  # grey written as color: the value is unmistakable
    raise SwathError(f"{name}: holds colors, but the card reads values ({where}); use label_colors there")
