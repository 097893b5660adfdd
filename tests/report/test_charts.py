"""Charts and pages: well-formed, complete, safe with any text."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from swath.report import (
    Bar,
    Dot,
    Line,
    bar_chart,
    difference,
    image_grid,
    image_uri,
    line_chart,
    page,
    scatter_chart,
    section,
    table,
    tiles,
    write_page,
)
from swath.report.charts import short, ticks
from swath.report.html import Tile

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.3, 0.31), (-5, 1200), (1e-6, 3e-6), (0, 7)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert all(low - 1e-9 <= each <= high + 1e-9 for each in found)
    assert np.allclose(np.diff(found), found[1] - found[0])


def test_short_numbers() -> None:
    assert [short(v) for v in (0, 0.5, 12.3456, 1234.5, 3e-5, 2e7)] == ["0", "0.5", "12.35", "1,234", "3.0e-5", "2.0e7"]


def test_line_chart_places_its_points() -> None:
    svg = ElementTree.fromstring(line_chart([Line("a", [(0, 0), (1, 10), (2, math.nan), (4, 5)])], y_from_zero=True))
    (line,) = svg.iter(f"{SVG}polyline")
    points = [tuple(map(float, each.split(","))) for each in line.attrib["points"].split()]
    assert len(points) == 3, "what is not finite is left out"
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x0 < x1 < x2 and y1 < y2 < y0, "up is more"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("points", [[], [(3, 2.0)], [(0, 1.0), (1, 1.0)], [(0, 0.0), (1, 1e-9)]])
def test_any_data_gives_a_chart(points: list[tuple[float, float]], log: bool) -> None:
    ElementTree.fromstring(line_chart([Line("<&>", points), Line("b", [])], x_label="<x>", y_label="&", log_y=log))
    ElementTree.fromstring(scatter_chart([Dot("<&>", x, y) for x, y in points]))


def test_absent_is_not_zero() -> None:
    text = bar_chart([Bar("here", 0.0), Bar("gone", None), Bar("<b>", 0.5)])
    ElementTree.fromstring(text)
    assert text.count("absent") == 1 and "0.0 %" in text and "50.0 %" in text and "&lt;b&gt;" in text


def test_images_survive_the_page() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    data = base64.b64decode(image_uri(pixels, lossless=True).split(",")[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(decoded, pixels)
    small = base64.b64decode(image_uri(pixels, width=15).split(",")[1])
    decoded = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None and decoded.shape == (10, 15, 3)


def test_difference_marks_wrong_pixels_only() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    shown = difference(image, np.array([[0, 1, 255]], np.uint8), np.array([[0, 2, 2]], np.uint8))
    assert shown[0, 1].tolist() == [220, 38, 38]
    assert len(set(shown[0, 0].tolist())) == 1 and shown[0, 2, 0] == shown[0, 0, 0] // 2


def test_page(tmp_path: Path) -> None:
    uri = image_uri(np.zeros((4, 4, 3), np.uint8))
    blocks = [
        tiles([Tile("1 %", "<small>")]),
        section("A & B", table(["a", "b"], [["x", "<1>"]]), image_grid([[("c", uri)]])),
    ]
    write_page(tmp_path / "x.html", page("T", "s", *blocks))
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert (
        "A &amp; B" in text
        and "&lt;1&gt;" in text
        and "&lt;small&gt;" in text
        and "http" not in text.replace("http-equiv", "")
    )
