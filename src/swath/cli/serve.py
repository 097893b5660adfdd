"""`swath serve`: a small HTTP service."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from swath.cli import opening, options
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.inference import Segmenter
    from swath.serve.server import Server

HELP = "answer pictures over HTTP with labels, run lengths, polygons"
EXAMPLES = """
  swath serve best.safetensors                                  http://127.0.0.1:8000, with a page to try it
  swath serve model.onnx --port 9000 --batch 16 --wait 10 --threads 4
  swath serve best.safetensors --host 0.0.0.0 --token "$TOKEN" --log json > access.jsonl
  curl --data-binary @street.jpg -H "Content-Type: image/jpeg" -o labels.png http://127.0.0.1:8000/segment
  curl -F picture=@a.jpg -F picture=@b.jpg "http://127.0.0.1:8000/segment?format=rle"
"""
LOGS = ("text", "json", "off")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help=".safetensors, an exported file (.onnx, .xml, .pt2, …), a bundle")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s, for this machine)")
    parser.add_argument("--port", type=_port, default=8000, help="0: any free one (default: %(default)s)")
    parser.add_argument("--token", help="clients must send Authorization: Bearer TOKEN (default: $SWATH_TOKEN)")
    parser.add_argument("--log", choices=LOGS, default="text", help="a line for each request (default: %(default)s)")
    work = parser.add_argument_group("batches")
    work.add_argument(
        "--batch", type=options.whole("--batch"), default=8, metavar="N", help="pictures at a time (default: 8)"
    )
    work.add_argument(
        "--wait", type=_milliseconds, default=0.005, metavar="MS", help="for others of one size (default: 5 ms)"
    )
    limits = parser.add_argument_group("limits")
    for name, default, unit, about in (
        ("queue", 64, "N", "pictures under way; who comes later is answered 503"),
        ("max-megabytes", 16, "MB", "of one request"),
        ("max-megapixels", 16, "MP", "of one picture"),
        ("timeout", 30, "S", "seconds from a request to its answer"),
        ("grace", 30, "S", "seconds to finish when told to stop"),
    ):
        kind = options.whole(f"--{name}")
        limits.add_argument(f"--{name}", type=kind, default=default, metavar=unit, help=f"{about} (default: {default})")
    options.add_unsure(parser)
    options.add_views(parser)
    options.add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    from swath.serve import check_installed

    check_installed()
    from swath.serve import gate
    from swath.serve.limits import Limits
    from swath.serve.server import serve

    token = arguments.token or os.environ.get("SWATH_TOKEN") or None
    if token and not re.fullmatch(r"[!-~]+", token):
        raise SwathError("--token: letters, digits and signs of ASCII without blanks are needed")
    options.set_threads(arguments.threads)
    segmenter = opening.segmenter(arguments, unsure=arguments.unsure)
    limits = Limits(
        batch=arguments.batch,
        wait=arguments.wait,
        queue=arguments.queue,
        megabytes=arguments.max_megabytes,
        megapixels=arguments.max_megapixels,
        timeout=arguments.timeout,
        grace=arguments.grace,
    )
    write = {"text": gate.text_line, "json": gate.json_line, "off": None}[arguments.log]
    return serve(segmenter, arguments.host, arguments.port, limits, token, write, _greeting(segmenter, bool(token)))


def _greeting(segmenter: Segmenter, token: bool) -> Callable[[Server], None]:
    """On stderr: stdout is for the log."""

    def greet(server: Server) -> None:
        import ipaddress
        import sys

        host = server.listening.getsockname()[0]
        classes = f"{segmenter.num_classes} classes, {segmenter.runtime.engine} on {segmenter.runtime.device}"
        print(f"{segmenter.name}: {classes}; {server.address}  (Ctrl-C ends it)", file=sys.stderr)
        if not token and not ipaddress.ip_address(host).is_loopback:
            print("swath: whoever reaches this machine can use it; --token keeps others out", file=sys.stderr)
        sys.stderr.flush()

    return greet


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise SwathError(f"--port '{text}': a number from 0 to 65535 is needed")
    return int(text)


def _milliseconds(text: str) -> float:
    return options.whole("--wait", 0)(text) / 1000
