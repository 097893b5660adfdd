"""The page of an outcome: one file with the plot, the proposal and every figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from swath.fit import plot, telling
from swath.fit.measure import shown
from swath.fit.outcome import STAGES, Outcome, Row
from swath.report import Tile, facts, folded, page, section, table, tiles, write_page

_STYLE = """<style>
svg.chart .front { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; opacity: .75; }
svg.chart .on { fill: var(--accent); } svg.chart .off { fill: var(--soft); opacity: .6; }
svg.chart .proposed { fill: #f59e0b; stroke: var(--ink); stroke-width: 2; }
svg.chart .guess { fill: none; stroke: var(--soft); opacity: .55; }
svg.chart .budget { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 5; }
svg.chart .beyond { fill: var(--bad); opacity: .05; }
</style>"""


def write(path: str | Path, outcome: Outcome, steps: Sequence[tuple[str, str]]) -> None:
    """Write it; `steps` are commands to type next."""
    write_page(path, text(outcome, steps))


def text(outcome: Outcome, steps: Sequence[tuple[str, str]]) -> str:
    settings, told = outcome.settings, outcome.manifest
    title = f"What fits into {telling.milliseconds(settings.latency)}"
    subtitle = f"pictures of {shown(settings.size)} on {told['device']}"
    cores = f"{told['threads']} of {told['cores']}"
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    about = {"device": settings.device, "threads": cores, "date": told["date"][:10], "versions": versions}
    blocks = [facts(about), tiles(_tiles(outcome)), _plot(outcome), _proposal(outcome, steps), _front(outcome)]
    return page(title, subtitle, _STYLE, *blocks, _everything(outcome), footer="Written by swath fit.")


def _tiles(outcome: Outcome) -> list[Tile]:
    row = outcome.proposal
    counted = Tile(f"{len(outcome.measured)} of {len(outcome.rows)}", "configurations measured")
    if row is None or row.figure is None:
        fastest = min(outcome.measured, key=lambda each: each.ms, default=None)
        nothing = Tile("nothing", f"keeps {telling.milliseconds(outcome.settings.latency)}")
        if fastest is None:
            return [nothing, counted]
        return [nothing, Tile(telling.milliseconds(fastest.ms), f"the fastest, {plot.name(fastest)}"), counted]
    spare = 100 * (1 - row.ms / outcome.settings.latency)
    return [
        Tile(telling.milliseconds(row.ms), f"proposed: {plot.name(row)}, by {row.trial.way}"),
        Tile(f"{spare:.0f} %", f"under the budget of {telling.milliseconds(outcome.settings.latency)}"),
        Tile(outcome.yardstick.text(row.value), outcome.yardstick.label),
        counted,
    ]


def _plot(outcome: Outcome) -> str:
    defined = (
        f"Time: {STAGES[outcome.settings.stage]}. Filled: measured; rings: estimated only. The line is the front: "
        "nothing on its left is as good. Hover over a dot for its name."
    )
    return section("The front", plot.svg(outcome), note=outcome.yardstick.note, defined=defined)


def _proposal(outcome: Outcome, steps: Sequence[tuple[str, str]]) -> str:
    if outcome.proposal is None:
        return section("No proposal", f"<p>{escape(telling.nothing(outcome))}</p>")
    typed = "".join(f"# {escape(what)}\n{escape(step)}\n" for what, step in steps)
    return section("Proposed", f"<p>{escape(telling.proposal(outcome))}</p><pre>{typed}</pre>")


def _front(outcome: Outcome) -> str:
    rows = [_cells(row, outcome) for row in outcome.front]
    defined = " ".join(f"{line[0].upper()}{line[1:]}." for line in _words(outcome))
    return section("On the front", table(_head(outcome), rows), defined=defined)


def _everything(outcome: Outcome) -> str:
    known = [_cells(row, outcome) for row in outcome.measured]
    guessed = [_cells(row, outcome) for row in outcome.rows if not row.figure]
    parts = [folded(f"All {len(known)} that were measured", table(_head(outcome), known))]
    if guessed:
        parts.append(folded(f"All {len(guessed)} that were only estimated", table(_head(outcome), guessed)))
    return section("All configurations", *parts)


def _words(outcome: Outcome) -> list[str]:
    return [line for line in telling.summary(outcome) if line != outcome.yardstick.note]


def _head(outcome: Outcome) -> list[str]:
    return ["network", "sees", "by", "p50, ms", "p90, ms", outcome.yardstick.label, "GMACs", "M parameters"]


def _cells(row: Row, outcome: Outcome) -> list[str]:
    subject, figure = row.trial.group.subject, row.figure
    mark = "► " if row is outcome.proposal else ""
    return [
        f"{mark}{subject.title}",
        shown(row.trial.group.seen),
        str(row.trial.way),
        _number(figure.p50) if figure else f"~{_number(row.estimate)}",
        _number(figure.p90) if figure else "",
        outcome.yardstick.text(row.value),
        f"{row.trial.group.gmacs(outcome.settings.size):.2f}",
        f"{subject.parameters / 1e6:.2f}",
    ]


def _number(ms: float) -> str:
    return telling.milliseconds(ms).removesuffix(" ms")
