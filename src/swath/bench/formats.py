"""Results as CSV, Markdown, a table and a chart."""

from __future__ import annotations

import csv
import io
from typing import Any

from swath.bench.manifest import NAMES
from swath.bench.run import Result
from swath.report import Dot, scatter_chart

COLUMNS = (
    "network",
    "stage",
    "p50",
    "p90",
    "p99",
    "mean",
    "std",
    "min",
    "max",
    "images/s",
    "parameters",
    "MACs",
    "memory",
    "mIoU",
    "mIoU of",
    "engine",
    "start, s",
    "times the first",
)
_STYLE = "<style>text{font:12px system-ui,sans-serif;fill:#334155}.strong{font-weight:600}.faint{fill:#94a3b8}</style>"

_OURS, _CLAIMED = "#2563eb", "#94a3b8"


def rows(results: list[Result]) -> list[dict[str, Any]]:
    """One row a network and stage; numbers as they were measured."""
    return [
        {
            "network": result.name,
            "stage": stage,
            **{key: getattr(latency, key) for key in ("p50", "p90", "p99", "mean", "std", "min", "max")},
            "images/s": latency.throughput,
            "parameters": result.parameters,
            "MACs": result.macs,
            "memory": result.peak_memory,
            "mIoU": result.score.get("miou"),
            "mIoU of": f"{result.score['on']}, by {result.score['by']}" if result.score else None,
            "engine": result.engine,
            "start, s": result.start,
            "times the first": _times_the_first(results, result, stage),
        }
        for result in results
        for stage, latency in result.latency.items()
    ]


def _times_the_first(results: list[Result], result: Result, stage: str) -> float | None:
    """How many times as fast as the first that was named, by medians."""
    first = results[0].latency.get(stage)
    return first.p50 / result.latency[stage].p50 if first else None


def as_csv(results: list[Result]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(results))
    return text.getvalue()


def readable(row: dict[str, Any]) -> list[str]:
    """A row as people read it: milliseconds, millions, gigas, megabytes."""
    times = [f"{row[key]:.1f}" for key in ("p50", "p90", "p99", "mean", "std", "min", "max", "images/s")]
    memory = "-" if row["memory"] is None else f"{row['memory'] / 2**20:.0f} MiB"
    counts = [f"{row['parameters'] / 1e6:.3f} M", f"{row['MACs'] / 1e9:.3f} G", memory]
    start, ratio = f"{row['start, s']:.1f}", "-" if row["times the first"] is None else f"{row['times the first']:.2f}x"
    told = [score(row), row["mIoU of"] or "", row["engine"], start, ratio]
    return [row["network"], NAMES[row["stage"]], *times, *counts, *told]


def score(row: dict[str, Any]) -> str:
    """In percent; what only the authors say is bracketed."""
    if row["mIoU"] is None:
        return ""
    return f"({row['mIoU']:.1f})" if row["mIoU of"].endswith("by authors") else f"{row['mIoU']:.1f}"


def as_markdown(results: list[Result]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * 2 + " ---: |" * (len(COLUMNS) - 2)]
    lines += ["| " + " | ".join(readable(row)) + " |" for row in rows(results)]
    return "\n".join(lines)


def as_chart(results: list[Result]) -> str:
    """A picture file (SVG): mIoU over latency. Claims of authors are grey and say so."""
    stage = next(stage for stage in ("mask", "network", "file") if all(stage in each.latency for each in results))
    dots = [
        Dot(
            result.name.rsplit("/", 1)[-1],
            result.latency[stage].p50,
            result.score["miou"],
            _CLAIMED if result.score["by"] == "authors" else _OURS,
        )
        for result in results
        if result.score
    ]
    ours, claimed = (
        sorted({str(each.score["on"]) for each in results if each.score and (each.score["by"] == "authors") == theirs})
        for theirs in (False, True)
    )
    said = [f"measured on {', '.join(ours)}"] if ours else []
    said += [f"grey: the authors' claims on {', '.join(claimed)}"] if claimed else []
    chart = scatter_chart(dots, x_label=f"{NAMES[stage]}, ms (median)", y_label=f"mIoU, % ({'; '.join(said)})")
    return chart.replace(">", f' width="960">{_STYLE}<rect width="100%" height="100%" fill="white"/>', 1)
