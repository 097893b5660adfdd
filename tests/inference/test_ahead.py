"""Reading in advance: in order, not too far, and mistakes where they belong."""

from __future__ import annotations

import threading
import time

import pytest

from swath.inference.ahead import ahead


@pytest.mark.parametrize("readers", [1, 3, 8])
def test_keeps_the_order_and_never_runs_far_ahead(readers: int) -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def read(item: int) -> int:
        with lock:
            begun.append(item)
        time.sleep(0.002 * (item % 3))
        return item * item

    for done, (item, result) in enumerate(ahead(read, range(12), readers)):
        assert result() == item * item and item == done
        with lock:
            assert len(begun) <= done + 1 + readers
    assert sorted(begun) == list(range(12))
    assert list(ahead(read, [], readers)) == []


def test_what_fails_fails_for_its_own_item() -> None:
    found = []
    for item, result in ahead(lambda item: 1 // item, [2, 0, 1], 2):
        try:
            found.append((item, result()))
        except ZeroDivisionError:
            found.append((item, None))
    assert found == [(2, 0), (0, None), (1, 1)]


def test_who_stops_early_waits_for_nothing_that_has_not_begun() -> None:
    begun = []
    for item, _ in ahead(begun.append, range(100), 2):
        if item == 3:
            break
    assert len(begun) <= 3 + 1 + 2
