"""One HTML page that holds everything: style, charts and pictures inside, no other file, no script, no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from swath.files import atomic_write

Array = npt.NDArray[np.uint8]

STYLE = """
:root { --ink: #0f172a; --soft: #64748b; --line: #e2e8f0; --back: #f8fafc; --accent: #2563eb; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
header h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.02em; }
header p { color: var(--soft); margin: 0 0 24px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 14px; padding: 20px 22px; margin: 0 0 20px; }
section h2 { font-size: 16px; margin: 0 0 12px; letter-spacing: -.01em; }
section > p.note { color: var(--soft); margin: -6px 0 12px; font-size: 13.5px; }
.columns { display: grid; gap: 20px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.columns section { margin: 0; } .columns { margin: 0 0 20px; }
.tiles { display: grid; gap: 14px; margin: 0 0 20px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 14px; padding: 14px 18px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
svg.chart { display: block; width: 100%; height: auto; }
svg.chart text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: #475569; }
svg.chart text.strong { fill: var(--ink); font-weight: 600; } svg.chart text.faint { fill: #94a3b8; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: 13px; } td.number, th.number { text-align: right; }
tr:last-child td { border-bottom: 0; }
.grid { display: grid; gap: 8px; margin: 0 0 14px; }
.grid figure { margin: 0; } .grid img { display: block; width: 100%; border-radius: 8px; background: var(--line); }
.grid figcaption { color: var(--soft); font-size: 12.5px; margin: 3px 0 0; overflow: hidden; text-overflow: ellipsis; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 16px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; border: 1px solid rgb(15 23 42 / .15); }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; margin: 0;
  overflow-x: auto; }
footer { color: var(--soft); font-size: 13px; }
@media (max-width: 640px) { main { padding: 20px 12px 40px; } .grid { grid-template-columns: 1fr 1fr !important; } }
"""


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


def section(title: str, *content: str, note: str = "") -> str:
    """A framed part of a page."""
    remark = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{remark}{''.join(content)}</section>"


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
