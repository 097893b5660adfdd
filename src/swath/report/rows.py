"""Charts that are tables: a row a class, read by eye or line by line, at any width of the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from swath.report.charts import OUTLINED, TRACK


@dataclass(frozen=True)
class BarRow:
    """A name, its bar (shares of 1; None is drawn as absent, never as 0), a mark across the bar, and more columns."""

    name: str
    value: float | None
    color: str
    mark: float | None = None
    more: Sequence[str] = ()


def bar_rows(head: Sequence[str], rows: Sequence[BarRow]) -> str:
    """Bars with their values; `head` names the columns, without the bar's own."""
    name, value, *more = (escape(word) for word in head)
    heads = f'<th class="name">{name}</th><th></th>' + "".join(
        f'<th class="number">{word}</th>' for word in (value, *more)
    )
    body = "".join(_row(row) for row in rows)
    return f'<table class="bars"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _row(row: BarRow) -> str:
    name = escape(row.name)
    numbers = "".join(f'<td class="number">{escape(cell)}</td>' for cell in row.more)
    value = "absent" if row.value is None else f"{100 * row.value:.1f}"
    return (
        f'<tr><td class="name" title="{name}">{name}</td><td>{_bar(row)}</td>'
        f'<td class="number main">{value}</td>{numbers}</tr>'
    )


def _bar(row: BarRow) -> str:
    parts = [f'<rect width="100%" height="100%" rx="3" {TRACK}/>']
    if row.value is not None:
        width = 100 * min(1.0, max(0.0, row.value))
        parts.append(f'<rect width="{width:.2f}%" height="100%" rx="3" fill="{row.color}" {OUTLINED}/>')
    if row.mark is not None:
        at = f"{100 * min(0.998, max(0.002, row.mark)):.2f}%"
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="0" y2="100%" stroke="#0f172a"/>')
    return f'<svg class="bar" aria-hidden="true">{"".join(parts)}</svg>'


def heat_rows(head: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """A table of shares whose cells are tinted: the more, the stronger; an absent one stays empty."""
    first, *others = map(escape, head)
    heads = f"<th>{first}</th>" + "".join(f'<th class="number">{word}</th>' for word in others)
    body = "".join(f"<tr><td>{escape(name)}</td>{''.join(map(_heat, values))}</tr>" for name, values in rows)
    return f'<div class="scroll"><table class="heat"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _heat(value: float | None) -> str:
    if value is None:
        return '<td class="number" title="absent">·</td>'
    tint = f"color-mix(in srgb, var(--good) {75 * value:.0f}%, transparent)"
    return f'<td class="number" style="background:{tint}">{100 * value:.1f}</td>'
