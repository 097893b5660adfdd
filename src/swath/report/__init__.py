"""What every report of swath is drawn with: pages that need no other file, charts as SVG, pictures inlined."""

from __future__ import annotations

from swath.report.charts import Bar, Dot, Line, bar_chart, line_chart, scatter_chart
from swath.report.html import (
    Tile,
    columns,
    difference,
    facts,
    folded,
    image_grid,
    image_uri,
    legend,
    page,
    section,
    table,
    tiles,
    write_page,
)
from swath.report.maps import depth_picture, depth_range
from swath.report.matrix import heat_map
from swath.report.plots import Bin, Shares, category_chart, reliability_chart
from swath.report.rows import BarRow, bar_rows, heat_rows

__all__ = [
    "Bar",
    "BarRow",
    "Bin",
    "Dot",
    "Line",
    "Shares",
    "Tile",
    "bar_chart",
    "bar_rows",
    "category_chart",
    "columns",
    "depth_picture",
    "depth_range",
    "difference",
    "facts",
    "folded",
    "heat_map",
    "heat_rows",
    "image_grid",
    "image_uri",
    "legend",
    "line_chart",
    "page",
    "reliability_chart",
    "scatter_chart",
    "section",
    "table",
    "tiles",
    "write_page",
]
