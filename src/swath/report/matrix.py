"""A confusion matrix as a heat map that can be read for three classes and for a hundred and fifty."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from swath.report.charts import RULE, TRACK

Shares = npt.NDArray[np.float64]

_NUMBERS = 40  # up to so many classes a cell has room for its number
_WIDE = 1020  # about as wide as the page
_LEAST = 0.005  # a share below is not drawn: it could not be seen
_CHARACTER = 0.56  # width of a letter, as a share of the height of the font


def heat_map(shares: Shares, names: Sequence[str], present: Sequence[bool]) -> str:
    """Rows are the truth and add up to 1; classes that are not `present` in it have an empty row.

    Blue is right, red is wrong; the strength grows with the root of the share, so that one per cent can be seen.
    """
    count = len(names)
    numbers = count <= _NUMBERS
    cell = 38 if count <= 24 else 28 if numbers else max(8, min(16, _WIDE // count))
    font = 12 if numbers else min(11, cell - 1)
    margin = round(14 + min(24, max(map(len, names))) * font * _CHARACTER)
    size = margin + count * cell + 4
    parts = [_name(name, i, cell, font, margin) for i, name in enumerate(names)]
    for row in range(count):
        y = margin + row * cell
        kind = TRACK if present[row] else 'class="track" fill="#f1f5f9" opacity=".35"'
        parts.append(f'<rect x="{margin}" y="{y}" width="{count * cell}" height="{cell - 1}" {kind}/>')
        for column in np.flatnonzero(shares[row] >= _LEAST).tolist():
            share, x = float(shares[row, column]), margin + column * cell
            parts.append(_cell(share, names[row], names[column], x, y, cell, numbers))
    for i in range(10, 0 if numbers else count, 10):  # lines to follow
        at = margin + i * cell - 0.5
        parts.append(f'<path d="M{margin} {at}H{size - 4}M{at} {margin}V{size - 4}" {RULE} stroke-width="1"/>')
    least = min(size, 640) if numbers else size
    return (
        f'<div class="scroll"><svg class="chart matrix" viewBox="0 0 {size} {size}" role="img" '
        f'aria-label="confusion matrix, rows are the truth" style="max-width:{size}px;min-width:{least}px">'
        f"{''.join(parts)}</svg></div>"
    )


def _name(name: str, index: int, cell: int, font: int, margin: int) -> str:
    """The class beside its row, and above its column, upright."""
    middle = margin + index * cell + cell / 2
    text, size = escape(name if len(name) <= 24 else name[:23] + "…"), f'style="font-size:{font}px"'
    base = f"{middle + font * 0.35:.1f}"
    return (
        f'<text x="{margin - 6}" y="{base}" text-anchor="end" {size}>{text}</text>'
        f'<text transform="translate({base} {margin - 6}) rotate(-90)" {size}>{text}</text>'
    )


def _cell(share: float, truth: str, said: str, x: int, y: int, cell: int, numbers: bool) -> str:
    strength = share**0.5
    hit = truth == said
    color, inside = ("var(--good)", "#2563eb") if hit else ("var(--bad)", "#dc2626")
    words = f"{truth}: {100 * share:.1f} % right" if hit else f"{100 * share:.1f} % of {truth} is taken for {said}"
    square = (
        f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="{inside}" '
        f'style="fill:{color}" fill-opacity="{strength:.2f}"><title>{escape(words)}</title></rect>'
    )
    if not numbers:
        return square
    ink = ' style="fill:#fff;font-size:11.5px"' if strength > 0.62 else ' class="strong" style="font-size:11.5px"'
    text = f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}"
    return square + (
        f'<text x="{x + (cell - 1) / 2:.1f}" y="{y + cell / 2 + 3.5:.1f}" text-anchor="middle" pointer-events="none"'
        f"{ink}>{text}</text>"
    )
