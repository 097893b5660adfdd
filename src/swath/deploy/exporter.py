"""Export, compare with the original, and only then give the file its name."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from swath.deploy.folders import new_files
from swath.deploy.graph import PRECISIONS, Precision, example, exportable, of_size
from swath.deploy.pictures import fitting, hostile, real
from swath.deploy.verify import Report, Truth, compare, moved
from swath.errors import SwathError, unknown
from swath.inference import Segmenter, Views
from swath.inference.description import Finish
from swath.inference.runtimes.engines import default_engine
from swath.networks import Network

# format -> the ending of its files
FORMATS = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "tensorrt": ".engine",
    "executorch": ".pte",
    "pt2": ".pt2",
    "aot": ".aoti",
    "torchscript": ".pt",
}
_NO_INTEGERS = ("pt2", "torchscript", "aot", "executorch")  # they would need torchao where they are read, or more
_DEVICES = {"tensorrt": "cuda"}  # where a format runs if not on the processor


def export(
    network: Network,
    path: str | Path,
    to: str,
    *,
    finish: Finish = "outside",
    size: tuple[int, int] | None = None,
    precision: Precision = "fp32",
    pictures: Iterable[tuple[str, Tensor]] = (),
    witness: Callable[[Truth], Any] | None = None,
) -> Report:
    """Write `network` to `path` in the format `to`. `finish` "outside" gives logits at the native stride, which swath's
    own engines finish fastest; "inside" gives labels. `size` (height, width) makes a file for pictures of that size
    alone; without it any size goes. `pictures` (name, uint8 N x H x W x C) are compared besides the built-in ones,
    resized where the file has a size. A file that answers differently is not kept. `witness` is shown what the original
    answers to each picture."""
    path = Path(path)
    check_request(network, to, finish, precision)
    if path.suffix != FORMATS[to]:
        raise SwathError(f"{path}: a file of {to} ends in {FORMATS[to]}; name it {path.with_suffix(FORMATS[to]).name}")
    module, description, pixels = exportable(network, finish)
    if size is not None:
        description = of_size(description, size)
        pixels = example(description, network.deepest)
    own = ((name, fitting(each, description)) for name, each in pictures)
    with new_files(path) as temporary:
        importlib.import_module(f"swath.deploy.{to}").write(module, description, pixels, temporary, precision)
        del module
        engine = default_engine(path.suffix)  # of the format; another may be the fastest here
        exported = Segmenter(temporary, _DEVICES.get(to, "cpu"), engine=engine, views=Views())
        original = Segmenter(copy.deepcopy(network).cpu().eval(), optimise=False, views=Views())
        tried = chain(real(description), own, hostile(description))
        checks = compare(
            original, exported, tried, other=moved(network, precision), precision=precision, witness=witness
        )
        report = Report(str(path), checks)
        if not report.passed:
            raise SwathError(_refusal(report))
    return report


def check_request(network: Network, to: str, finish: str, precision: str) -> None:
    """Refuse what no export can be."""
    if to not in FORMATS:
        raise unknown("export format", to, FORMATS)
    if finish not in ("outside", "inside"):
        raise unknown("finish", finish, ("outside", "inside"))
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if network.quantised and to in _NO_INTEGERS:
        raise SwathError(
            f"{network.name} computes with 8 bits ({network.quantised}), which --to {to} cannot hold; --to onnx can"
        )
    if network.quantised and precision == "fp16":
        raise SwathError(
            f"{network.name} computes with 8 bits ({network.quantised}) and has no weights to halve; "
            "leave --precision fp16 out"
        )


def _refusal(report: Report) -> str:
    bad = report.worst()
    error = "" if bad.error is None else f", logits by {bad.error:.1e} of the largest ({bad.limits.error:.1e} may)"
    return (
        f"{report.path}: was not written: on '{bad.name}' ({bad.size[1]}x{bad.size[0]}) {bad.wrong} of {bad.pixels} "
        f"pixels differ from the original ({bad.limits.wrong:.2%} may){error}; "
        "try another format, and please report the network with this line"
    )
