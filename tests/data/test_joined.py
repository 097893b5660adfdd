"""Sources one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from swath import load_card
from swath.data import Joined
from swath.errors import SwathError


class Some:
    """A source of `count` pictures, each named by its part and number."""

    card = load_card("streets")

    def __init__(self, part: int, count: int) -> None:
        self.part, self.count = part, count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{self.part}/{index}"

    def size(self, index: int) -> tuple[int, int]:
        return self.part + 1, index + 1

    def image(self, index: int) -> np.ndarray:
        return np.full((*self.size(index), 3), index, np.uint8)

    def labels(self, index: int) -> np.ndarray:
        return np.full(self.size(index), index, np.uint8)


def test_every_picture_is_found_in_its_part() -> None:
    joined = Joined(Some.card, [Some(0, 2), Some(1, 1), Some(2, 3)])
    assert [joined.name(i) for i in range(len(joined))] == ["0/0", "0/1", "1/0", "2/0", "2/1", "2/2"]
    for index in range(len(joined)):
        assert joined.image(index).shape[:2] == joined.labels(index).shape == joined.size(index)
    for index in (-1, 6):
        with pytest.raises(IndexError):
            joined.image(index)


def test_instances_come_from_the_part_that_knows_them() -> None:
    class Known(Some):
        def instances(self, index: int) -> np.ndarray:
            return np.full(self.size(index), 1000 * self.part + index, np.int32)

    joined = Joined(Some.card, [Known(1, 2), Some(2, 1), Known(3, 1)])
    assert [int(joined.instances(index)[0, 0]) for index in (0, 1, 3)] == [1000, 1001, 3000]
    with pytest.raises(SwathError, match="2/0: its split has no instance maps"):
        joined.instances(2)
