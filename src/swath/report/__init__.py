"""What every report of swath is drawn with: pages that need no other file, charts as SVG, pictures inlined."""

from __future__ import annotations

from swath.report.charts import Bar, Dot, Line, bar_chart, line_chart, scatter_chart
from swath.report.html import (
    Tile,
    columns,
    difference,
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

__all__ = [
    "Bar",
    "Dot",
    "Line",
    "Tile",
    "bar_chart",
    "columns",
    "depth_picture",
    "depth_range",
    "difference",
    "image_grid",
    "image_uri",
    "legend",
    "line_chart",
    "page",
    "scatter_chart",
    "section",
    "table",
    "tiles",
    "write_page",
]
