"""One HTML page that holds everything: style, charts and pictures inside, no other file, no script, no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from swath.files import atomic_write
from swath.report.style import STYLE

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """One number that matters, and what it is."""

    value: str
    label: str


def page(title: str, subtitle: str, *blocks: str, footer: str = "") -> str:
    """A whole page; blocks are HTML (sections, tiles, columns)."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>\n"
        + "\n".join(blocks)
        + (f"<footer>{escape(footer)}</footer>" if footer else "")
        + "</main></body></html>\n"
    )


def write_page(path: str | Path, text: str) -> None:
    """Put a page in its place in one step, so that a browser never reloads half of it."""
    with atomic_write(path, "w") as file:
        file.write(text)


def facts(entries: Mapping[str, str]) -> str:
    """What a page is about, in small print: name and value."""
    each = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in entries.items())
    return f'<dl class="facts">{"".join(each)}</dl>'


def section(title: str, *content: str, note: str = "", defined: str = "") -> str:
    """A framed part of a page; `note` stands above the content, `defined` (what the numbers are) below."""
    above = f'<p class="note">{escape(note)}</p>' if note else ""
    below = f'<p class="defined">{escape(defined)}</p>' if defined else ""
    return f"<section><h2>{escape(title)}</h2>{above}{''.join(content)}{below}</section>"


def folded(title: str, *content: str) -> str:
    """What not everybody wants to see: opened by a click, without a script."""
    return f"<details><summary>{escape(title)}</summary>{''.join(content)}</details>"


def columns(*sections: str) -> str:
    """Sections side by side, where the window is wide enough."""
    return f'<div class="columns">{"".join(sections)}</div>'


def tiles(entries: Sequence[Tile]) -> str:
    """The row of numbers at the top of a page."""
    each = (f'<div class="tile"><b>{escape(t.value)}</b><span>{escape(t.label)}</span></div>' for t in entries)
    return f'<div class="tiles">{"".join(each)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; every column but the first is set as numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        marks = ["" if i == 0 else ' class="number"' for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{mark}>{escape(cell)}</{tag}>" for cell, mark in zip(cells, marks)) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f'<div class="scroll"><table><thead>{row(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def legend(entries: Sequence[tuple[str, tuple[int, int, int]]]) -> str:
    """Class names with their colors."""
    each = (f'<span><i style="background:rgb{tuple(color)}"></i>{escape(name)}</span>' for name, color in entries)
    return f'<div class="legend">{"".join(each)}</div>'


def image_grid(rows: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Rows of (caption, picture as a data URI), each row as wide as the page."""
    parts = []
    for row in rows:
        figures = "".join(
            f'<figure><img src="{uri}" alt="{escape(caption)}" loading="lazy">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for caption, uri in row
        )
        parts.append(
            f'<div class="grid" style="grid-template-columns: repeat({len(row)}, minmax(0, 1fr))">{figures}</div>'
        )
    return "".join(parts)


def image_uri(pixels: Array, *, width: int | None = None, lossless: bool = False) -> str:
    """RGB pixels as a data URI, made smaller to `width`; photographs as JPEG, flat colors without loss as PNG."""
    if width and pixels.shape[1] > width:
        height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
        how = cv2.INTER_NEAREST if lossless else cv2.INTER_AREA
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
    kind, options = (".png", []) if lossless else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 88])
    _, data = cv2.imencode(kind, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{base64.b64encode(data.tobytes()).decode()}"


def difference(image: Array, truth: Array, prediction: Array, ignore: int = 255) -> Array:
    """The picture in pale grey, with wrong pixels in red and pixels without truth in darker grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shown = np.repeat((150 + grey[..., None] * 0.4).astype(np.uint8), 3, axis=2)
    shown[truth == ignore] //= 2
    shown[(truth != prediction) & (truth != ignore)] = (220, 38, 38)
    return shown
