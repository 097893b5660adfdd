"""Charts over classes and bins: well-formed, honest about what is absent, safe with any name."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from swath.report import (
    BarRow,
    Bin,
    Shares,
    bar_rows,
    category_chart,
    facts,
    folded,
    heat_map,
    heat_rows,
    page,
    reliability_chart,
    section,
)


def test_bars_have_their_length_and_absent_ones_none() -> None:
    rows = [BarRow("<b>", 0.375, "rgb(1, 2, 3)", 0.5, ("x", "<y>"))]
    rows += [BarRow("gone", None, "red"), BarRow("nil", 0, "red")]
    root = ElementTree.fromstring(bar_rows(("class", "IoU", "a", "b"), rows))
    first, gone, nil = root.findall(".//tbody/tr")
    widths = [rect.get("width") for rect in first.iter("rect")]
    assert widths == ["100%", "37.50%"] and first.find(".//line").get("x1") == "50.00%"  # type: ignore[union-attr]
    assert len(list(gone.iter("rect"))) == 1 and "absent" in "".join(gone.itertext())
    assert "0.0" in "".join(nil.itertext())
    assert "".join(first.itertext()) == "<b>37.5x<y>"


def test_heat_cells_are_tinted_by_their_share() -> None:
    text = heat_rows(("IoU", "a", "b"), [("<c>", [0.5, None])])
    ElementTree.fromstring(text)
    assert "50.0" in text and "38%" in text and 'title="absent"' in text and "&lt;c&gt;" in text


@pytest.mark.parametrize("count", [1, 3, 19, 41, 150])
def test_heat_map_draws_what_can_be_seen(count: int) -> None:
    shares = np.eye(count) * 0.9
    shares[0, -1] += 0.1
    shares[-1, 0] += 0.004 if count > 1 else 0
    names = [f"<class & {i}>" for i in range(count)]
    root = ElementTree.fromstring(heat_map(shares, names, [True] * count))
    titles = [title.text for title in root.iter("title")]
    assert len(titles) == (count + 1 if count > 1 else 1), "the diagonal and one confusion; 0.4 % is not drawn"
    if count > 1:
        assert f"10.0 % of {names[0]} is taken for {names[-1]}" in titles
    (svg,) = root.iter("svg")
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for rect in root.iter("rect"):
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
        assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= height


def test_curves_are_parted_where_nothing_is_known() -> None:
    curve = Shares("s", [0.1, None, 0.5, 1.0])
    text = category_chart(["a", "b", "<c>", "d"], [curve], x_label="<x>", heights=[0, 1, 0.5, 0.2])
    root = ElementTree.fromstring(text)
    lines = [line.attrib["points"].split() for line in root.iter("polyline")]
    assert [len(points) for points in lines] == [1, 2]
    heights = [float(circle.attrib["cy"]) for circle in root.iter("circle")]
    assert heights == sorted(heights, reverse=True), "up is more"
    assert len(list(root.iter("rect"))) == 4 + 1  # bars behind, and the key


def test_reliability_shows_the_gap_on_its_side() -> None:
    text = reliability_chart([Bin(0.4, 0.6, 0.5, 0.5, 0.3), Bin(0.8, 1.0, 0.5, 0.9, 0.95)])
    root = ElementTree.fromstring(text)
    groups = root.findall("g")
    colors = [[rect.attrib["fill"] for rect in group.iter("rect")] for group in groups]
    assert len(groups) == 2 and colors[0][0] == colors[1][0] and colors[0][1] != colors[1][1]
    for group, low, high in zip(groups, (0.3, 0.9), (0.5, 0.95)):
        right, gap = (float(rect.attrib["height"]) for rect in group.iter("rect"))
        assert gap / right == pytest.approx((high - low) / low, rel=0.02)
    ElementTree.fromstring(reliability_chart([]))


def test_small_print_and_folded_parts_are_safe() -> None:
    text = facts({"<k>": "a & b"}) + folded("<more>", "<p>in</p>") + section("t", "x", note="<n>", defined="<d>")
    ElementTree.fromstring(f"<r>{text}</r>")
    for word in ("&lt;k&gt;", "a &amp; b", "&lt;more&gt;", "<p>in</p>", "&lt;n&gt;", "&lt;d&gt;"):
        assert word in text


def test_every_color_of_the_style_is_known_in_the_light_and_in_the_dark() -> None:
    style = page("t", "s")
    used = set(re.findall(r"var\(--(\w+)\)", style + heat_map(np.eye(2), ["a", "b"], [True, True])))
    for block in re.findall(r":root \{([^}]*)\}", style):
        assert used <= set(re.findall(r"--(\w+):", block))
