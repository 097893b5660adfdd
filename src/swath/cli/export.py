"""`swath export`: weights to a file for another engine, compared with the original before it is kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.deploy import Report
    from swath.networks import Network

HELP = "turn weights into an ONNX, TorchScript or .pt2 file, or a web page"
EXAMPLES = """
  swath export best.safetensors --to onnx                       best.onnx: uint8 pixels in, logits out
  swath export best.safetensors --to onnx --finish inside       uint8 pixels in, uint8 labels out
  swath export best.safetensors --to pt2 --out model.pt2        a torch.export program
  swath export best.safetensors --to torchscript                deprecated in torch: prefer pt2
  swath export best.safetensors --to onnx --picture street.jpg  compare on your pictures too
  swath export best.safetensors --to web --out site/            a static page: pictures, videos, the camera
  swath export best.safetensors --to web --picture street.jpg   with a sample on it; see it by
                                                                `python -m http.server -d best-site`

What goes in is `image`: uint8, batch x height x width x channels, RGB; any size the network takes. What comes out is
`labels` (uint8, batch x height x width) or `logits` (float, batch x classes x height/stride x width/stride); everything
else, such as class names and how to enlarge logits, stands as JSON in the file under the key `swath`.

A site (--to web) holds the network and onnxruntime-web; any static host serves it, no request leaves it. The runtime is
fetched once, through npm where that is installed, and kept in the cache folder.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="a .safetensors file")
    parser.add_argument("--to", required=True, choices=("onnx", "torchscript", "pt2", "web"), help="what to make")
    parser.add_argument(
        "--finish",
        choices=("outside", "inside"),
        default="outside",
        help="outside: logits come out, and swath's own engines finish them fastest; inside: labels come out "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", help="where to; of web a folder (default: beside the weights)")
    parser.add_argument(
        "--picture",
        action="append",
        default=[],
        metavar="FILE",
        help="compare on this one as well; of web also a sample on the page",
    )
    parser.add_argument(
        "--runtime",
        metavar="PATH",
        help="of web: onnxruntime-web, a folder or its .tgz (default: the cache folder, then npm)",
    )
    parser.add_argument("--no-webgpu", action="store_true", help="of web: WASM alone, 27 MB less")


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
    if arguments.to == "web":
        return _site(arguments, network)
    if arguments.runtime or arguments.no_webgpu:
        raise SwathError("--runtime and --no-webgpu go with --to web")
    out = Path(arguments.out) if arguments.out else weights.with_suffix(FORMATS[arguments.to])
    pictures = [(Path(each).name, torch.from_numpy(read_image(each))[None]) for each in arguments.picture]
    report = export(network, out, arguments.to, finish=arguments.finish, pictures=pictures)
    _print(report)
    print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB, finish {arguments.finish})")
    return 0


def _site(arguments: argparse.Namespace, network: Network) -> int:
    from rich.console import Console

    from swath.deploy.web import export_site

    if arguments.finish == "inside":
        raise SwathError("--to web finishes in the page, which is faster; leave out --finish inside")
    weights = Path(arguments.weights)
    out = Path(arguments.out) if arguments.out else weights.with_name(f"{weights.stem}-site")
    with Console(stderr=True).status("writing the site, fetching what the cache lacks"):
        report = export_site(
            network, out, webgpu=not arguments.no_webgpu, runtime=arguments.runtime, pictures=arguments.picture
        )
    _print(report)
    sizes = [path.stat().st_size for path in out.iterdir()]
    print(f"wrote {out} ({len(sizes)} files, {sum(sizes) / 1e6:.1f} MB); see it: python -m http.server -d {out}")
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
