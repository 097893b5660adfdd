"""`swath quantize`: weights to a file that computes with 8 bits, within a budget of mIoU."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.cli import options
from swath.cli.progress import watched
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.quantise.engines import Outcome
    from swath.quantise.engines.search import Search

_ENDINGS = {"onnxruntime": ".onnx", "openvino": ".xml", "torchao": ".onnx"}

HELP = "turn weights into a file that computes with 8 bits, within a budget"
EXAMPLES = """
  swath quantize best.safetensors                               best-int8.onnx, on the dataset it was trained on
  swath quantize best.safetensors --card my.yaml --root data    on another one with the same classes
  swath quantize best.safetensors --engine openvino             best-int8.xml and .bin
  swath quantize best.safetensors --budget 0.2 --pictures 200   at most 0.2 points of mIoU lost
  swath quantize best.safetensors --reduce-range yes            for a machine without VNNI, whatever this one has
  swath quantize best.safetensors --window 713x713 --stride 475x475
  swath evaluate best-int8.onnx --card streets                  what came of it runs like any other file

Ranges come from pictures of the train split, chosen by --seed and spread over it. Then every layer is tried alone in 8
bits, and the worst ones go back to float, as few as the budget allows: sets of layers are tried on a part of the
validation split (--subset), and what is found must hold on all of it. Where it cannot hold with half of the layers in 8
bits, nothing is written and the status is 1. Weights that were trained with 8 bits are exported as they are. Beside the
file lie NAME.layers.csv and NAME.layers.json: what stayed in float and why, and every figure.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="a .safetensors file")
    parser.add_argument("--card", help="dataset: a built-in name or a YAML file (default: what the weights name)")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument(
        "--engine", choices=tuple(_ENDINGS), default="onnxruntime", help="whose tool quantises (default: %(default)s)"
    )
    parser.add_argument(
        "--budget",
        type=options.number("--budget", 0, 100, "points of mIoU are needed, from 0 to 100"),
        default=0.5,
        metavar="POINTS",
        help="points of mIoU that may be lost (default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", help="where to (default: beside the weights, NAME-int8.onnx or .xml)")
    parser.add_argument("--force", action="store_true", help="write the best file found, even over the budget")
    more = parser.add_argument_group("what it is made from")
    more.add_argument(
        "--pictures", type=options.whole("--pictures"), default=64, metavar="N", help="for ranges (default: 64)"
    )
    more.add_argument("--train", default="train", metavar="SPLIT", help="where they are from (default: %(default)s)")
    more.add_argument("--val", default="val", metavar="SPLIT", help="what the budget is of (default: %(default)s)")
    more.add_argument(
        "--subset",
        type=options.whole("--subset"),
        default=32,
        metavar="N",
        help="pictures of it on which sets of layers are tried (default: %(default)s)",
    )
    more.add_argument("--seed", type=options.whole("--seed", 0), default=0, metavar="N", help="of the choice")
    more.add_argument(
        "--reduce-range",
        choices=("auto", "yes", "no"),
        default="auto",
        help="weights in 7 of 8 bits, which x86 without VNNI needs; auto asks this CPU (default: %(default)s)",
    )
    more.add_argument("--size", type=options.size, metavar="WxH", help="resize every picture to this first")
    more.add_argument("--window", type=options.size, metavar="WxH", help="window by window")
    more.add_argument("--stride", type=options.size, metavar="WxH", help="between windows (default: 2/3 of them)")
    more.add_argument("--threads", type=options.whole("--threads"), metavar="N", help="processor threads")


def run(arguments: argparse.Namespace) -> int:
    from swath.cards import load_card
    from swath.inference import Views
    from swath.quantise.engines import Settings, quantize, report
    from swath.weights import beside, load_weights, weights_file

    weights = weights_file(arguments.weights)
    if weights.suffix != ".safetensors":
        raise SwathError(f"{weights}: only .safetensors weights can be quantised, not files that were exported")
    ending = _ENDINGS[arguments.engine]
    out = Path(arguments.out) if arguments.out else beside(weights).with_name(f"{weights.stem}-int8{ending}")
    options.set_threads(arguments.threads)
    network = load_weights(weights)
    named = arguments.card or (network.meta.dataset if network.meta else "")
    if not named:
        raise SwathError(f"{weights}: does not say which dataset it was trained on; give one with --card")
    card = load_card(named)
    settings = Settings(
        engine=arguments.engine,
        budget=arguments.budget,
        pictures=arguments.pictures,
        subset=arguments.subset,
        reduce_range=arguments.reduce_range,
        seed=arguments.seed,
        views=Views(
            size=arguments.size,
            as_learnt=not (arguments.size or arguments.window),
            window=arguments.window,
            stride=arguments.stride,
        ),
    )
    train, val = (card.open(split, arguments.root) for split in (arguments.train, arguments.val))
    with watched() as watch:
        outcome = quantize(network, train, val, out, settings, force=arguments.force, watch=watch)
    if outcome.written:
        facts = {"weights": str(weights), "card": card.name, "train": arguments.train, "val": arguments.val}
        report.write(outcome, out, facts)
    _tell(outcome, out, f"{card.name} {arguments.val}", f"{card.name} {arguments.train}")
    return 0 if outcome.found.holds or arguments.force else 1


def _tell(outcome: Outcome, out: Path, val: str, train: str) -> None:
    """Everything, for a person to read."""
    import sys

    from rich.console import Console

    from swath.quantise.engines import report
    from swath.quantise.engines.timing import verdict

    console = Console()
    found = outcome.found
    if outcome.trained:
        console.print(f"{outcome.network}, trained with 8 bits ({outcome.trained}): exported as it is", style="bold")
    else:
        console.print(_layers(outcome))
        many = len(outcome.layers)
        print(f"{found.kept} of {many} layers stay in float, {many - found.kept} compute with 8 bits")
        print(f"by {outcome.engine.title}; points of mIoU lost, by layers in float: {_tried(found)}")
        for line in _calibration(outcome, train, val):
            print(line)
    before = f"{100 * outcome.before:.2f} {'as trained' if outcome.trained else 'in float'}"
    after = f"{100 * outcome.after:.2f} with 8 bits in {_runs_in(outcome)}"
    change = f"{found.loss:.2f} points lost" if found.loss > 0 else f"{-found.loss:.2f} points gained"
    print(f"mIoU on {val}, {outcome.pictures} pictures: {before}, {after}: {change}, the budget is {found.budget:g}")
    console.print(_timings(outcome))
    for line in verdict(outcome.timings):
        print(line)
    if outcome.written:
        if not found.holds:
            print("the budget does not hold; written all the same, as --force says")
        table, whole = report.paths(out)
        print(f"wrote {out} ({_megabytes(outcome)}), {table.name} and {whole.name}")
        print(f"next: swath evaluate {out} --card {val.rpartition(' ')[0]}")
        return
    what = (
        "weights trained with 8 bits cannot be brought back to float"
        if outcome.trained
        else f"with {found.kept} of {len(outcome.layers)} layers in float, which was the best of up to half of them"
    )
    print(
        f"swath: the budget of {found.budget:g} points cannot hold: {found.loss:.2f} are lost, {what}; nothing was "
        "written. Give a larger --budget, more --pictures, or --force; or train with 8 bits (swath recipes)",
        file=sys.stderr,
    )


def _tried(found: Search) -> str:
    """The reason for the number of layers."""
    subset, whole = (
        ", ".join(f"{count}: {loss:.2f}" for count, loss in sorted(each.items()))
        for each in (found.tried, found.checked)
    )
    return f"{subset} on a subset; {whole} on all pictures"


def _calibration(outcome: Outcome, train: str, val: str) -> Iterator[str]:
    asked, used = outcome.settings.pictures, len(outcome.calibrated)
    left = len(outcome.constant)
    notes = []
    if used + left < asked:
        notes.append(f"{asked} were asked for, the split has no more")
    if left:
        notes.append(f"{left} of one colour left out, such as {outcome.constant[0]}")
    yield f"ranges from {used} pictures of {train}{'; ' + '; '.join(notes) if notes else ''}"
    yield outcome.weights.why
    tried = outcome.subset
    yield f"sets of layers were tried on {len(tried)} pictures of {val}, from {tried[0]} to {tried[-1]}"


def _layers(outcome: Outcome) -> Any:
    """The worst layers, those that stay in float first; the files have them all."""
    from rich import box
    from rich.table import Table

    from swath.quantise.engines.report import rows

    shown = max(10, min(30, outcome.found.kept + 5))
    told = rows(outcome)
    more = len(told) - shown
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{outcome.network}, each layer alone in 8 bits, the worst first",
        title_justify="left",
        caption=f"and {more} less sensitive ones" if more > 0 else None,
        caption_justify="left",
    )
    table.add_column("layer", overflow="fold")
    table.add_column("kind", overflow="fold")
    for heading in ("weights", "own dB", "logits dB", "agree"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("runs in", no_wrap=True)
    for row in told[:shown]:
        table.add_row(
            row["layer"],
            row["operator"],
            f"{row['weights']:,}" if row["weights"] else "",
            f"{row['own_db']:.1f}",
            f"{row['logits_db']:.1f}",
            f"{row['agree']:.2%}",
            "[bold]float[/bold]" if row["runs_in"] == "float" else "int8",
        )
    return table


def _timings(outcome: Outcome) -> Any:
    from rich import box
    from rich.table import Table

    from swath.quantise.engines.timing import RUNTIMES

    height, width = outcome.timed
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"pixels to logits at {width}x{height} on this CPU",
        title_justify="left",
    )
    table.add_column("engine")
    for heading in ("fp32, ms", "int8, ms", "times as fast"):
        table.add_column(heading, justify="right", no_wrap=True)
    by = {(each.runtime, each.precision): each.ms for each in outcome.timings}
    for name, title in RUNTIMES.items():
        if (name, "int8") in by:
            plain, ours = by[name, "fp32"], by[name, "int8"]
            table.add_row(title, f"{plain:.1f}", f"{ours:.1f}", f"{plain / ours:.2f}")
    return table


def _megabytes(outcome: Outcome) -> str:
    return (
        f"{outcome.size / 1e6:.2f} MB, in float {outcome.plain_size / 1e6:.2f}: "
        f"{outcome.plain_size / outcome.size:.1f} times smaller"
    )


def _runs_in(outcome: Outcome) -> str:
    return "OpenVINO" if outcome.engine.ending == ".xml" else "ONNX Runtime"
