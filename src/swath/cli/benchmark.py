"""`swath benchmark`: how fast networks, weights and exported files are on this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable

    from swath.bench import Result

HELP = "time networks, weights and exported files; count their MACs and memory"
EXAMPLES = """
  swath benchmark contextnet12 contextnet14 contextnet18 --size 1024x512 --device cpu --iterations 50 --warmup 5
  swath benchmark best.safetensors best.onnx --size 2048x1024 --threads 1       which engine is faster here?
  swath benchmark contextnet14 --device cuda --dtype float16 --batch-size 8 --stages network
  swath benchmark 'contextnet*' --json speed.json --csv speed.csv --plot speed.svg
"""
STAGES = ("network", "mask", "file")
TIMES = ("stage", "p50", "p90", "p99", "mean", "images/s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="names or patterns of networks, weights, exported files"
    )
    parser.add_argument("--models", nargs="+", dest="more", default=[], metavar="MODEL", help="the same, as an option")
    parser.add_argument("--size", type=options.size, default=(1080, 1920), metavar="WxH", help="default: 1920x1080")
    parser.add_argument(
        "--iterations", type=options.whole("--iterations"), default=100, metavar="N", help="default: 100"
    )
    parser.add_argument("--warmup", type=options.whole("--warmup", 0), default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--batch-size", "--batch_size", type=options.whole("--batch-size"), default=1, metavar="N", help="default: 1"
    )
    parser.add_argument(
        "--num-classes",
        "--num_classes",
        type=options.whole("--num-classes"),
        default=19,
        metavar="N",
        help="of networks by name (default: 19)",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="default: float32"
    )
    parser.add_argument(
        "--stages",
        type=options.words("--stages", STAGES),
        default=list(STAGES),
        metavar="WHAT",
        help="network (pixels to logits), mask (pixels to labels), file (JPEG to PNG); with commas (default: all)",
    )
    parser.add_argument(
        "--format", choices=("table", "markdown", "csv", "json"), default="table", help="what is printed"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything, with a manifest of what was timed")
    parser.add_argument("--csv", metavar="FILE", help="write a row a network and stage")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw mIoU over latency, where a score is known")
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    import json
    import sys

    from swath.bench import Settings, benchmark, formats
    from swath.bench.run import as_json
    from swath.files import atomic_write

    options.set_threads(arguments.threads)
    names = _names([*arguments.models, *arguments.more])
    settings = Settings(
        size=arguments.size,
        device=arguments.device,
        iterations=arguments.iterations,
        warmup=arguments.warmup,
        batch=arguments.batch_size,
        num_classes=arguments.num_classes,
        dtype=arguments.dtype,
        stages=tuple(arguments.stages),
    )
    results = []
    for number, result in enumerate(benchmark(names, settings), 1):
        results.append(result)
        if sys.stderr.isatty():
            print(f"{number}/{len(names)} {result.name}", file=sys.stderr)
    everything = as_json(results, settings)
    written: dict[str | None, Callable[[], str]] = {
        arguments.json: lambda: json.dumps(everything, indent=1),
        arguments.csv: lambda: formats.as_csv(results),
        arguments.plot: lambda: formats.as_chart(results),
    }
    if arguments.plot and not any(result.score for result in results):
        print(f"swath: {arguments.plot}: not drawn, no mIoU is known of any of these", file=sys.stderr)
        del written[arguments.plot]
    for path, text in written.items():
        if path:
            with atomic_write(path, "w") as file:
                file.write(text())
    if arguments.format == "table":
        _print(results, everything)
    else:
        printed: dict[str, Callable[[], str]] = {
            "json": lambda: json.dumps(everything, indent=1),
            "csv": lambda: formats.as_csv(results).rstrip(),
            "markdown": lambda: formats.as_markdown(results),
        }
        print(printed[arguments.format]())
    return 0


def _names(words: list[str]) -> list[str]:
    """Patterns of networks become names; nothing given is a mistake that lists what could be."""
    from swath.networks import list_models

    names: list[str] = []
    for word in words:
        found = list_models(word) if any(sign in word for sign in "*?[") else [word]
        if not found:
            raise SwathError(f"no network matches '{word}'; `swath models` lists them")
        names += [name for name in found if name not in names]
    if not names:
        raise SwathError("give at least one network, weights file or exported file; `swath models` lists the networks")
    return names


def _print(results: list[Result], everything: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from swath.bench import formats

    told, settings = everything["manifest"], everything["settings"]
    console = Console()
    named = Table(box=box.SIMPLE_HEAD)
    named.add_column("network", overflow="fold")
    for column in ("parameters", "MACs", "memory", "mIoU"):
        named.add_column(column, justify="right", no_wrap=True)
    timed = Table(box=box.SIMPLE_HEAD, title="milliseconds a call", title_justify="left")
    timed.add_column("network", overflow="fold")
    for column in TIMES:
        timed.add_column(column, justify="right" if column != "stage" else "left", no_wrap=True)
    last = None
    for row in formats.rows(results):
        cells = dict(zip(formats.COLUMNS, formats.readable(row)))
        if first := row["network"] != last:
            named.add_row(
                *(cells[column] for column in ("network", "parameters", "MACs", "memory")), formats.score(row)
            )
            if last is not None:
                timed.add_section()
        last = row["network"]
        timed.add_row(cells["network"] if first else "", *(cells[column] for column in TIMES))
    console.print(named)
    console.print(timed)
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    console.print(
        f"{settings['size']} (width x height), batch {settings['batch']}, {settings['dtype']}, "
        f"{settings['iterations']} calls after {settings['warmup']} of warm-up; "
        f"{told['device']}, {told['threads']} of {told['cores']} threads; {versions}",
        highlight=False,
    )
    for engine in dict.fromkeys(result.engine for result in results):
        users = ", ".join(result.name for result in results if result.engine == engine)
        console.print(f"{engine}: {users}", highlight=False)
