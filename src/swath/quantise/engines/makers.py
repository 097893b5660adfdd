"""A network as an ONNX graph whose every layer computes with 8 bits, by one of three engines' tools."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swath.errors import SwathError, unknown
from swath.networks import Network
from swath.quantise.engines.graph import Model, exact
from swath.quantise.engines.pictures import Calibration
from swath.quiet import quiet


@dataclass(frozen=True)
class Engine:
    """A tool that quantises, and the file that comes of it."""

    name: str
    package: str
    extra: str  # of swath, that brings the package
    ending: str
    title: str


ENGINES = {
    each.name: each
    for each in (
        Engine("onnxruntime", "onnxruntime", "onnx", ".onnx", "ONNX Runtime's static quantisation"),
        Engine("openvino", "nncf", "openvino", ".xml", "NNCF for OpenVINO"),
        Engine("torchao", "torchao", "quant", ".onnx", "torchao's PT2E, biases corrected"),
    )
}


def engine_of(name: str) -> Engine:
    """The engine of that name, if its packages are there."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    engine = ENGINES[name]
    needed = [("onnx", "onnx"), ("onnxruntime", "onnx"), ("onnxscript", "onnx"), (engine.package, engine.extra)]
    if engine.ending == ".xml":
        needed.append(("openvino", "openvino"))
    for package, extra in needed:
        if not installed(package):
            raise SwathError(f"--engine {name} needs the package '{package}'; pip install 'swath[{extra}]'")
    return engine


def installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def quantised(
    engine: Engine, network: Network, plain: Path, pictures: Calibration, reduced: bool, folder: Path
) -> Model:
    """The graph with all layers in 8 bits. `plain` is the network's float graph; `folder` takes what comes between."""
    make = {"onnxruntime": _by_onnxruntime, "openvino": _by_nncf, "torchao": _by_torchao}[engine.name]
    with quiet("", prints=True), np.errstate():  # one of them changes numpy's settings
        return make(network, plain, pictures, reduced, folder)


def _by_onnxruntime(_: Network, plain: Path, pictures: Calibration, reduced: bool, folder: Path) -> Model:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(pictures)

        def get_next(self) -> dict[str, Any] | None:
            pixels = next(self.rest, None)
            return None if pixels is None else {"image": pixels.numpy()}

    out = folder / "onnxruntime.onnx"
    quantize_static(
        str(plain),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduced,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=exact(onnx.load(str(plain))),
    )
    return onnx.load(str(out))


def _by_nncf(_: Network, plain: Path, pictures: Calibration, reduced: bool, __: Path) -> Model:
    os.environ.setdefault("NNCF_CI", "1")  # else it tells its makers of every use
    import nncf
    import onnx
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    nncf.set_log_level(logging.ERROR)
    model = onnx.load(str(plain))
    return nncf.quantize(
        model,
        nncf.Dataset(list(range(len(pictures))), lambda place: {"image": pictures[place].numpy()}),
        subset_size=len(pictures),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(names=exact(model)),
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if reduced else OverflowFix.DISABLE
        ),
    )


def _by_torchao(network: Network, _: Path, pictures: Calibration, reduced: bool, folder: Path) -> Model:
    import onnx

    from swath.deploy import export
    from swath.quantise.calibrate import calibrate

    out = folder / "torchao.onnx"
    export(calibrate(network, pictures, reduce_range=reduced), out, "onnx")
    return onnx.load(str(out))
