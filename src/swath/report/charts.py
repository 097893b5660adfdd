"""Charts as SVG text, in plain Python: a report opens anywhere, offline, and prints sharp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#2563eb", "#ea580c", "#059669", "#9333ea", "#dc2626", "#0891b2", "#ca8a04", "#64748b")

# The colors are for a chart that stands alone; a page's style, which knows light and dark, has others for the classes.
TRACK = 'class="track" fill="#f1f5f9"'
RULE = 'class="rule" stroke="#e2e8f0"'
AXIS = 'class="axis" stroke="#94a3b8"'
OUTLINED = 'class="outlined" stroke="#0f172a" stroke-opacity=".15"'

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 14, 42  # margins around the plot, in SVG units


@dataclass(frozen=True)
class Line:
    """One curve; points with a value that is not finite are left out."""

    name: str
    points: Sequence[tuple[float, float]]
    color: str = ""
    dots: bool = False  # mark each point, for curves of few points


@dataclass(frozen=True)
class Bar:
    """One horizontal bar; a value of None is drawn as absent, never as 0."""

    name: str
    value: float | None
    color: str = COLORS[0]


@dataclass(frozen=True)
class Dot:
    """One labelled point of a scatter chart."""

    name: str
    x: float
    y: float
    color: str = ""


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str = "",
    y_label: str = "",
    log_y: bool = False,
    y_from_zero: bool = False,
    width: int = 640,
    height: int = 280,
) -> str:
    """Curves over a common x."""
    kept = [
        [(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log_y)]
        for line in lines
    ]
    everything = [point for points in kept for point in points]
    if not everything:
        return _empty(width, height)
    frame = _Frame(everything, width, height, log_y=log_y, y_from_zero=y_from_zero)
    parts = frame.axes(x_label, y_label)
    for i, (line, points) in enumerate(zip(lines, kept)):
        color = line.color or COLORS[i % len(COLORS)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>'
        )
        if line.dots or len(points) == 1:
            parts += [
                f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3" fill="{color}">'
                f"<title>{escape(line.name)} {short(x)}: {short(y)}</title></circle>"
                for x, y in points
            ]
    if len(lines) > 1:
        parts += _legend([(line.name, line.color or COLORS[i % len(COLORS)]) for i, line in enumerate(lines)], width)
    return _svg(parts, width, height, f"{y_label} over {x_label}")


def bar_chart(bars: Sequence[Bar], *, maximum: float = 1.0, percent: bool = True, width: int = 640) -> str:
    """Horizontal bars with their values, on a scale from 0 to `maximum`."""
    row, gap, label = 22, 6, 130
    height = len(bars) * (row + gap) + gap
    room = width - label - 64
    parts = []
    for i, bar in enumerate(bars):
        y = gap + i * (row + gap)
        middle = y + row / 2 + 4
        parts.append(f'<text x="{label - 10}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>')
        parts.append(f'<rect x="{label}" y="{y}" width="{room}" height="{row}" rx="4" {TRACK}/>')
        if bar.value is None:
            parts.append(f'<text x="{label + 8}" y="{middle}" class="faint">absent</text>')
            continue
        length = room * max(0.0, min(1.0, bar.value / maximum))
        parts.append(
            f'<rect x="{label}" y="{y}" width="{length:.1f}" height="{row}" rx="4" fill="{bar.color}" {OUTLINED}/>'
        )
        text = f"{100 * bar.value:.1f} %" if percent else short(bar.value)
        parts.append(f'<text x="{label + room + 8}" y="{middle}" class="strong">{text}</text>')
    return _svg(parts, width, height, "bars")


def scatter_chart(
    dots: Sequence[Dot],
    *,
    x_label: str = "",
    y_label: str = "",
    width: int = 640,
    height: int = 360,
) -> str:
    """Labelled points, such as mIoU over latency."""
    known = [dot for dot in dots if math.isfinite(dot.x) and math.isfinite(dot.y)]
    if not known:
        return _empty(width, height)
    frame = _Frame([(dot.x, dot.y) for dot in known], width, height, pad_x=0.08)
    parts = frame.axes(x_label, y_label)
    for i, dot in enumerate(known):
        x, y, color = frame.x(dot.x), frame.y(dot.y), dot.color or COLORS[i % len(COLORS)]
        anchor, shift = ("end", -9) if x > width * 0.75 else ("start", 9)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{color}">'
            f"<title>{escape(dot.name)}: {short(dot.x)}, {short(dot.y)}</title></circle>"
            f'<text x="{x + shift:.1f}" y="{y - 8:.1f}" text-anchor="{anchor}" class="strong">{escape(dot.name)}</text>'
        )
    return _svg(parts, width, height, f"{y_label} over {x_label}")


class _Frame:
    """Where a value lies in the picture, and the axes around it."""

    def __init__(
        self,
        points: Sequence[tuple[float, float]],
        width: int,
        height: int,
        *,
        log_y: bool = False,
        y_from_zero: bool = False,
        pad_x: float = 0.0,
    ):
        self.width, self.height, self.log_y = width, height, log_y
        xs, ys = [x for x, _ in points], [math.log10(y) if log_y else y for _, y in points]
        self.x0, self.x1 = _widened(min(xs), max(xs), pad_x)
        low, high = _widened(min(ys), max(ys), 0.06)
        self.y0, self.y1 = (0.0, max(high, 1e-9)) if y_from_zero and not log_y else (low, high)

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / (self.x1 - self.x0) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        value = math.log10(value) if self.log_y else value
        return self.height - _BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (self.height - _TOP - _BOTTOM)

    def axes(self, x_label: str, y_label: str) -> list[str]:
        right, bottom = self.width - _RIGHT, self.height - _BOTTOM
        parts = []
        y_ticks = [10.0**tick for tick in ticks(self.y0, self.y1)] if self.log_y else ticks(self.y0, self.y1)
        for value in y_ticks:
            y = self.y(value)
            parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" {RULE}/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
        for value in ticks(self.x0, self.x1):
            parts.append(f'<text x="{self.x(value):.1f}" y="{bottom + 17}" text-anchor="middle">{short(value)}</text>')
        parts.append(f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" {AXIS}/>')
        parts.append(
            f'<text x="{(_LEFT + right) / 2}" y="{self.height - 8}" text-anchor="middle">{escape(x_label)}</text>'
        )
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text x="13" y="{middle}" text-anchor="middle" transform="rotate(-90 13 {middle})">'
            f"{escape(y_label)}</text>"
        )
        return parts


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) between two bounds."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis: at most four digits that matter."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """A range that is never empty, with some air at both ends."""
    if high - low < 1e-12:
        room = abs(high) * 0.1 or 1.0
        return low - room, high + room
    return low - (high - low) * share, high + (high - low) * share


def _legend(entries: Sequence[tuple[str, str]], width: int) -> list[str]:
    parts = []
    x = float(width - _RIGHT)
    for name, color in reversed(entries):
        x -= 7.0 * len(name) + 26
        parts.append(f'<rect x="{x:.0f}" y="4" width="12" height="4" rx="2" fill="{color}"/>')
        parts.append(f'<text x="{x + 17:.0f}" y="10">{escape(name)}</text>')
    return parts


def _empty(width: int, height: int) -> str:
    text = f'<text x="{width / 2}" y="{height / 2}" text-anchor="middle" class="faint">nothing measured yet</text>'
    return _svg([text], width, height, "empty")


def _svg(parts: Sequence[str], width: int, height: int, label: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
