"""A network as a drawing: time runs to the right, maps get smaller downwards, arrows show what feeds what.

Every node keeps a lane of its row from its own column to that of the last node that it feeds, so that lines run in free
lanes and change rows only in the gaps between columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from swath.catalogue.simplify import simplify
from swath.catalogue.trace import Node

_BOX, _LANE, _GAP, _ROW_GAP = 46, 58, 30, 12  # heights of a box and its lane, room between columns and rows
_LEFT, _TOP, _RADIUS = 74, 44, 12
_FILLS = ("#eef4fb", "#dfeaf7", "#cfe0f3", "#bdd4ed", "#a9c7e6", "#94b8de", "#7fa9d6")
_QUIET = {"stages", "layers", "blocks", "body", "levels"}  # words in names that say nothing to a reader


@dataclass
class _Place:
    column: int
    row: int
    lane: int = 0
    end: int = 0  # column of the last node that it feeds


def draw(nodes: list[Node], title: str) -> str:
    """SVG text."""
    nodes = simplify(nodes)
    places = _place(nodes)
    rows = sorted({node.stride for node in nodes})
    lanes = [1 + max(p.lane for p in places if p.row == row) for row in range(len(rows))]
    tops = [_TOP + sum(_LANE * count + _ROW_GAP for count in lanes[:row]) for row in range(len(rows))]
    lefts, widths = _columns(nodes, places)
    width = round(lefts[-1] + widths[-1] + 16)
    height = tops[-1] + _LANE * lanes[-1] + 8

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" text-anchor="middle">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#56606b"/></marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        '<text x="12" y="24" text-anchor="start" font-size="15" font-weight="bold" fill="#1d2733">'
        f"{escape(title)}</text>",
    ]
    for row, stride in enumerate(rows):
        tall = _LANE * lanes[row]
        shade = "#f7f9fb" if row % 2 == 0 else "#ffffff"
        parts.append(f'<rect x="0" y="{tops[row]}" width="{width}" height="{tall}" fill="{shade}"/>')
        label = "picture" if math.isinf(stride) else f"1/{stride:g}"
        parts.append(f'<text x="12" y="{tops[row] + tall / 2 + 4:g}" text-anchor="start" fill="#56606b">{label}</text>')

    def middle(index: int) -> tuple[float, float]:
        place = places[index]
        x = lefts[place.column] + widths[place.column] / 2
        return x, tops[place.row] + _LANE * (place.lane + 0.5)

    halves = [_width(node) / 2 for node in nodes]
    for index, node in enumerate(nodes):
        for source in node.feeds_from:
            column = lefts[places[index].column]
            parts.append(_arrow(middle(source), halves[source], middle(index), halves[index], column))
    for index, node in enumerate(nodes):
        parts.append(_shape(node, *middle(index), fill=_FILLS[min(places[index].row, len(_FILLS) - 1)]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(nodes: list[Node]) -> list[_Place]:
    strides = sorted({node.stride for node in nodes})
    places: list[_Place] = []
    for node in nodes:
        column = 1 + max((places[source].column for source in node.feeds_from), default=-1)
        places.append(_Place(column, strides.index(node.stride), end=column))
    last = max(place.column for place in places)
    for node, place in zip(nodes, places):
        if node.symbol == "answer":
            place.column = place.end = last
        for source in node.feeds_from:
            places[source].end = max(places[source].end, place.column)
    taken: list[tuple[int, int, int, int]] = []  # row, lane, first and last column
    for index in sorted(range(len(nodes)), key=lambda each: places[each].column):
        place = places[index]
        wishes = [places[source].lane for source in nodes[index].feeds_from if places[source].row == place.row]
        lane = 0
        for lane in [*wishes, *range(len(nodes))]:
            if not any(
                row == place.row and other == lane and first < max(place.end, place.column + 1) and place.column < end
                for row, other, first, end in taken
            ):
                break
        place.lane = lane
        taken.append((place.row, lane, place.column, max(place.end, place.column + 1)))
    return places


def _columns(nodes: list[Node], places: list[_Place]) -> tuple[list[float], list[float]]:
    count = 1 + max(place.column for place in places)
    widths = [max(_width(n) for n, p in zip(nodes, places) if p.column == column) for column in range(count)]
    lefts = [float(_LEFT)]
    for width in widths[:-1]:
        lefts.append(lefts[-1] + width + _GAP)
    return lefts, widths


def _label(node: Node) -> list[str]:
    """One or two lines."""
    words = [word for word in node.name.split(".") if word not in _QUIET]
    if all(word.isdigit() for word in words):
        words = node.name.split(".")
    if node.count > 1:
        first = int(words[-1])
        words[-1] = f"{first}–{first + node.count - 1}"
    text = " ".join(words[-3:]).replace("_", " ")
    if len(text) <= 11 or " " not in text:
        return [text]
    cut = min((place for place, letter in enumerate(text) if letter == " "), key=lambda at: abs(at - len(text) / 2))
    return [text[:cut], text[cut + 1 :]]


def _width(node: Node) -> float:
    if node.symbol and node.symbol != "answer":
        return 2 * _RADIUS if len(node.symbol) == 1 else 12 + 6.6 * len(node.symbol)
    return max(54, 16 + 6.6 * max(map(len, _label(node))))


def _arrow(start: tuple[float, float], half: float, end: tuple[float, float], half_end: float, column: float) -> str:
    """Along the source's lane to the gap before the target's column, then across."""
    x1, y1, x2, y2 = start[0] + half, start[1], end[0] - half_end, end[1]
    turn = max(x1, column - _GAP + 3)
    bend = (x2 - turn) / 2
    curve = f"C{turn + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return (
        f'<path d="M{x1:.1f} {y1:.1f}H{turn:.1f}{curve}" fill="none" stroke="#56606b" stroke-width="1.3" '
        'marker-end="url(#tip)"/>'
    )


def _shape(node: Node, x: float, y: float, fill: str) -> str:
    half = _width(node) / 2
    if node.symbol and node.symbol != "answer":
        return (
            f'<rect x="{x - half:.1f}" y="{y - _RADIUS:.1f}" width="{2 * half:.1f}" height="{2 * _RADIUS}" '
            f'rx="{_RADIUS}" fill="#ffffff" stroke="#56606b"/>'
            f'<text x="{x:.1f}" y="{y + 4.5:.1f}" fill="#1d2733">{escape(node.symbol)}</text>'
        )
    ends = node.symbol == "answer" or not node.feeds_from
    lines = _label(node)
    return (
        f'<rect x="{x - half:.1f}" y="{y - _BOX / 2:.1f}" width="{2 * half:.1f}" height="{_BOX}" '
        f'rx="{_BOX // 2 if ends else 5}" fill="{"#fdf0d5" if ends else fill}" stroke="#56606b"/>'
        + "".join(
            f'<text x="{x:.1f}" y="{y + 3 - 6 * len(lines) + 12 * line:.1f}" fill="#1d2733">{escape(text)}</text>'
            for line, text in enumerate(lines)
        )
        + f'<text x="{x:.1f}" y="{y + 10 + 3 * len(lines):.1f}" fill="#3d4a57" font-size="11">{node.channels} ch</text>'
    )
