"""`swath evaluate`: how good weights are on a split."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.cli import opening, options
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.data import Source
    from swath.inference import Segmenter
    from swath.networks import Network

ENDINGS = {"report": (".html", ".htm"), "per_picture": (".csv",), "confusion": (".png", ".jpg", ".jpeg")}
HELP = "score weights on a dataset: IoU, accuracy, boundaries, confusion matrix"
EXAMPLES = """
  swath evaluate runs/streets/best.safetensors                     on the dataset it was trained on
  swath evaluate best.safetensors --card cityscapes --root ~/cityscapes --instances --boundary
  swath evaluate best.safetensors --scales 0.5,0.75,1,1.25,1.5,1.75 --flip
  swath evaluate best.safetensors --size 1024x512                  smaller pictures in, scored at their own size
  swath evaluate best.safetensors --window 713x713 --stride 475x475
  swath evaluate best.safetensors --card my.yaml --split test --json score.json --per-picture pictures.csv
  swath evaluate model.onnx --card streets --confusion confusion.png --report report.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".safetensors, an exported file (.onnx, .xml, .pt2, …), a bundle")
    parser.add_argument("--card", help="dataset: a built-in name or a YAML file (default: what the weights name)")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="val", help="which part of it (default: %(default)s)")
    parser.add_argument("--batch", type=options.whole("--batch"), default=1, metavar="N", help="pictures at a time")
    parser.add_argument("--limit", type=options.whole("--limit"), metavar="N", help="only the first N pictures")
    options.add_views(parser, "labels are always compared at the truth's own size")
    more = parser.add_argument_group("what is scored and written")
    more.add_argument(
        "--boundary",
        type=_widths,
        nargs="?",
        const=(1, 3, 5, 9, 12),
        metavar="W,W,...",
        help="boundary F-score and IoU along boundaries, in pixels (default: 1,3,5,9,12)",
    )
    more.add_argument("--instances", action="store_true", help="Cityscapes' iIoU, from instance maps")
    more.add_argument("--json", metavar="FILE", help="write every score and the confusion matrix")
    more.add_argument("--per-picture", metavar="FILE", help="write a table of all pictures, the worst first (.csv)")
    more.add_argument("--confusion", metavar="FILE", help="draw the confusion matrix (.png or .jpg)")
    more.add_argument("--report", metavar="FILE", help="write a page with everything and the worst pictures (.html)")
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    from swath.evaluation.processes import torchrun
    from swath.evaluation.tasks import has_more
    from swath.weights import load_weights, weights_file

    _check_endings(arguments)
    options.set_threads(arguments.threads)
    with torchrun(arguments.device) as (shard, device):
        weights = weights_file(arguments.weights)
        network = load_weights(weights) if weights.suffix == ".safetensors" and weights.is_file() else None
        if network is None or not has_more(network):
            return _labels(arguments, network, shard, device)
        if shard:
            raise SwathError(f"{weights}: several tasks are scored by one process; start it without torchrun")
        return _tasks(arguments, network, device)


def _labels(arguments: argparse.Namespace, network: Network | None, shard: tuple[int, int] | None, device: str) -> int:
    """What makes label maps of pictures: a network, or an exported file."""
    from swath.evaluation import evaluate
    from swath.evaluation.observers import Observer, PerPicture
    from swath.evaluation.tables import show
    from swath.inference import Segmenter

    views = options.views(arguments)
    if shard and (arguments.report or arguments.per_picture):
        raise SwathError("--report and --per-picture need every picture in one process; start it without torchrun")
    segmenter = Segmenter(network or arguments.weights, device, engine=opening.fixed_engine(arguments), views=views)
    segmenter.name = arguments.weights
    source = _source(arguments, segmenter.description.meta.dataset)
    pictures = PerPicture(source.card) if arguments.per_picture else None
    page = _page(source) if arguments.report else None
    observers: list[Observer] = [each for each in (pictures, page) if each is not None]
    with _progress(f"{source.card.name} {arguments.split}", source.card, shard) as watch:
        scores = evaluate(
            segmenter,
            source,
            batch=arguments.batch,
            limit=arguments.limit,
            watch=watch,
            observers=observers,
            boundary=arguments.boundary or (),
            instances=arguments.instances,
            shard=shard,
        )
    if shard and shard[0]:
        return 0
    facts = _facts(arguments, source, str(segmenter.views))
    _write_json(arguments, facts, scores.as_dict())
    if pictures:
        pictures.write(Path(arguments.per_picture))
    if arguments.confusion:
        from swath.evaluation.drawing import confusion_picture
        from swath.inference.pictures import write_picture

        write_picture(Path(arguments.confusion), confusion_picture(scores))
    if page:
        page.write(Path(arguments.report), scores, {**_told(facts), **_machine(segmenter)})
    show(scores, _title(facts))
    if page and not segmenter.gives_logits:
        print("how sure the network is cannot be told: labels are all that comes out of this file")
    return 0


def _tasks(arguments: argparse.Namespace, network: Network, device: str) -> int:
    """A network with several inputs or tasks: each task by its own numbers."""
    from swath.evaluation import evaluate_tasks
    from swath.evaluation.tables import show_tasks
    from swath.inference.runtimes.torch import check_device

    only = ("size", "scales", "flip", "window", "stride", "boundary", "instances", "per_picture", "report", "confusion")
    for name in only:
        if getattr(arguments, name):
            raise SwathError(
                f"--{name.replace('_', '-')} is for networks that make label maps of pictures; {arguments.weights} "
                f"takes {' and '.join(network.inputs)} and answers {' and '.join(network.tasks)}"
            )
    check_device(device)
    source = _source(arguments, network.meta.dataset if network.meta else "")
    with _progress(f"{source.card.name} {arguments.split}", None, None) as watch:
        scores = evaluate_tasks(network.to(device), source, limit=arguments.limit, watch=watch)
    facts = _facts(arguments, source, "")
    _write_json(arguments, facts, {task: _as_dict(each) for task, each in scores.items()})
    show_tasks(scores, _title(facts))
    if missing := [task for task in network.tasks if task not in scores]:
        print(f"without a truth in card {source.card.name}, and not scored: {', '.join(missing)}")
    return 0


def _check_endings(arguments: argparse.Namespace) -> None:
    """Before an hour of work, not after."""
    for name, endings in ENDINGS.items():
        path = getattr(arguments, name)
        if path and Path(path).suffix.lower() not in endings:
            raise SwathError(f"--{name.replace('_', '-')} {path}: is written as {' or '.join(endings)}; name it so")


def _source(arguments: argparse.Namespace, named: str) -> Source:
    from swath.cards import load_card

    chosen = arguments.card or named
    if not chosen:
        raise SwathError(f"{arguments.weights}: does not say which dataset it was trained on; give one with --card")
    return load_card(chosen).open(arguments.split, arguments.root)


def _page(source: Source) -> Any:
    from swath.evaluation.page import Page

    return Page(source.card)


def _facts(arguments: argparse.Namespace, source: Source, views: str) -> dict[str, Any]:
    count = len(source) if arguments.limit is None else min(arguments.limit, len(source))
    facts = {"weights": arguments.weights, "card": source.card.name, "split": arguments.split, "pictures": count}
    return {**facts, "views": views}


def _told(facts: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in facts.items() if value}


def _machine(segmenter: Segmenter) -> dict[str, str]:
    """What else a reader of the page wants to know."""
    import time

    import torch

    runtime = segmenter.runtime
    threads = str(torch.get_num_threads())
    return {"engine": runtime.engine, "device": runtime.device, "threads": threads, "date": time.strftime("%Y-%m-%d")}


def _title(facts: dict[str, Any]) -> str:
    many = "" if facts["pictures"] == 1 else "s"
    title = f"{facts['weights']} on {facts['card']} {facts['split']}, {facts['pictures']} picture{many}"
    return f"{title}, {facts['views']}" if facts["views"] else title


def _write_json(arguments: argparse.Namespace, facts: dict[str, Any], scores: dict[str, Any]) -> None:
    import json

    from swath.files import atomic_write

    if arguments.json:
        with atomic_write(arguments.json, "w") as file:
            json.dump({**facts, **scores}, file, indent=1)


def _as_dict(scores: Any) -> dict[str, Any]:
    from dataclasses import asdict

    told: dict[str, Any] = scores.as_dict() if hasattr(scores, "as_dict") else asdict(scores)
    return told


def _progress(title: str, card: Any, shard: tuple[int, int] | None) -> Any:
    """A bar with the time left and, where there is a card, the mIoU so far; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from swath.evaluation import metrics
    from swath.evaluation.tables import percent

    @contextmanager
    def bar() -> Any:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        hidden = not console.is_terminal or bool(shard and shard[0])
        so_far = TextColumn("{task.fields[so_far]}")
        with Progress(*columns, so_far, console=console, disable=hidden, transient=True) as it:
            task = it.add_task(title, total=None, so_far="")

            def show(done: int, total: int, confusion: Any = None) -> None:
                miou = f"mIoU {percent(metrics(confusion.counts, card).miou)}" if card else ""
                it.update(task, completed=done, total=total, so_far=miou)

            yield show

    return bar()


def _widths(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise SwathError(f"--boundary '{text}': widths in pixels with commas are needed, such as 1,3,5")
    return tuple(int(word) for word in text.split(","))
