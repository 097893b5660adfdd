"""One frame of a stream, and where frames come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture H x W x 3, RGB, and when it is to be seen."""

    number: int  # of those that could be read, from 0
    time: float  # seconds since the first one
    image: Array
    seconds: float = 0.0  # that decoding it took, without waiting for it
    since: float = field(default_factory=perf_counter)  # the clock when it was there


class Source(Protocol):
    """A video or a stream. `live` ones go on whether or not anybody looks, so that only their newest frame matters."""

    name: str
    live: bool
    rate: float | None  # frames a second, where it is known
    total: int | None  # frames, where it is known
    broken: int  # frames that could not be decoded
    returns: int  # times that the stream dropped and came back
    lost: bool  # whether it dropped and stayed away, or ended before its end

    def __iter__(self) -> Iterator[Frame]: ...

    def stop(self) -> None:
        """No further frame is wanted; may be called from another thread."""
