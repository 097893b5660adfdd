"""`swath calibrate`: make confidence mean what it says, and keep that with the weights."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.cli import opening, options
from swath.cli.places import try_places
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from swath.cards import Card
    from swath.evaluation.temperature import Calibration
    from swath.weights import WeightsMeta

HELP = "make the confidence of weights honest: one temperature, stored with them"
EXAMPLES = """
  swath calibrate runs/streets/best.safetensors                    writes best.calibrated.safetensors beside it
  swath calibrate best.safetensors --card cityscapes --root ~/cityscapes --in-place
  swath calibrate best.safetensors --card my.yaml --split train --out sure.safetensors --json sure.json
  swath predict best.calibrated.safetensors photos/ --out out --unsure 95%   the threshold for 95 % right pixels
"""

_CHECKED = ("right in each half by the other's, %",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".safetensors; export them again afterwards, the temperature goes along")
    parser.add_argument("--card", help="dataset: a built-in name or a YAML file (default: what the weights name)")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="val", help="which part of it (default: %(default)s)")
    parser.add_argument("--limit", type=options.whole("--limit"), metavar="N", help="only the first N pictures")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help="weights to write (default: NAME.calibrated.safetensors)")
    where.add_argument("--in-place", action="store_true", help="replace the weights, in one step")
    parser.add_argument("--json", metavar="FILE", help="write every number")
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    from swath.cards import load_card
    from swath.evaluation.temperature import calibrate
    from swath.inference import Segmenter
    from swath.weights import beside, describe_again, read_meta, weights_file

    weights = weights_file(arguments.weights)
    if weights.suffix != ".safetensors":
        raise SwathError(
            f"{weights}: calibrate the .safetensors weights and export them again; the temperature goes along"
        )
    if arguments.in_place and beside(weights) != weights:
        raise SwathError(f"{arguments.weights}: came with swath and stays as it is; give --out a file of your own")
    name = beside(weights).with_suffix(".calibrated.safetensors")
    out = weights if arguments.in_place else Path(arguments.out or name)
    if out.suffix != ".safetensors":
        raise SwathError(f"--out {out}: weights are written as .safetensors; name it so")
    try_places(out, arguments.json)
    options.set_threads(arguments.threads)
    meta = read_meta(weights)
    segmenter = Segmenter(weights, arguments.device, engine=opening.fixed_engine(arguments))
    named = arguments.card or meta.dataset
    if not named:
        raise SwathError(f"{arguments.weights}: does not say which dataset it was trained on; give one with --card")
    card = load_card(named)
    source = card.open(arguments.split, arguments.root)
    with _progress(f"{card.name} {arguments.split}") as watch:
        found = calibrate(segmenter, source, limit=arguments.limit, watch=watch)
    many = "" if found.pictures == 1 else "s"
    seen = f", {segmenter.views}" if str(segmenter.views) else ""
    _show(found, f"{arguments.weights} on {card.name} {arguments.split}, {found.pictures} picture{many}{seen}")
    if found.useless:
        raise SwathError(
            f"{arguments.weights}: no temperature makes it honest on {card.name} {arguments.split}: {found.useless}. "
            "Nothing was written; see with `swath evaluate` whether it is trained and has the card's classes"
        )
    known = meta if not arguments.card or _of_one_dataset(meta.dataset, arguments.card, card) else None
    for line in _notes(arguments.split, card, known, found):
        print(line)
    where = {"card": card.name, "split": arguments.split}
    describe_again(weights, out, temperature=found.temperature, calibration={**where, **found.stored()})
    print(f"written: {out}")
    if arguments.json:
        _write_json(arguments.json, {"weights": arguments.weights, **where, **found.told()})
    unsure = ["--unsure", f"{100 * found.thresholds[0].accuracy:g}%"] if found.thresholds else []
    print(f"next:    swath predict {shlex.quote(str(out))} PICTURES {shlex.join(['--out', 'out', *unsure])}")
    print(f"         {shlex.join(['swath', 'export', str(out), '--to', 'onnx'])}")
    return 0


def _show(found: Calibration, title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(title, style="bold", markup=False, soft_wrap=True)
    gap = found.temperature - 1
    said = "it was about honest" if abs(gap) < 0.03 else "it was too sure" if gap > 0 else "it was not sure enough"
    console.print(f"temperature {found.temperature:.3f}: {said}; labels stay what they are", markup=False)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "before", "after"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("mean confidence, %", *(f"{100 * _sure(bins):.1f}" for bins in (found.bins_before, found.bins_after)))
    table.add_row("right pixels, %", *[f"{100 * found.accuracy:.1f}"] * 2)
    table.add_row("calibration error (ECE), %", f"{100 * found.ece_before:.2f}", f"{100 * found.ece_after:.2f}")
    if found.ece_checked is not None:
        table.add_row("  each half by the other's temperature", "", f"{100 * found.ece_checked:.2f}")
    table.add_row("negative log-likelihood", f"{found.nll_before:.4f}", f"{found.nll_after:.4f}")
    console.print(table)
    table = Table(box=box.SIMPLE_HEAD)
    checked = _CHECKED if found.ece_checked is not None else ()
    for name in ("right of the kept pixels", "least confidence", "left out", *checked):
        table.add_column(name, justify="right", no_wrap=name not in _CHECKED)
    from swath.evaluation.temperature import TARGETS

    reached = {each.accuracy: each for each in found.thresholds}
    for target in TARGETS:
        each = reached.get(target)
        if each is None:
            table.add_row(f"{100 * target:g} %", "cannot be reached", "")
        else:
            halves = ", ".join("–" if half is None else f"{100 * half:.1f}" for half in each.checked)
            cells = [f"{100 * target:g} %", f"{each.confidence:.3f}", f"{100 * each.left_out:.1f} %"]
            table.add_row(*cells, *([halves] if halves else []))
    console.print(table)


def _of_one_dataset(learnt: str, asked: str, card: Card) -> bool:
    """Whether the names of splits mean the same pictures to the weights and to this card."""
    from swath.cards import list_cards

    if learnt in ("", asked, card.name, *card.aliases):
        return True
    stems = {re.match(r"[a-z]*", name.lower())[0] for name in (learnt, card.name)}  # type: ignore[index]
    return card.builtin and learnt in list_cards() and len(stems) == 1


def _notes(split: str, card: Card, known: WeightsMeta | None, found: Calibration) -> Iterator[str]:
    """What a number may be used for. `known`: weights of the same dataset."""
    score = known.score if known else {}
    learnt = _pictures(card, score.get("train", "train" if known else ""))
    chosen = _pictures(card, score.get("split", "val" if score else ""))
    asked = _pictures(card, split)
    if asked & learnt:
        others = [each for each in ("val", "test", *card.splits) if each in card.splits]
        free = next((each for each in others if not _pictures(card, each) & learnt), None)
        better = f"--split {free}" if free else "a split that it never saw"
        yield f"note: fitted on {split}, pictures that the network was trained on, where it is more often right than"
        yield f"      elsewhere: on new pictures it will be too sure; {better} is the better choice."
        return
    also = ", and the weights were chosen on it" if asked & chosen else ""
    yield f"note: fitted on {split}{also}: errors told on {split} are a little too good from now on."
    if found.ece_checked is not None:
        yield "      What was found on one half and judged on the other is the fair figure. mIoU is not touched."


def _pictures(card: Card, splits: str) -> set[str]:
    """What splits are made of, as far as names tell: `trainval` and `train+val` of train and val, coarse labels are of
    the same pictures."""
    from swath.doctor.gather import named_splits
    from swath.doctor.twins import role

    names = [word.strip() for word in splits.split("+") if word.strip()]
    with contextlib.suppress(SwathError):
        names = named_splits(card, splits)
    found: set[str] = set()
    for name in names:
        both = name.startswith("train") and not role(name)
        found |= {"train", "val"} if both else {name if name.endswith("_extra") else role(name) or name}
    return found


def _sure(bins: list[Any]) -> float:
    from swath.evaluation.page.calibration import totals

    return totals(bins)[0] or 0.0


def _write_json(path: str, told: dict[str, Any]) -> None:
    import json

    from swath.files import atomic_write

    with atomic_write(path, "w") as file:
        json.dump(told, file, indent=1)


def _progress(title: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar with the time left; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Callable[[int, int], None]]:
        console = Console(stderr=True)
        parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*parts, console=console, disable=not console.is_terminal, transient=True) as it:
            task = it.add_task(title, total=None)
            yield lambda done, total: it.update(task, completed=done, total=total)

    return bar()
