"""The front as a picture: what a configuration is worth over the milliseconds that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from swath.fit import telling
from swath.fit.measure import shown
from swath.fit.outcome import Outcome, Row
from swath.report.charts import AXIS, RULE, short, ticks

_WIDTH, _HEIGHT = 1080, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 28, 46
_TICKS = (1, 2, 3, 5, 7)
_LABEL = 6.6  # units that a letter takes


def svg(outcome: Outcome) -> str:
    """Measured ones are dots, those only estimated rings; the front is a line, the budget a dashed one. The lower axis
    is logarithmic: half the time is as far everywhere."""
    rows = [row for row in outcome.rows if row.value is not None and (row.figure or _near(row, outcome))]
    if not rows:
        return '<p class="note">nothing of what was measured has a value to draw.</p>'
    frame = _Frame(rows, outcome.settings.latency)
    parts = frame.axes(f"ms a picture ({outcome.settings.stage}, median; logarithmic)", outcome.yardstick.label)
    parts += _budget(frame, outcome.settings.latency)
    parts += _line(frame, outcome.front)
    plain = [row for row in rows if not row.front and row is not outcome.proposal]
    for row in sorted(plain, key=lambda row: bool(row.figure)):
        parts.append(_dot(frame, row, outcome, 3.2 if row.figure else 2.6))
    taken: list[tuple[float, float, float, float]] = []
    ordered = sorted(outcome.front, key=lambda row: (row is not outcome.proposal, row.ms))
    for row in ordered:
        parts.append(_dot(frame, row, outcome, 8 if row is outcome.proposal else 5.5))
        parts += _label(frame, row, outcome, taken)
    label = escape(f"{outcome.yardstick.label} over milliseconds")
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


class _Frame:
    """Where a value lies in the picture."""

    def __init__(self, rows: Sequence[Row], budget: float):
        times = [*(row.ms for row in rows), budget]
        values = [row.value or 0.0 for row in rows]
        self.low, self.high = math.log(min(times)) - 0.12, math.log(max(times)) + 0.2
        room = 0.08 * (max(values) - min(values)) or 1.0
        self.bottom, self.top = min(values) - room, max(values) + room

    def x(self, ms: float) -> float:
        return _LEFT + (math.log(ms) - self.low) / (self.high - self.low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - self.bottom) / (self.top - self.bottom) * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, below: str, beside: str) -> list[str]:
        right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for value in ticks(self.bottom, self.top):
            y = self.y(value)
            parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" {RULE}/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
        for power in range(-2, 6):
            for digit in _TICKS:
                ms = digit * 10.0**power
                if self.low <= math.log(ms) <= self.high:
                    parts.append(f'<text x="{self.x(ms):.1f}" y="{floor + 17}" text-anchor="middle">{short(ms)}</text>')
        middle = (_TOP + floor) / 2
        turned = f'text-anchor="middle" transform="rotate(-90 13 {middle})"'
        return [
            *parts,
            f'<line x1="{_LEFT}" y1="{floor}" x2="{right}" y2="{floor}" {AXIS}/>',
            f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(below)}</text>',
            f'<text x="13" y="{middle}" {turned}>{escape(beside)}</text>',
        ]


def _budget(frame: _Frame, budget: float) -> list[str]:
    x = frame.x(budget)
    side = _WIDTH - _RIGHT - x
    return [
        f'<rect x="{x:.1f}" y="{_TOP}" width="{side:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}" class="beyond"/>',
        f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" class="budget"/>',
        f'<text x="{x:.1f}" y="{_TOP - 9}" text-anchor="middle" class="strong">'
        f"budget, {telling.milliseconds(budget)}</text>",
    ]


def _line(frame: _Frame, front: Sequence[Row]) -> list[str]:
    """Steps: between two points, the left one is what can be had."""
    points: list[str] = []
    for row in front:
        x, y = frame.x(row.ms), frame.y(row.value or 0)
        if points:
            points.append(f"{x:.1f},{points[-1].split(',')[1]}")
        points.append(f"{x:.1f},{y:.1f}")
    return [f'<polyline points="{" ".join(points)}" class="front"/>'] if points else []


def _dot(frame: _Frame, row: Row, outcome: Outcome, radius: float) -> str:
    kind = "proposed" if row is outcome.proposal else "on" if row.front else "off" if row.figure else "guess"
    told = "measured" if row.figure else "estimated"
    text = (
        f"{name(row)}, {row.trial.way}: {telling.milliseconds(row.ms)} {told}, "
        f"{outcome.yardstick.text(row.value)} {outcome.yardstick.label}"
    )
    x, y = frame.x(row.ms), frame.y(row.value or 0)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"><title>{escape(text)}</title></circle>'


def _label(frame: _Frame, row: Row, outcome: Outcome, taken: list[tuple[float, float, float, float]]) -> list[str]:
    """Left above the dot, where the front leaves room; else right below it; none where there is none."""
    text = name(row)
    x, y, width = frame.x(row.ms), frame.y(row.value or 0), _LABEL * len(text)
    for left, base, anchor, at in (
        (x - 9 - width, y - 8, "end", x - 9),
        (x + 11, y + 15, "start", x + 11),
        (x - 9 - width, y - 22, "end", x - 9),
        (x + 11, y + 29, "start", x + 11),
    ):
        box = (left, base - 12, left + width, base + 3)
        inside = left > _LEFT and box[2] < _WIDTH - 2 and box[1] > _TOP and base < _HEIGHT - _BOTTOM
        if inside and not any(_cross(box, other) for other in taken):
            taken.append(box)
            strong = ' class="strong"' if row is outcome.proposal else ""
            return [f'<text x="{at:.1f}" y="{base:.1f}" text-anchor="{anchor}"{strong}>{escape(text)}</text>']
    return []


def name(row: Row) -> str:
    """A configuration without its engine."""
    subject = row.trial.group.subject
    title = subject.path.stem if subject.path else subject.title
    return f"{title} at {shown(row.trial.group.seen)}"


def _near(row: Row, outcome: Outcome) -> bool:
    """Estimates are drawn while they are of interest, and only of the way that others are compared with."""
    return row.ms <= 4 * outcome.settings.latency and row.trial.way.precision == "float32"


def _cross(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
