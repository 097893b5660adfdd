"""Do the next piece of reading while the caller works on this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    read: Callable[[Item], Result], items: Sequence[Item], readers: int = 1
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Each item with a function that gives `read(item)`, or raises what it raised; in their order. At most one a reader
    is read in advance."""
    if not items:
        return
    with ThreadPoolExecutor(readers, thread_name_prefix="swath-read") as pool:
        coming: deque[Future[Result]] = deque(pool.submit(read, item) for item in items[:readers])
        try:
            for index, item in enumerate(items):
                ready = coming.popleft()
                ready.exception()  # wait here, so that only as many further results are ever held
                if index + readers < len(items):
                    coming.append(pool.submit(read, items[index + readers]))
                yield item, ready.result
        finally:
            for future in coming:  # a caller that has had enough does not wait for what has not begun
                future.cancel()
