"""Results for people at a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from swath.bench import formats
from swath.bench.manifest import NAMES
from swath.bench.run import Result
from swath.inference.fastest import AUTOMATIC

_COUNTS = ("parameters", "MACs")
_TIMES = ("p50", "p90", "p99", "images/s")


def show(console: Console, results: list[Result], everything: dict[str, Any]) -> None:
    """What each is, how fast it was, and on what."""
    told, settings = everything["manifest"], everything["settings"]
    rows = formats.rows(results)
    console.print(_counts(rows))
    console.print(_times(results, rows))
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    console.print(
        f"{settings['size']} (width x height){_seen(settings)}, batch {settings['batch']}, {settings['dtype']}, "
        f"{settings['iterations']} calls after {settings['warmup']} of warm-up"
        f"{', in turns' if len(results) > 1 else ''}; "
        f"{told['device']}, {told['threads']} of {told['cores']} threads; {versions}",
        highlight=False,
    )


def _seen(settings: dict[str, Any]) -> str:
    shown = f", shown at {settings['seen']}" if settings["seen"] else ""
    return shown + "".join(f", {key} {value}" for key, value in settings["options"].items())


def _counts(rows: list[dict[str, Any]]) -> Table:
    """A row a network or file."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("network", overflow="fold")
    for column in (*_COUNTS, "mIoU"):
        table.add_column(column, justify="right", no_wrap=True)
    for name in dict.fromkeys(row["network"] for row in rows):
        row = next(row for row in rows if row["network"] == name)
        cells = dict(zip(formats.COLUMNS, formats.readable(row)))
        table.add_row(name, *(cells[column] for column in _COUNTS), formats.score(row))
    return table


def _times(results: list[Result], rows: list[dict[str, Any]]) -> Table:
    """A section a stage, under its name; within it all that took turns, each with its ratio to the first."""
    several = len(results) > 1
    named = len({result.name for result in results}) > 1
    columns = [*_TIMES, "memory", *(["start", "speed"] if several else [])]
    table = Table(box=box.SIMPLE_HEAD, title="milliseconds a call", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("what runs", overflow="fold", min_width=max(map(len, NAMES.values())))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for stage in NAMES:
        some = [(result, row) for result, row in _pairs(results, rows) if row["stage"] == stage]
        if not some:
            continue
        best = min(row["p50"] for _, row in some)
        table.add_row(NAMES[stage], style="bold")
        for result, row in some:
            cells = dict(zip(formats.COLUMNS, formats.readable(row)))
            cells |= {"start": f"{result.start:.1f} s", "speed": cells["times the first"]}
            what = f"{result.name}, {short(result.engine)}" if named else short(result.engine)
            fastest = several and row["p50"] == best
            table.add_row(what, *(cells[column] for column in columns), style="green" if fastest else "")
        table.add_section()
    return table


def _pairs(results: list[Result], rows: list[dict[str, Any]]) -> list[tuple[Result, dict[str, Any]]]:
    """Each row with the result that it is of."""
    owners = [result for result in results for _ in result.latency]
    return list(zip(owners, rows))


def short(engine: str) -> str:
    """`torch 2.13.0+cpu, fused, channels last` -> `torch 2.13.0`."""
    first, _, rest = engine.partition(",")
    graphs = ", CUDA graphs" if "CUDA graphs" in rest else ""
    return first.partition("+")[0] + graphs


def choices(results: list[Result]) -> list[str]:
    """What is run from now on, for each network whose engines were compared."""
    lines = []
    for name in dict.fromkeys(result.name for result in results):
        group = [each for each in results if each.name == name and "mask" in each.latency]
        able = [each for each in group if each.engine_key in AUTOMATIC]
        if len(group) < 2 or not able:
            continue
        best, first = min(able, key=lambda each: each.latency["mask"].p50), able[0]
        ratio = (
            ""
            if best is first
            else (
                f", {first.latency['mask'].p50 / best.latency['mask'].p50:.1f} times as fast as {short(first.engine)}"
            )
        )
        lines.append(
            f"{name}: fastest is {short(best.engine)}{ratio}; swath uses it here from now on (--engine overrides)"
        )
        quickest = min(group, key=lambda each: each.latency["mask"].p50)
        if quickest is not best:
            lines[-1] += (
                f". {short(quickest.engine)} is faster yet, but starts anew each time: --engine {quickest.engine_key}"
            )
    return lines
