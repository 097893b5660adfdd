"""`swath export`: weights to a file for another engine, compared with the original before it is kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.deploy import Report

HELP = "turn weights into an ONNX, TorchScript or .pt2 file that answers the same"
EXAMPLES = """
  swath export best.safetensors --to onnx                       best.onnx: uint8 pixels in, logits out
  swath export best.safetensors --to onnx --finish inside       uint8 pixels in, uint8 labels out
  swath export best.safetensors --to pt2 --out model.pt2        a torch.export program
  swath export best.safetensors --to torchscript                deprecated in torch: prefer pt2
  swath export best.safetensors --to onnx --picture street.jpg  compare on your pictures too

What goes in is `image`: uint8, batch x height x width x channels, RGB; any size the network takes. What comes out is
`labels` (uint8, batch x height x width) or `logits` (float, batch x classes x height/stride x width/stride); everything
else, such as class names and how to enlarge logits, stands as JSON in the file under the key `swath`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="a .safetensors file")
    parser.add_argument("--to", required=True, choices=("onnx", "torchscript", "pt2"), help="format of the file")
    parser.add_argument(
        "--finish",
        choices=("outside", "inside"),
        default="outside",
        help="outside: logits come out, and swath's own engines finish them fastest; inside: labels come out "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", help="where to (default: beside the weights)")
    parser.add_argument("--picture", action="append", default=[], metavar="FILE", help="compare on this one as well")


def run(arguments: argparse.Namespace) -> int:
    import torch

    from swath.data import read_image
    from swath.deploy import FORMATS, export
    from swath.weights import load_weights

    weights = Path(arguments.weights)
    if weights.suffix != ".safetensors":
        raise SwathError(
            f"{weights}: only .safetensors weights can be exported; exported files cannot be exported again"
        )
    network = load_weights(weights)
    out = Path(arguments.out) if arguments.out else weights.with_suffix(FORMATS[arguments.to])
    pictures = [(Path(each).name, torch.from_numpy(read_image(each))[None]) for each in arguments.picture]
    report = export(network, out, arguments.to, finish=arguments.finish, pictures=pictures)
    _print(report)
    print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB, finish {arguments.finish})")
    return 0


def _print(report: Report) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="compared with the original", title_justify="left")
    table.add_column("picture", no_wrap=True)
    for heading in ("size", "pixels differ", "ties of these", "logits off"):
        table.add_column(heading, justify="right", no_wrap=True)
    for check in report.checks:
        height, width = check.size
        differ = check.wrong + check.ties
        table.add_row(
            check.name,
            f"{width}x{height}",
            f"{differ / check.pixels:.4%}",
            str(check.ties),
            "" if check.error is None else f"{check.error:.1e}",
        )
    Console().print(table)
