"""The diagnosis as a page that holds everything: findings, class balance, sizes, near-duplicates, a contact sheet."""

from __future__ import annotations

import warnings
from collections import Counter
from html import escape
from pathlib import Path

from swath.doctor.diagnosis import Diagnosis, SplitFacts
from swath.doctor.findings import LEVELS, Group, grouped
from swath.doctor.sheet import contact_sheet, of_group, sheet, twin_figures
from swath.report import (
    Bar,
    Tile,
    bar_chart,
    columns,
    legend,
    page,
    section,
    table,
    tiles,
    write_page,
)

_FILES = 8  # of a group that are named
_SIZES = 12
_NAME = 19  # letters of a class beside its bar
_STYLE = """<style>
.finding { border-left: 4px solid var(--line); padding: 2px 0 2px 14px; margin: 0 0 18px; }
.finding.error { border-color: #dc2626; } .finding.warning { border-color: #d97706; }
.finding.note { border-color: #0891b2; }
.finding h3 { font-size: 15px; margin: 0 0 4px; } .finding h3 i { font-style: normal; font-weight: 500;
  text-transform: uppercase; font-size: 11px; letter-spacing: .05em; margin-right: 8px; }
.finding.error i { color: #dc2626; } .finding.warning i { color: #b45309; } .finding.note i { color: #0e7490; }
.finding ul { list-style: none; margin: 0; padding: 0; font-size: 13.5px; }
.finding li { overflow-wrap: anywhere; } .finding li code { color: var(--accent); margin-right: 8px; }
.finding p { margin: 4px 0 0; font-size: 13.5px; color: #15803d; overflow-wrap: anywhere; }
.finding .grid { margin: 8px 0 0; max-width: 760px; }
section h2 { break-after: avoid; }
</style>"""


def write_report(diagnosis: Diagnosis, path: Path) -> None:
    """Write the page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow says of damaged files stands in the findings
        write_page(path, report(diagnosis))


def report(diagnosis: Diagnosis) -> str:
    """The page as HTML."""
    card = diagnosis.card
    groups = grouped(diagnosis.findings)
    balanced = [split for split in diagnosis.splits if split.balance.pixels.any()]
    blocks = [_STYLE, _tiles(diagnosis, groups), _findings(diagnosis, groups)]
    blocks += _balance(diagnosis, balanced) if balanced else []
    blocks.append(columns(*[_sizes(split) for split in diagnosis.splits]))
    if diagnosis.twins:
        note = f"Of {len(diagnosis.twins):,}, the first; each picture stands beside the one that it repeats."
        blocks.append(section("The same in two splits", sheet(twin_figures(diagnosis, diagnosis.twins)), note=note))
    pictures = sheet(contact_sheet(diagnosis))
    named = legend(list(zip(card.class_names, card.colors)))
    note = "From all over each split, tinted by class; what is ignored keeps its own colors."
    blocks.append(section("Contact sheet", named, '<div style="height:12px"></div>', pictures, note=note))
    subtitle = f"{card.title}, in {diagnosis.root}"
    return page(f"{card.name}: examined", subtitle, *blocks, footer="Written by swath check.")


def _tiles(diagnosis: Diagnosis, groups: list[Group]) -> str:
    counts = Counter(finding.level for finding in diagnosis.findings)
    pace = diagnosis.examined / max(diagnosis.seconds, 1e-9)
    verdict = "fit" if diagnosis.fit else "not fit"
    told = [Tile(f"{counts[level]:,}", f"{level}s") for level in LEVELS]
    seen = Tile(f"{diagnosis.examined:,}", f"pictures examined, {pace:.0f} a second")
    return tiles([Tile(verdict, "for a training"), *told, seen])


def _findings(diagnosis: Diagnosis, groups: list[Group]) -> str:
    if not groups:
        return section("Findings", "<p>Nothing wrong.</p>")
    return section("Findings", *[_finding(diagnosis, group) for group in groups])


def _finding(diagnosis: Diagnosis, group: Group) -> str:
    count = f" ({len(group.findings):,})" if len(group.findings) > 1 else ""
    lines = [
        "<li>" + (f"<code>{escape(finding.file)}</code>" if finding.file else "") + f"{escape(finding.message)}</li>"
        for finding in group.findings[:_FILES]
    ]
    if len(group.findings) > _FILES:
        lines.append(f"<li>… and {len(group.findings) - _FILES:,} more</li>")
    advice = "".join(f"<p>→ {escape(text)}</p>" for text in group.advices[:2])
    figures = of_group(diagnosis, group)
    return (
        f'<div class="finding {group.level}"><h3><i>{group.level}</i>{escape(group.split)}: {escape(group.title)}'
        f"{count}</h3><ul>{''.join(lines)}</ul>{advice}{sheet(figures) if figures else ''}</div>"
    )


def _balance(diagnosis: Diagnosis, splits: list[SplitFacts]) -> list[str]:
    """A chart of each split, and the numbers of the first, from which weights are taken."""
    card, first = diagnosis.card, splits[0].balance
    charts = []
    for split in splits:
        bars = [
            Bar(_short(info.name), float(share) if share else None, f"rgb{info.color}")
            for info, share in zip(card.classes, split.balance.shares)
        ]
        note = f"{100 * split.balance.ignored_share:.1f} % of all pixels are ignored."
        chart = bar_chart(bars, maximum=float(split.balance.shares.max()))
        charts.append(section(f"Class balance of {split.name}", chart, note=note))
    weights = zip(first.weights("log"), first.weights("median"))
    rows = [
        [info.name, f"{pixels:,}", f"{pictures:,}", f"{log:.3f}", f"{median:.4g}"]
        for info, pixels, pictures, (log, median) in zip(card.classes, first.pixels, first.pictures, weights)
    ]
    numbers = table(["class", "pixels", "in pictures", "log", "median"], rows)
    note = "For a recipe: log is 1 / ln(1.02 + share of the pixels) (ENet), median is median-frequency balancing."
    weighed = section(f"Class weights from {splits[0].name}", numbers, note=note)
    return [columns(*charts, weighed)] if len(charts) == 1 else [columns(*charts), weighed]


def _short(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _sizes(split: SplitFacts) -> str:
    total = max(1, split.sizes.total())
    most = split.sizes.most_common(_SIZES)
    bars = [Bar(f"{width} x {height}", count / total) for (height, width), count in most]
    rest = len(split.sizes) - len(most)
    note = f"{rest:,} further sizes" if rest > 0 else ""
    largest = max((bar.value or 0 for bar in bars), default=1)
    return section(f"Sizes in {split.name}", bar_chart(bars, maximum=largest), note=note)
