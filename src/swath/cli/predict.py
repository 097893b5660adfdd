"""`swath predict`: pictures, videos and streams to label maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli import opening, options, predict_archive, predict_video
from swath.errors import SwathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from swath.inference.inputs import Job

HELP = "segment pictures, videos, cameras and streams into label maps"
EXAMPLES = """
  swath predict street.jpg                                     by weights that come with swath, into predicted/
  swath predict best.safetensors street.jpg --out out          out/street.png, out/street_overlay.jpg
  swath predict best.safetensors photos/ --out out             the tree of the folder is kept
  swath predict model.onnx 'photos/**/*.png' --out out --write labels
  swath predict best.safetensors photos/ --out out --engine openvino
  swath predict best.safetensors photos/ --out out --write labels,overlay,color --alpha 0.7
  swath predict best.safetensors photos/ --out out --unsure 0.6  what is less sure than that gets no class
  swath predict best.safetensors street.mp4 --out seen.mp4     every frame, at its own time
  swath predict best.safetensors street.mp4 --out out --write overlay,labels --smooth 0.5
  swath predict best.safetensors 0 --display                   the first camera, in a window
  swath predict best.safetensors rtsp://camera/stream --out seen.mp4 --jsonl shares.jsonl --deadline 100
  swath predict best.safetensors - --jsonl -                   from a pipe (MJPEG, PNG, y4m...) to lines
  swath predict best.safetensors photos/ --out out --engine ray                   an archive, by a whole cluster
  swath predict best.safetensors s3://b/photos --out s3://b/masks --engine ray --as parquet
"""
KINDS = ("labels", "overlay", "color")
OUT = "predicted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "weights",
        nargs="?",
        help=".safetensors, an exported file (.onnx, .xml, .pt2, …), a bundle, or the name of weights that come with "
        "swath (`swath models` stars them), which also serve where none are named",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="pictures, folders, patterns such as 'a/**/*.jpg'; or one video, camera (0), rtsp://... or - (a pipe)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help=f"folder for the results (default: {OUT}); for a video also a file such as seen.mp4",
    )
    parser.add_argument(
        "--write",
        type=options.words("--write", KINDS),
        metavar="WHAT",
        help="labels (palette PNG of class numbers), overlay, color; with commas (default: labels,overlay; "
        "of videos: overlay)",
    )
    parser.add_argument(
        "--alpha", type=options.share("--alpha"), default=0.5, help="strength of the overlay, 0 to 1 (default: 0.5)"
    )
    parser.add_argument("--legend", action="store_true", help="name the classes below what is drawn")
    options.add_unsure(parser)
    options.add_views(parser)
    predict_video.add_arguments(parser)
    options.add_engine(parser)
    predict_archive.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    arguments.weights, arguments.inputs = _weights_and_inputs([*filter(None, [arguments.weights]), *arguments.inputs])
    if predict_archive.wanted(arguments):
        return predict_archive.run(arguments)
    from swath.inference.streams.names import is_stream, shown

    streams = [name for name in arguments.inputs if is_stream(name)]
    if streams and len(arguments.inputs) > 1:
        raise SwathError(f"{shown(streams[0])}: videos and streams are segmented one at a time; name it alone")
    if streams:
        if Path(streams[0]).is_file() and not (arguments.jsonl or arguments.display):
            arguments.out = arguments.out or OUT
        return predict_video.run(arguments)
    predict_video.refuse(arguments)
    return _pictures(arguments)


def _weights_and_inputs(words: list[str]) -> tuple[str, list[str]]:
    """The first word names weights, unless it names what is to be segmented: then those of the package are meant."""
    import glob

    from swath.inference.inputs import PICTURES
    from swath.inference.runtimes import KINDS as ENDINGS
    from swath.inference.runtimes.bundle import LIST
    from swath.inference.streams.names import is_stream
    from swath.weights import shipped

    first, path = words[0], Path(words[0])
    model = path.suffix in ENDINGS or (path / LIST).is_file() or first in shipped.list_shipped()
    shows = is_stream(first) or path.is_dir() or glob.has_magic(first) or path.suffix.lower() in {*PICTURES, ".txt"}
    if len(words) > 1 and (model or not shows):
        return first, words[1:]
    if model and not is_stream(first):  # .ts is TorchScript, and a video
        raise SwathError(f"{first}: say what it is to segment: `swath predict {first} street.jpg`")
    print(f"weights: {shipped.told(shipped.DEFAULT)}", file=sys.stderr)
    return shipped.DEFAULT, words


def _pictures(arguments: argparse.Namespace) -> int:
    from swath.files import make_folder
    from swath.inference.inputs import plan
    from swath.inference.predict import predict

    out = Path(arguments.out or OUT)
    write = arguments.write or list(KINDS[:2])
    jobs = plan(arguments.inputs, out, write)
    options.set_threads(arguments.threads)
    work = opening.pictures([job.picture for job in jobs])
    segmenter = opening.segmenter(arguments, work, unsure=arguments.unsure)
    make_folder(out)
    with _progress(len(jobs)) as watch:
        summary = predict(segmenter, jobs, arguments.alpha, watch, arguments.legend)
    if len(jobs) == 1 and summary.failed:
        raise SwathError(summary.failed[0])
    if summary.done:
        each = 1000 * summary.seconds / len(jobs)
        print(f"{summary.done} of {len(jobs)} pictures -> {out} ({', '.join(write)}), {each:.0f} ms a picture")
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
