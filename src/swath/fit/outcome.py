"""What a person asks of a device, and all that came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from swath.fit.candidates import SCALES, WIDTHS, Size, Trial
from swath.fit.value import Yardstick

STAGES = {
    "mask": "uint8 pixels of the whole picture in host memory to uint8 labels of its size in host memory: resizing, "
    "preprocessing, the network, enlarging and deciding",
    "network": "uint8 pixels on the device, of the size that the network sees, to its logits at their own stride; no "
    "resizing and no mask",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to look for. Sizes are (height, width)."""

    latency: float  # milliseconds
    size: Size
    device: str = "cpu"
    words: tuple[str, ...] = ()  # names or patterns of networks, and weights; none: those made for real time
    widths: tuple[float, ...] = WIDTHS
    scales: tuple[float, ...] = SCALES
    engines: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    stage: str = "mask"
    num_classes: int = 19
    limit: int = 100  # pictures of the card's split that scores are of
    minutes: float = 10.0
    again: bool = False  # measure also what is known


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Milliseconds of single calls."""

    p50: float
    p90: float
    calls: int
    date: str  # as datetime writes it, in UTC

    def seconds_old(self) -> float:
        """Endless where it does not say."""
        try:
            return (datetime.now(UTC) - datetime.fromisoformat(self.date)).total_seconds()
        except (ValueError, TypeError):
            return math.inf


@dataclass(frozen=True, kw_only=True)
class Row:
    """A configuration with all that is known of it."""

    trial: Trial
    estimate: float  # milliseconds
    figure: Figure | None  # None: it was only estimated
    value: float | None  # by the yardstick
    front: bool = False

    @property
    def ms(self) -> float:
        return self.figure.p50 if self.figure else self.estimate


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that was found, the fastest first."""

    settings: Settings
    yardstick: Yardstick
    rows: list[Row]
    proposal: Row | None  # None: nothing keeps the budget
    failures: Mapping[str, str]
    out_of_time: bool
    seconds: float
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> list[Row]:
        return [row for row in self.rows if row.figure]

    @property
    def front(self) -> list[Row]:
        return [row for row in self.rows if row.front]
