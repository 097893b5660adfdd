"""Do the next piece of reading while the caller works on this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(read: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Each item with a function that gives `read(item)`, or raises what it raised. At most one is read in advance."""
    if not items:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="swath-read") as reader:
        coming = reader.submit(read, items[0])
        for index, item in enumerate(items):
            ready = coming
            ready.exception()  # wait here, so that only one further result is ever held
            if index + 1 < len(items):
                coming = reader.submit(read, items[index + 1])
            yield item, ready.result
