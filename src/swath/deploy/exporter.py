"""Export, compare with the original, and only then give the file its name."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from torch import Tensor

from swath.deploy.graph import exportable
from swath.deploy.verify import Report, compare, hostile, real
from swath.errors import SwathError, unknown
from swath.files import atomic_path
from swath.inference import Segmenter
from swath.inference.description import Finish
from swath.networks import Network

# format -> the ending of its files
FORMATS = {"onnx": ".onnx", "torchscript": ".pt", "pt2": ".pt2"}


def export(
    network: Network,
    path: str | Path,
    to: str,
    *,
    finish: Finish = "outside",
    pictures: Iterable[tuple[str, Tensor]] = (),
) -> Report:
    """Write `network` to `path` in the format `to`. `finish` "outside" gives logits at the native stride, which swath's
    own engines finish fastest; "inside" gives labels. `pictures` (name, uint8 N x H x W x C) are compared besides the
    built-in ones. A file that answers differently is not kept."""
    path = Path(path)
    if to not in FORMATS:
        raise unknown("export format", to, FORMATS)
    if finish not in ("outside", "inside"):
        raise unknown("finish", finish, ("outside", "inside"))
    if network.quantised and to in ("pt2", "torchscript"):  # they would need torchao where they are read, or more
        raise SwathError(
            f"{network.name} computes with 8 bits ({network.quantised}), which --to {to} cannot hold; --to onnx can"
        )
    if path.suffix != FORMATS[to]:
        raise SwathError(f"{path}: a file of {to} ends in {FORMATS[to]}; name it {path.with_suffix(FORMATS[to]).name}")
    module, description, example = exportable(network, finish)
    original = Segmenter(copy.deepcopy(network).cpu().eval(), optimise=False)
    with atomic_path(path) as temporary:
        importlib.import_module(f"swath.deploy.{to}").write(module, description, example, temporary)
        exported = Segmenter(temporary)
        checks = compare(original, exported, chain(real(description), pictures, hostile(description)))
        report = Report(str(path), checks)
        if not report.passed:
            raise SwathError(_refusal(report))
    return report


def _refusal(report: Report) -> str:
    bad = report.worst()
    error = "" if bad.error is None else f", logits by {bad.error:.1e} of the largest"
    return (
        f"{report.path}: was not written: on '{bad.name}' ({bad.size[1]}x{bad.size[0]}) {bad.wrong} of {bad.pixels} "
        f"pixels differ from the original ({bad.limits.wrong:.2%} may){error}; "
        "try another format, and please report the network with this line"
    )
