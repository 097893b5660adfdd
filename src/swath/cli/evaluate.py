"""`swath evaluate`: how good weights are on a split."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.evaluation import Scores

HELP = "score weights on a dataset: IoU, accuracy, confusion matrix"
EXAMPLES = """
  swath evaluate runs/streets/best.safetensors                     on the dataset it was trained on
  swath evaluate best.safetensors --card cityscapes --root ~/cityscapes
  swath evaluate best.safetensors --card my.yaml --split test --json score.json
  swath evaluate model.onnx --card streets --confusion confusion.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".safetensors, or an exported .onnx, .pt2, .pt")
    parser.add_argument("--card", help="dataset: a built-in name or a YAML file (default: what the weights name)")
    parser.add_argument("--root", help="the dataset's folder")
    parser.add_argument("--split", default="val", help="which part of it (default: %(default)s)")
    parser.add_argument("--batch", type=options.whole("--batch"), default=1, metavar="N", help="pictures at a time")
    parser.add_argument("--limit", type=options.whole("--limit"), metavar="N", help="only the first N pictures")
    parser.add_argument("--json", metavar="FILE", help="write every score and the confusion matrix")
    parser.add_argument("--confusion", metavar="FILE", help="draw the confusion matrix (.png or .jpg)")
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    import json

    from swath.cards import load_card
    from swath.evaluation import evaluate
    from swath.files import atomic_write
    from swath.inference import Segmenter

    options.set_threads(arguments.threads)
    segmenter = Segmenter(arguments.weights, arguments.device)
    named = arguments.card or segmenter.description.meta.dataset
    if not named:
        raise SwathError(f"{arguments.weights}: does not say which dataset it was trained on; give one with --card")
    card = load_card(named)
    source = card.open(arguments.split, arguments.root)
    with _Progress(f"{card.name} {arguments.split}", card) as watch:
        scores = evaluate(segmenter, source, batch=arguments.batch, limit=arguments.limit, watch=watch)
    pictures = len(source) if arguments.limit is None else min(arguments.limit, len(source))
    if arguments.json:
        told = {"weights": arguments.weights, "card": card.name, "split": arguments.split, "pictures": pictures}
        with atomic_write(arguments.json, "w") as file:
            json.dump({**told, **scores.as_dict()}, file, indent=1)
    if arguments.confusion:
        from pathlib import Path

        from swath.evaluation.drawing import confusion_picture
        from swath.inference.pictures import write_picture

        write_picture(Path(arguments.confusion), confusion_picture(scores))
    _print(scores, f"{arguments.weights} on {card.name} {arguments.split}, {pictures} pictures")
    return 0


class _Progress:
    """A bar with the time left and the mIoU so far; silent where nobody watches."""

    def __init__(self, title: str, card: Any):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(
            *columns,
            TextColumn("mIoU {task.fields[miou]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task(title, total=None, miou="-")
        self.card = card

    def __enter__(self) -> Any:
        self.bar.start()
        return self.show

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def show(self, done: int, total: int, confusion: Any) -> None:
        from swath.evaluation import metrics

        miou = metrics(confusion.counts, self.card).miou
        self.bar.update(self.task, completed=done, total=total, miou=percent(miou))


def percent(score: float | None) -> str:
    """As the tables of this field print it."""
    return "absent" if score is None else f"{100 * score:.2f}"


def _print(scores: Scores, title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("class")
    for heading in ("IoU", "accuracy", "pixels"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    truth = scores.counts.sum(axis=1)
    for name, iou, accuracy, pixels in zip(scores.class_names, scores.class_iou, scores.class_accuracy, truth):
        table.add_row(name, percent(iou), percent(accuracy), f"{pixels:,}", _bar(iou))
    if scores.category_iou:
        table.add_section()
        for name, iou in scores.category_iou.items():
            table.add_row(f"({name})", percent(iou), "", "", _bar(iou))
    console.print(table)
    console.print(
        f"mIoU {percent(scores.miou)}   category mIoU {percent(scores.category_miou)}   "
        f"pixel accuracy {percent(scores.pixel_accuracy)}   mean accuracy {percent(scores.mean_accuracy)}   "
        f"frequency-weighted IoU {percent(scores.frequency_weighted_iou)}   Dice {percent(scores.mean_dice)}"
    )
    if scores.absent:
        console.print(f"absent, and left out of the means: {', '.join(scores.absent)}")


def _bar(score: float | None) -> str:
    if score is None:
        return ""
    eighths = round(score * 20 * 8)
    rest: str = " ▏▎▍▌▋▊▉"[eighths % 8]
    return "█" * (eighths // 8) + rest.strip()
