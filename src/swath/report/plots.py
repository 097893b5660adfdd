"""Charts of shares: over bins that have names, and of confidence against accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from swath.report.charts import AXIS, COLORS, RULE, TRACK

_WIDTH, _HEIGHT = 420, 300  # small, so that letters stay legible on a phone
_RIGHTS, _BOAST, _DOUBT = "#2f7de1", "#e0605f", "#3fb68b"
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 18, 26, 50


@dataclass(frozen=True)
class Shares:
    """One curve over bins; None where there is nothing to take a share of."""

    name: str
    values: Sequence[float | None]
    color: str = ""


@dataclass(frozen=True)
class Bin:
    """Of the pixels in one bin of confidence: how many, how sure, how many of them right (as shares)."""

    low: float
    high: float
    share: float  # of all pixels
    confidence: float
    accuracy: float


def category_chart(
    bins: Sequence[str], curves: Sequence[Shares], *, x_label: str, heights: Sequence[float] | None = None
) -> str:
    """Curves over named bins, from 0 to 100 %; `heights` (shares of 1) are bars behind them."""
    step = (_WIDTH - _LEFT - _RIGHT) / len(bins)
    centre = [_LEFT + (i + 0.5) * step for i in range(len(bins))]
    parts = _axes(x_label)
    for x, height in zip(centre, heights or ()):
        top = _y(height)
        parts.append(
            f'<rect x="{x - step * 0.36:.1f}" y="{top:.1f}" width="{step * 0.72:.1f}" '
            f'height="{_y(0) - top:.1f}" {TRACK}><title>{100 * height:.1f} %</title></rect>'
        )
    for x, name in zip(centre, bins):
        parts.append(f'<text x="{x:.1f}" y="{_y(0) + 16:.1f}" text-anchor="middle">{escape(name)}</text>')
    for i, curve in enumerate(curves):
        color = curve.color or COLORS[i % len(COLORS)]
        for run in _runs(centre, curve.values):
            points = " ".join(f"{x:.1f},{_y(value):.1f}" for x, value in run)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts += [
                f'<circle cx="{x:.1f}" cy="{_y(value):.1f}" r="4" fill="{color}">'
                f"<title>{escape(curve.name)}: {100 * value:.1f} %</title></circle>"
                for x, value in run
            ]
    parts += _key([(curve.name, curve.color or COLORS[i % len(COLORS)]) for i, curve in enumerate(curves)])
    return _svg(parts, f"{', '.join(curve.name for curve in curves)} over {x_label}")


def reliability_chart(bins: Sequence[Bin]) -> str:
    """How often pixels of each confidence are right, and by how much they were too sure (red) or not enough (green)."""
    parts = _axes("confidence, %")
    room = _WIDTH - _LEFT - _RIGHT
    for each in bins:
        x, width = _LEFT + each.low * room, (each.high - each.low) * room
        words = (
            f"confidence {100 * each.low:.0f} to {100 * each.high:.0f} %: {100 * each.share:.2f} % of the pixels, "
            f"{100 * each.confidence:.1f} % sure, {100 * each.accuracy:.1f} % right"
        )
        gap = _DOUBT if each.accuracy > each.confidence else _BOAST
        low, high = sorted((each.accuracy, each.confidence))
        squares = "".join(
            f'<rect x="{x + 0.5:.1f}" y="{_y(top):.1f}" width="{width - 1:.1f}" height="{_y(bottom) - _y(top):.1f}" '
            f'fill="{color}"/>'
            for bottom, top, color in ((0, low, _RIGHTS), (low, high, gap))
        )
        parts.append(f"<g><title>{escape(words)}</title>{squares}</g>")
    for value in (0, 20, 40, 60, 80, 100):
        x = _LEFT + value / 100 * room
        parts.append(f'<text x="{x:.1f}" y="{_y(0) + 16:.1f}" text-anchor="middle">{value}</text>')
    parts.append(
        f'<line x1="{_LEFT}" y1="{_y(0):.1f}" x2="{_LEFT + room}" y2="{_y(1):.1f}" {AXIS} stroke-dasharray="5 4"/>'
    )
    parts += _key([("right", _RIGHTS), ("too sure", _BOAST), ("more right than sure", _DOUBT)])
    return _svg(parts, "share of right pixels over confidence")


def _runs(centres: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """The known points, parted where one between them is absent."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in zip(centres, values):
        if value is not None:
            runs[-1].append((x, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(x_label: str) -> list[str]:
    parts = []
    for value in (0, 20, 40, 60, 80, 100):
        y = _y(value / 100)
        line = AXIS if value == 0 else RULE
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" {line}/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


def _key(entries: Sequence[tuple[str, str]]) -> list[str]:
    """What the colors mean, at the top right."""
    parts, x = [], float(_WIDTH - _RIGHT)
    for name, color in reversed(entries):
        x -= 6.4 * len(name) + 22
        parts.append(f'<rect x="{x:.0f}" y="6" width="12" height="5" rx="2" fill="{color}"/>')
        parts.append(f'<text x="{x + 16:.0f}" y="12">{escape(name)}</text>')
    return parts


def _svg(parts: Sequence[str], label: str) -> str:
    return (
        f'<svg class="chart small" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )
