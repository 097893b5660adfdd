"""`swath fit`: what to run on this device within so many milliseconds a picture."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli import options
from swath.cli.progress import watched
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.fit import Outcome

HELP = "find the network, size and engine for a latency budget on this device"
EXAMPLES = """
  swath fit --device cpu --latency 33ms --size 1024x512                    networks by what their authors claim
  swath fit --device cpu --latency 33ms --size 1024x512 --card my.yaml     with the classes of a card
  swath fit a.safetensors b.safetensors --latency 33ms --size 1024x512 --card my.yaml     by mIoU on your own pictures
  swath fit best.safetensors --latency 20fps --size 1920x1080 --card streets --scales 1,0.75,0.5 --verify
  swath fit --networks 'contextnet*' 'pidnet_*' --latency 15ms --size 2048x1024 --device cuda
  swath fit --latency 33ms --size 1024x512 --report fit.html --csv fit.csv --minutes 30

Candidates are networks x widths x sizes that the network sees x engines and precisions that are here. A few of them
are measured to learn how fast the device is; the others are estimated, and only those near or under the budget are
measured. The mask always has the picture's own size. Figures are kept in the cache folder: a run that is stopped goes
on, another budget costs little, and --again measures anew. Status 1 where nothing keeps the budget.
"""

_UNITS = ("ms", "s", "fps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="weights (.safetensors), names or patterns of networks"
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="the same, as an option (default: two dozen that are made for real time)",
    )
    parser.add_argument(
        "--latency", type=_latency, required=True, metavar="TIME", help="for one picture: 33ms, 0.05s or 30fps"
    )
    parser.add_argument("--size", type=options.size, required=True, metavar="WxH", help="of the pictures")
    parser.add_argument("--card", help="dataset: names the classes; weights are scored on it, which needs its pictures")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="val", help="what weights are scored on (default: %(default)s)")
    parser.add_argument(
        "--limit",
        type=options.whole("--limit"),
        default=100,
        metavar="N",
        help="pictures that are scored, spread over the split (default: %(default)s)",
    )
    parser.add_argument(
        "--stage",
        choices=("mask", "network"),
        default="mask",
        help="mask: pixels to labels, all that a person waits for; network: pixels to logits (default: %(default)s)",
    )
    what = parser.add_argument_group("what is tried")
    what.add_argument(
        "--scales",
        type=_numbers("--scales", 1.0),
        default=(1.0, 0.75, 0.5),
        metavar="S,S,...",
        help="of the picture's sides, for the network (default: 1,0.75,0.5)",
    )
    what.add_argument(
        "--widths",
        type=_numbers("--widths", 4.0),
        default=(1.0, 0.75, 0.5),
        metavar="W,W,...",
        help="of networks that have a width (default: 1,0.75,0.5)",
    )
    what.add_argument(
        "--engines",
        type=_words,
        default=(),
        metavar="NAME,NAME",
        help="default: all that are here, but compiled (which takes a minute for every configuration)",
    )
    what.add_argument(
        "--precisions",
        type=options.words("--precisions", ("float32", "bfloat16", "float16", "int8")),
        default=[],
        metavar="NAME,NAME",
        help="float32, bfloat16 (processors), float16 (GPUs), int8 (default: all that can be had here)",
    )
    what.add_argument(
        "--num-classes", type=options.whole("--num-classes"), metavar="N", help="without a card (default: 19)"
    )
    more = parser.add_argument_group("how, and what is written")
    more.add_argument(
        "--minutes",
        type=options.number("--minutes", 0.1, 10_000, "minutes are needed, 0.1 or more"),
        default=10.0,
        metavar="M",
        help="begin nothing new after about that long (default: %(default)g)",
    )
    more.add_argument("--again", action="store_true", help="measure also what is known from before")
    more.add_argument("--verify", action="store_true", help="measure the proposal again in fresh processes")
    more.add_argument("--report", metavar="FILE", help="write a page with the plot and everything (.html)")
    more.add_argument("--csv", metavar="FILE", help="write every configuration, also those only estimated")
    more.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    more.add_argument("--threads", type=options.whole("--threads"), metavar="N", help="processor threads")


def run(arguments: argparse.Namespace) -> int:
    import sys

    from rich.console import Console

    from swath.cards import load_card
    from swath.cli.places import try_places
    from swath.files import atomic_write
    from swath.fit import Settings, fit, page, tables, telling

    if arguments.report and Path(arguments.report).suffix.lower() not in (".html", ".htm"):
        raise SwathError(f"--report {arguments.report}: is written as .html; name it so")
    for word in arguments.models:
        if word.lower() in _UNITS:
            time = f"{arguments.latency:g}{word}"
            raise SwathError(f"'{word}': is no network; write the time and its unit as one word: --latency {time}")
    if arguments.card and arguments.num_classes:
        raise SwathError("--card names the classes, and --num-classes counts them; give one of the two")
    try_places(arguments.report, arguments.csv)
    options.set_threads(arguments.threads)
    card = load_card(arguments.card) if arguments.card else None
    settings = Settings(
        latency=arguments.latency,
        size=arguments.size,
        device=arguments.device,
        words=tuple(dict.fromkeys([*arguments.models, *arguments.networks])),
        widths=arguments.widths,
        scales=arguments.scales,
        engines=tuple(arguments.engines),
        precisions=tuple(arguments.precisions),
        stage=arguments.stage,
        num_classes=card.num_classes if card else arguments.num_classes or 19,
        limit=arguments.limit,
        minutes=arguments.minutes,
        again=arguments.again,
    )
    with watched() as watch:
        outcome = fit(settings, card, arguments.root, arguments.split, watch)
    steps = telling.next_steps(outcome, arguments.card, arguments.root) if outcome.proposal else []
    console = Console()
    tables.show(console, outcome)
    for who, reason in outcome.failures.items():
        print(f"swath: {who}, left out: {reason}", file=sys.stderr)
    if outcome.proposal is None:
        print(f"swath: {telling.nothing(outcome)}", file=sys.stderr)
    else:
        console.print(f"proposed: {telling.proposal(outcome)}", style="bold", highlight=False, markup=False)
    if arguments.report:
        page.write(arguments.report, outcome, steps)
    if arguments.csv:
        with atomic_write(arguments.csv, "w") as file:
            file.write(tables.as_csv(outcome))
    if outcome.proposal is None:
        return 1
    if arguments.verify:
        _verify(outcome)
    for what, step in steps:
        print(f"{what}: {step}")
    return 0


def _verify(outcome: Outcome) -> None:
    from swath.fit.again import PROCESSES, measure_again, verdict
    from swath.fit.measure import Bench

    assert outcome.proposal is not None
    trial = outcome.proposal.trial
    model = str(Bench(outcome.settings, None).model(trial)) if trial.way.precision == "int8" else None
    found = []
    with watched() as watch:
        watch("measuring the proposal again", 0, PROCESSES)
        for ms in measure_again(outcome, model):
            found.append(ms)
            watch("measuring the proposal again", len(found), PROCESSES)
    print(verdict(outcome.proposal.ms, found))


def _latency(text: str) -> float:
    """`33ms`, `0.05s` or `30fps` -> milliseconds; a bare number is milliseconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|fps|)\s*", text.lower())
    if not match or not float(match[1]):
        raise SwathError(f"--latency '{text}': write a time or a rate, such as 33ms, 0.05s or 30fps")
    value = float(match[1])
    return {"s": 1000 * value, "fps": 1000 / value}.get(match[2], value)


def _numbers(option: str, most: float) -> Callable[[str], tuple[float, ...]]:
    """Numbers above 0 with commas between, the largest first."""

    def read(text: str) -> tuple[float, ...]:
        try:
            values = {float(word) for word in text.split(",")}
        except ValueError:
            values = {0.0}
        if not values or not all(0.05 <= value <= most for value in values):
            raise SwathError(f"{option} '{text}': numbers from 0.05 to {most:g} with commas are needed, such as 1,0.5")
        return tuple(sorted(values, reverse=True))

    return read


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
