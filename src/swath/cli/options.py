"""Options that several commands share. Nothing heavy is imported here: parsers are built for `--help` too."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.inference import Views


def size(text: str) -> tuple[int, int]:
    """`1024x512` (width x height, as people write it) -> (height, width)."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})\s*", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise SwathError(f"size '{text}': write width x height in pixels, such as 1024x512")
    return int(match[2]), int(match[1])


def whole(option: str, least: int = 1) -> Callable[[str], int]:
    """A whole number of at least `least`; `option` is what the error calls it."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise SwathError(f"{option} '{text}': a whole number of {least} or more is needed")
        return int(text)

    return read


def number(option: str, low: float, high: float, wanted: str) -> Callable[[str], float]:
    """A number from `low` to `high`; `wanted` says so in words."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise SwathError(f"{option} '{text}': {wanted}")
        return value

    return read


def share(option: str) -> Callable[[str], float]:
    """A number from 0 to 1."""
    return number(option, 0, 1, "a number from 0 to 1 is needed")


def add_unsure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unsure",
        type=unsure,
        metavar="C",
        help="pixels less sure than this get no class but 'unsure', 255: a confidence such as 0.6, or 95%% for what "
        "`swath calibrate` stored for 95 %% right pixels",
    )


def unsure(text: str) -> float | str:
    """`0.6` -> 0.6, a confidence; `95%` -> itself, an accuracy that weights know the confidence for."""
    if re.fullmatch(r"\d+(\.\d+)?%", text.strip()):
        return text.strip()
    return number("--unsure", 0, 1, "a confidence from 0 to 1 is needed, or an accuracy such as 95%")(text)


def words(option: str, choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Some of `choices`, separated by commas."""

    def read(text: str) -> list[str]:
        from swath.errors import unknown

        chosen = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
        for word in chosen:
            if word not in choices:
                raise unknown(f"choice of {option}", word, choices)
        if not chosen:
            raise SwathError(f"{option}: name at least one of {', '.join(choices)}")
        return chosen

    return read


def add_engine(parser: argparse.ArgumentParser) -> None:
    """`--engine`, `--device` and `--threads`."""
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="torch, compiled, graphs, onnxruntime, openvino, tensorrt; onnxruntime:tensorrt and the like name what "
        "computes for it; ray: an archive, on a cluster (default: the fastest measured here, else that of the file)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    parser.add_argument(
        "--threads", type=whole("--threads"), metavar="N", help="processor threads (default: what torch chooses)"
    )


def add_views(parser: argparse.ArgumentParser, note: str = "") -> None:
    """`--size`, `--short-side`, `--scales`, `--flip`, `--window`, `--stride`."""
    group = parser.add_argument_group("what the network sees", note or None)
    group.add_argument("--size", type=size, metavar="WxH", help="resize every picture to this first")
    group.add_argument(
        "--short-side", type=whole("--short-side"), metavar="N", help="resize its shorter side to this, the shape stays"
    )
    group.add_argument("--scales", type=_scales, metavar="S,S,...", help="average over these scales of the picture")
    group.add_argument("--flip", action="store_true", help="average with the answer to the mirrored picture")
    group.add_argument("--window", type=size, metavar="WxH", help="window by window; overlaps are averaged")
    group.add_argument("--stride", type=size, metavar="WxH", help="between windows (default: 2/3 of them)")


def views(arguments: argparse.Namespace) -> Views:
    """What `add_views` asked for; pictures are shown as the network learnt, unless that says how large they are."""
    from swath.inference import Views

    sized = any((arguments.size, arguments.short_side, arguments.scales, arguments.window))
    return Views(
        as_learnt=not sized,
        size=arguments.size,
        short_side=arguments.short_side,
        scales=arguments.scales or (1.0,),
        flip=arguments.flip,
        window=arguments.window,
        stride=arguments.stride,
    )


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise SwathError(f"--scales '{text}': numbers with commas are needed, such as 0.5,1,1.5") from None


def set_threads(threads: int | None) -> None:
    """Give every engine the same number of threads."""
    if threads is not None:
        import cv2
        import torch

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
