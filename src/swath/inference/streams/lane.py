"""A lane between two threads: items in order, few at a time."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Ended(Exception):
    """No item will come any more."""


class Lane(Generic[Item]):
    """Holds up to `room` items. When it is full the giver waits; with `newest` the oldest item is dropped instead."""

    def __init__(self, room: int, newest: bool = False):
        self.dropped = 0
        self._room = room
        self._newest = newest
        self._items: deque[Item] = deque()
        self._finished = False  # the giver gives no more
        self._closed = False  # the taker takes no more
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Whether anybody still wants items."""
        with self._changed:
            while len(self._items) >= self._room and not (self._newest or self._ended):
                self._changed.wait()
            if self._ended:
                return False
            if len(self._items) >= self._room:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> Item:
        """The oldest item. Raises Ended after the last one, TimeoutError when none came in time."""
        with self._changed:
            ready = self._changed.wait_for(lambda: bool(self._items) or self._ended, timeout)
            if not ready:
                raise TimeoutError
            if not self._items:
                raise Ended
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def finish(self) -> None:
        """No more are given; those that lie here can still be taken."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def close(self) -> None:
        """No more are taken."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def _ended(self) -> bool:
        return self._finished or self._closed
