"""Open the Segmenter that a command's flags ask for, and say which engine it runs and why."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.cli import options

if TYPE_CHECKING:
    from swath.bench.paying import Work
    from swath.inference import Segmenter, Views
    from swath.networks import Network


def segmenter(arguments: argparse.Namespace, work: Work | None = None, **more: Any) -> Segmenter:
    """By `--engine`; else by what was measured here, which is done now where the work is long enough."""
    from rich.console import Console

    from swath.inference import Segmenter

    path, device = arguments.weights, arguments.device
    views = options.views(arguments)
    if arguments.engine:
        with Console(stderr=True).status(f"opening {path} with {arguments.engine} (weights are converted once)"):
            return _told(Segmenter(path, device, engine=arguments.engine, views=views, **more), views)
    subject = _choosable(Path(path), device)
    if subject is None:
        return _told(Segmenter(path, device, views=views, **more), views)
    from swath.bench.paying import best_engine

    with Console(stderr=True).status("which engine is fastest here?"):
        found = best_engine(subject, device, work, views.settled(_learnt_side(subject)))
    engine = None
    if found is not None:
        engine, measured = found
        print(f"engine: {measured.told(engine)}", file=sys.stderr)
    elif isinstance(subject, Path):
        engine = "onnxruntime"
    opened = Segmenter(subject, device, engine=engine, views=views, **more)
    opened.name = str(path)
    return _told(opened, views)


def _learnt_side(subject: Network | Path) -> int | None:
    from swath.inference.description import Description
    from swath.networks import Network

    return Description.of(subject).learnt_side if isinstance(subject, Network) else None


def _told(opened: Segmenter, wished: Views) -> Segmenter:
    """Small networks of one dataset know things at the size at which they learnt them, and some weights say which."""
    if wished.as_learnt and (side := opened.views.short_side):
        print(f"pictures are shown with a short side of {side} pixels, as it learnt (--short-side)", file=sys.stderr)
    return opened


def _choosable(path: Path, device: str) -> Network | Path | None:
    """What several engines can run: weights, or an ONNX file."""
    from swath.inference.runtimes import model_file
    from swath.inference.runtimes.torch import check_device, check_task
    from swath.weights import load_weights

    path = model_file(path)
    if path.suffix == ".safetensors":
        check_device(device)
        network = load_weights(path)
        check_task(network)
        return network
    return path if path.suffix == ".onnx" and device == "cpu" else None


def fixed_engine(arguments: argparse.Namespace) -> str:
    """For scores and submissions, which must not depend on what was measured here: `--engine`, or that of the file."""
    from swath.inference.runtimes import model_file
    from swath.inference.runtimes.engines import default_engine

    engine: str = arguments.engine or default_engine(model_file(Path(arguments.weights)).suffix)
    return engine


def pictures(paths: list[Path]) -> Work | None:
    """So many pictures, and the size of the first that can be read."""
    from swath.bench.paying import Work
    from swath.data.images import image_size
    from swath.errors import SwathError

    for path in paths[:5]:
        try:
            return Work(len(paths), image_size(path))
        except SwathError:  # it is listed when its turn comes
            continue
    return None


def video(name: str) -> Work | None:
    """The frames of a file; None where nothing tells how many are to come."""
    import cv2

    from swath.bench.paying import Work
    from swath.inference.streams.capture import open_capture

    capture = open_capture(name) if Path(name).is_file() else None
    if capture is None:
        return None
    wanted = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    frames, height, width = (int(capture.get(each)) for each in wanted)
    capture.release()
    return Work(frames, (height, width)) if min(frames, height, width) > 0 else None
