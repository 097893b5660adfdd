"""`swath export`: weights to a file for another engine, compared with the original before it is kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swath.cli import options
from swath.errors import SwathError

if TYPE_CHECKING:
    from swath.deploy import Report
    from swath.networks import Network

HELP = "turn weights into a certified bundle for another engine, or a web page"
EXAMPLES = """
  swath export best.safetensors --to onnx                       best-onnx/: model.onnx and what proves it right
  swath export best.safetensors --to openvino --precision fp16  weights in halves, a file of half the size
  swath export best.safetensors --to executorch --size 512x256  for phones and boards; one size
  swath export best.safetensors --to tensorrt --precision fp16  on the machine with the GPU
  swath export best.safetensors --to aot                        machine code for processors like this one (takes g++)
  swath export best.safetensors --to onnx --finish inside       uint8 pixels in, uint8 labels out
  swath export best.safetensors --to onnx --out best.onnx       the model file alone
  swath export best.safetensors --to onnx --picture street.jpg  compare on your pictures too
  swath export best.safetensors --to web --out site/            a static page: pictures, videos, the camera
  swath export best.safetensors --to web --picture street.jpg   with a sample on it; see it by
                                                                `python -m http.server -d best-site`

What goes in is `image`: uint8, batch x height x width x channels, RGB; any size the network takes, or the one of
--size. What comes out is `labels` (uint8, batch x height x width) or `logits` (float32, batch x classes x
height/stride x width/stride); everything else, such as class names and how to enlarge logits, stands as JSON in the
file under the key `swath`. A bundle is a folder: the model, bundle.json, pictures with the labels that must come out,
verify.py for devices without swath, README.txt with the lines of code; `swath verify BUNDLE` re-runs it anywhere.

A site (--to web) holds the network and onnxruntime-web; any static host serves it, no request leaves it. The runtime is
fetched once, through npm where that is installed, and kept in the cache folder.
"""
# The keys of swath.deploy.FORMATS, which would import torch; a test holds them together.
FORMATS = ("onnx", "openvino", "tensorrt", "executorch", "pt2", "aot", "torchscript", "web")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="a .safetensors file")
    parser.add_argument(
        "--to", required=True, choices=FORMATS, help="what to make (torchscript: torch has deprecated it)"
    )
    parser.add_argument(
        "--finish",
        choices=("outside", "inside"),
        default="outside",
        help="outside: logits come out, and swath's own engines finish them fastest; inside: labels come out "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--size", type=options.size, metavar="WxH", help="for pictures of this size alone (default: any)"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16"),
        default="fp32",
        help="what it computes with; of openvino: how weights are stored (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="a folder for the bundle (default: WEIGHTS-FORMAT beside the weights), or a file with the format's ending "
        "for the model alone; of web the site's folder",
    )
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
    from swath.weights import beside, load_weights, weights_file

    weights = weights_file(arguments.weights)
    if weights.suffix != ".safetensors":
        raise SwathError(
            f"{weights}: only .safetensors weights can be exported; exported files cannot be exported again"
        )
    network = load_weights(weights)
    place = beside(weights)
    if arguments.to == "web":
        return _site(arguments, network, place)
    if arguments.runtime or arguments.no_webgpu:
        raise SwathError("--runtime and --no-webgpu go with --to web")
    return _model(arguments, network, place)


def _model(arguments: argparse.Namespace, network: Network, place: Path) -> int:
    """A bundle, or the model file alone, by default named after `place`."""
    import torch
    from rich.console import Console

    from swath import deploy
    from swath.data import read_image
    from swath.deploy.bundle import files_of

    out = Path(arguments.out) if arguments.out else place.with_name(f"{place.stem}-{arguments.to}")
    alone = out.suffix in deploy.FORMATS.values()
    pictures = [(Path(each).name, torch.from_numpy(read_image(each))[None]) for each in arguments.picture]
    with Console(stderr=True).status(f"making {out} and comparing it with the original"):
        report = (deploy.export if alone else deploy.bundle)(
            network,
            out,
            arguments.to,
            finish=arguments.finish,
            size=arguments.size,
            precision=arguments.precision,
            pictures=pictures,
        )
    _print(report)
    facts = f"{network.quantised or arguments.precision}, finish {arguments.finish}"
    if alone:
        files = [path for path in (out, out.with_suffix(".bin")) if arguments.to == "openvino" or path == out]
        print(f"wrote {out} ({sum(path.stat().st_size for path in files) / 1e6:.2f} MB, {facts})")
    else:
        names = files_of(out)
        model = sum((out / name).stat().st_size for name in names if name.startswith("model."))
        print(f"wrote {out} ({len(names)} files, the model {model / 1e6:.2f} MB, {facts}); try it: swath verify {out}")
    return 0


def _site(arguments: argparse.Namespace, network: Network, place: Path) -> int:
    from rich.console import Console

    from swath.deploy.web.site import export_site, files_of

    if arguments.finish == "inside":
        raise SwathError("--to web finishes in the page, which is faster; leave out --finish inside")
    if arguments.size or arguments.precision != "fp32":
        raise SwathError("--to web takes any size in float32; leave out --size and --precision")
    out = Path(arguments.out) if arguments.out else place.with_name(f"{place.stem}-site")
    with Console(stderr=True).status("writing the site, fetching what the cache lacks"):
        report = export_site(
            network, out, webgpu=not arguments.no_webgpu, runtime=arguments.runtime, pictures=arguments.picture
        )
    _print(report)
    sizes = [(out / name).stat().st_size for name in files_of(out)]
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
