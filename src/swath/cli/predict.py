"""`swath predict`: pictures to label maps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from swath.inference.inputs import Job

HELP = "segment pictures, folders and patterns into label maps and overlays"
EXAMPLES = """
  swath predict best.safetensors street.jpg --out out          out/street.png, out/street_overlay.jpg
  swath predict best.safetensors photos/ --out out             the tree of the folder is kept
  swath predict model.onnx 'photos/**/*.png' --out out --write labels
  swath predict best.safetensors photos/ --out out --write labels,overlay,color --alpha 0.7
"""
KINDS = ("labels", "overlay", "color")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".safetensors, or an exported .onnx, .pt2, .pt")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="picture, folder or pattern such as 'a/**/*.jpg'")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--write",
        type=options.words("--write", KINDS),
        default=list(KINDS[:2]),
        metavar="WHAT",
        help="labels (palette PNG of class numbers), overlay, color; with commas (default: labels,overlay)",
    )
    parser.add_argument(
        "--alpha", type=options.share("--alpha"), default=0.5, help="strength of the overlay, 0 to 1 (default: 0.5)"
    )
    options.add_views(parser)
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    import sys

    from swath.files import make_folder
    from swath.inference import Segmenter
    from swath.inference.inputs import plan
    from swath.inference.predict import predict

    out = Path(arguments.out)
    jobs = plan(arguments.inputs, out, arguments.write)
    options.set_threads(arguments.threads)
    segmenter = Segmenter(arguments.weights, arguments.device, views=options.views(arguments))
    make_folder(out)
    with _progress(len(jobs)) as watch:
        summary = predict(segmenter, jobs, arguments.alpha, watch)
    if len(jobs) == 1 and summary.failed:
        raise SwathError(summary.failed[0])
    if summary.done:
        each = 1000 * summary.seconds / len(jobs)
        print(
            f"{summary.done} of {len(jobs)} pictures -> {out} ({', '.join(arguments.write)}), {each:.0f} ms a picture"
        )
    if not summary.failed:
        return 0
    for line in summary.failed:
        print(f"swath: {line}", file=sys.stderr)
    print(f"swath: {len(summary.failed)} of {len(jobs)} pictures were not segmented", file=sys.stderr)
    return 2


def _progress(total: int) -> AbstractContextManager[Callable[[Job], None]]:
    """A bar with the time left; silent where nobody watches."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Callable[[Job], None]]:
        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("", total=total)
            yield lambda job: progress.update(task, advance=1, description=job.picture.name)

    return bar()
