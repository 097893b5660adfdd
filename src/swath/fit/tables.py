"""An outcome at a terminal, and as CSV."""

from __future__ import annotations

import csv
import io

from rich import box
from rich.console import Console
from rich.table import Table

from swath.fit import telling
from swath.fit.measure import shown
from swath.fit.outcome import STAGES, Outcome, Row

COLUMNS = (
    *("network", "options", "weights", "seen", "engine", "precision", "p50", "p90", "calls", "estimate"),
    *("value", "of", "parameters", "GMACs", "front", "proposed", "date"),
)


def show(console: Console, outcome: Outcome) -> None:
    """The table, and how to read it."""
    settings, told = outcome.settings, outcome.manifest
    rows = telling.chosen_rows(outcome)
    if rows:
        console.print(_table(outcome, rows))
    lines = [
        f"● on the front: nothing faster is as good; ms: {settings.stage}, {STAGES[settings.stage]}",
        f"pictures of {shown(settings.size)}; {told['device']}, {told['threads']} of {told['cores']} threads",
        *telling.summary(outcome),
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, style="dim")


def _table(outcome: Outcome, rows: list[Row]) -> Table:
    budget = outcome.settings.latency
    more = len(outcome.measured) - len(rows)
    title = f"within {telling.milliseconds(budget)}? The front of what was measured"
    caption = f"and {more} more that were measured; --csv has them all" if more > 0 else None
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    table.add_column("sees", justify="right", no_wrap=True)
    table.add_column("by", overflow="fold")
    table.add_column("p50, ms", justify="right", no_wrap=True)
    table.add_column("p90", justify="right", no_wrap=True)
    table.add_column(_short(outcome), justify="right", no_wrap=True)
    crossed = False
    for row in rows:
        if row.ms > budget and not crossed:
            table.add_section()
            crossed = True
        assert row.figure is not None
        proposed = row is outcome.proposal
        subject = row.trial.group.subject
        table.add_row(
            "►" if proposed else "●" if row.front else "",
            subject.title,
            shown(row.trial.group.seen),
            str(row.trial.way),
            _number(row.figure.p50),
            _number(row.figure.p90),
            outcome.yardstick.text(row.value),
            style="bold green" if proposed else "" if row.front else "dim",
        )
    return table


def _number(ms: float) -> str:
    return telling.milliseconds(ms).removesuffix(" ms")


def _short(outcome: Outcome) -> str:
    return {"scored": "mIoU, %", "claims": "claim, %"}.get(outcome.yardstick.kind, "GMACs")


def as_csv(outcome: Outcome) -> str:
    """Every configuration, also those that were only estimated."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in outcome.rows:
        subject, figure = row.trial.group.subject, row.figure
        writer.writerow(
            {
                "network": subject.network,
                "options": " ".join(f"{key}={value}" for key, value in subject.options.items()) or None,
                "weights": subject.path,
                "seen": shown(row.trial.group.seen),
                "engine": row.trial.way.engine,
                "precision": row.trial.way.precision,
                "p50": figure and figure.p50,
                "p90": figure and figure.p90,
                "calls": figure and figure.calls,
                "estimate": None if figure else row.estimate,
                "value": row.value,
                "of": outcome.yardstick.label,
                "parameters": subject.parameters,
                "GMACs": row.trial.group.gmacs(outcome.settings.size),
                "front": int(row.front),
                "proposed": int(row is outcome.proposal),
                "date": figure and figure.date,
            }
        )
    return text.getvalue()
