"""`swath benchmark`: how fast networks, weights and exported files are on this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from swath.bench import Result
    from swath.bench.run import Watch

HELP = "time networks, weights and exported files; count their MACs and memory"
EXAMPLES = """
  swath benchmark contextnet12 contextnet14 contextnet18 --size 1024x512 --device cpu --iterations 50 --warmup 5
  swath benchmark best.safetensors --engines --size 1024x512      which engine is fastest here? It is used from then on
  swath benchmark best.safetensors --engines torch,openvino
  swath benchmark best.safetensors best.onnx best.xml bundle/ --size 2048x1024 --threads 1     files side by side
  swath benchmark contextnet14 --device cuda --dtype float16 --batch-size 8 --stages network
  swath benchmark 'contextnet*' --json speed.json --csv speed.csv --plot speed.svg
  swath benchmark contextnet14 --size 1024x512 --seen 512x256 --option width=0.75     as `swath fit` proposes it
  swath benchmark --protocol list                                 how papers time
  swath benchmark csfcn --protocol csfcn --device cuda            as its paper does it, and why we say another figure
"""
STAGES = ("network", "mask", "file")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="names or patterns of networks, weights, exported files"
    )
    parser.add_argument("--models", nargs="+", dest="more", default=[], metavar="MODEL", help="the same, as an option")
    parser.add_argument("--size", type=options.size, metavar="WxH", help="default: 1920x1080, or the protocol's")
    parser.add_argument(
        "--seen",
        type=options.size,
        metavar="WxH",
        help="resize pictures to this for the network; labels keep --size (default: --size itself)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of networks by name: what their builder takes, such as width=0.75; may be given again",
    )
    parser.add_argument(
        "--iterations", type=options.whole("--iterations"), metavar="N", help="default: 100, or the protocol's"
    )
    parser.add_argument(
        "--warmup", type=options.whole("--warmup", 0), metavar="N", help="default: 5, or the protocol's"
    )
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
    parser.add_argument(
        "--engines",
        nargs="?",
        const=["all"],
        type=_engines,
        metavar="NAME,NAME",
        help="compare engines on each network and remember the fastest; without names, all that are here (compiled "
        "takes a minute to start)",
    )
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="time networks as a paper did, and measure what each difference to our way is worth; list shows them",
    )
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    import json
    import sys

    from rich.console import Console

    from swath.bench import Settings, benchmark, formats, tables
    from swath.bench.run import as_json
    from swath.files import atomic_write

    options.set_threads(arguments.threads)
    if arguments.protocol:
        return _protocol(arguments)
    names = _names([*arguments.models, *arguments.more])
    if arguments.engine and arguments.engines:
        raise SwathError("--engine names one engine, --engines several to compare; give one of the two")
    settings = Settings(
        size=arguments.size or (1080, 1920),
        seen=arguments.seen,
        options=_options(arguments.option),
        device=arguments.device,
        iterations=arguments.iterations or 100,
        warmup=5 if arguments.warmup is None else arguments.warmup,
        batch=arguments.batch_size,
        num_classes=arguments.num_classes,
        dtype=arguments.dtype,
        stages=tuple(arguments.stages),
        engines=tuple(arguments.engines or ([arguments.engine] if arguments.engine else [])),
    )
    with _watching() as watch:
        results = benchmark(names, settings, watch)
    for who, reason in watch.failures.items():
        print(f"swath: {who}: {reason}", file=sys.stderr)
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
        console = Console()
        tables.show(console, results, everything)
        if arguments.engines:
            for line in [*tables.choices(results), *_missing(results, arguments.device)]:
                console.print(line, highlight=False, markup=False, soft_wrap=True)
    else:
        printed: dict[str, Callable[[], str]] = {
            "json": lambda: json.dumps(everything, indent=1),
            "csv": lambda: formats.as_csv(results).rstrip(),
            "markdown": lambda: formats.as_markdown(results),
        }
        print(printed[arguments.format]())
    return 0


def _protocol(arguments: argparse.Namespace) -> int:
    import json

    from rich.console import Console

    from swath.bench import protocol_tables, protocols
    from swath.files import atomic_write

    console = Console()
    if arguments.protocol == "list":
        protocol_tables.listed(console)
        return 0
    protocol = protocols.protocol_of(arguments.protocol)
    ours = {"dtype": "float32", "batch_size": 1, "stages": list(STAGES)}
    given = [name for name, usual in ours.items() if getattr(arguments, name) != usual]
    given += [name for name in ("engine", "engines", "seen", "option", "csv", "plot") if getattr(arguments, name)]
    if given or arguments.format not in ("table", "json"):
        flag = given[0].replace("_", "-") if given else f"format {arguments.format}"
        raise SwathError(
            f"--{flag} does not go with --protocol, which says it all; --size, --iterations, --warmup, --device, "
            "--json and --format json do"
        )
    found = []
    for name in _names([*arguments.models, *arguments.more] or [protocol.networks[0]]):
        with _watching() as watch:
            found.append(
                protocols.repeat(
                    protocol,
                    name,
                    size=arguments.size,
                    device=arguments.device,
                    num_classes=arguments.num_classes,
                    iterations=arguments.iterations,
                    warmup=arguments.warmup,
                    doing=watch.doing,
                    step=watch.step,
                )
            )
        if arguments.format == "table":
            protocol_tables.show(console, found[-1])
    told = json.dumps([protocols.as_json(each) for each in found], indent=1)
    if arguments.json:
        with atomic_write(arguments.json, "w") as file:
            file.write(told)
    if arguments.format == "json":
        print(told)
    return 0


def _watching() -> AbstractContextManager[Watch]:
    """A bar with what is being done and the time left; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from swath.bench.run import Watch

    @contextmanager
    def bar() -> Iterator[Watch]:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("", total=None)
            yield Watch(
                doing=lambda text, total: progress.reset(task, description=text, total=total),
                step=lambda: progress.advance(task),
            )

    return bar()


def _missing(results: list[Result], device: str) -> list[str]:
    """Engines of weights that are not here, each with what to do about it."""
    from swath.inference.runtimes.engines import ENGINES, WEIGHTS, absence

    known = {result.engine_key for result in results}
    reasons = {
        name: absence(name, WEIGHTS, device)
        for name, engine in ENGINES.items()
        if WEIGHTS in engine.opens and name not in known
    }
    said = [f"{name} {reason}" for name, reason in reasons.items() if reason]
    return [f"not compared: {'; '.join(said)}"] if said else []


def _engines(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _options(words: list[str]) -> dict[str, object]:
    """`width=0.75` -> {"width": 0.75}: numbers and truths as such."""
    import json

    found: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise SwathError(f"--option '{word}': write KEY=VALUE, such as width=0.75")
        try:
            found[key.strip()] = json.loads(text.lower() if text.lower() in ("true", "false") else text)
        except ValueError:
            found[key.strip()] = text
    return found


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
