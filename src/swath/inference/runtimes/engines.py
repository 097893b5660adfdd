"""Which engines there are, which of them this machine has, and what to install for the others. Imports none of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass

from swath.errors import SwathError, unknown

WEIGHTS = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to run a network."""

    title: str  # for people
    packages: tuple[str, ...]  # that must be there; the first one's version is the engine's
    extra: str  # pip install 'swath[extra]'
    opens: tuple[str, ...]  # endings of files; the engine that comes first below is a file's default
    devices: tuple[str, ...] = ()  # none: whatever torch finds


# Of weights, ONNX Runtime and OpenVINO run what torch's exporter makes of them, for which they need its packages too.
CONVERTER = ("onnx", "onnxscript", "onnxruntime")
CONVERTED = {"onnxruntime": ".onnx", "openvino": ".onnx", "tensorrt": ".engine"}  # what they open instead of weights

ENGINES = {
    "torch": Engine(
        title="torch",
        packages=("torch",),
        extra="",
        opens=(WEIGHTS, ".pt2", ".pt", ".ts"),
    ),
    "compiled": Engine(
        title="torch.compile", packages=("torch",), extra="", opens=(WEIGHTS,), devices=("cpu", "cuda", "xpu")
    ),
    "graphs": Engine(title="CUDA graphs", packages=("torch",), extra="", opens=(WEIGHTS,), devices=("cuda",)),
    "onnxruntime": Engine(
        title="ONNX Runtime",
        packages=("onnxruntime",),
        extra="onnx",
        opens=(".onnx", WEIGHTS),
        devices=("cpu", "cuda", "mps"),
    ),
    "openvino": Engine(
        title="OpenVINO", packages=("openvino",), extra="openvino", opens=(".xml", ".onnx", WEIGHTS), devices=("cpu",)
    ),
    "tensorrt": Engine(
        title="TensorRT",
        packages=("tensorrt",),
        extra="tensorrt",
        opens=(".engine", WEIGHTS),
        devices=("cuda",),
    ),
    "aotinductor": Engine(
        title="AOTInductor", packages=("torch",), extra="", opens=(".aoti",), devices=("cpu", "cuda", "xpu")
    ),
    "executorch": Engine(
        title="ExecuTorch", packages=("executorch",), extra="executorch", opens=(".pte",), devices=("cpu",)
    ),
}
KINDS = (WEIGHTS, ".onnx", ".pt2", ".pt", ".ts", ".xml", ".engine", ".aoti", ".pte")


def check_engine(name: str, ending: str, device: str) -> None:
    """Refuse an engine that does not exist, does not open such a file, or cannot run here, and say what does."""
    base = name.partition(":")[0]
    if base not in ENGINES:
        raise unknown("engine", name, ENGINES)
    here = ", ".join(present(ending, device)) or "none"
    if ending not in ENGINES[base].opens:
        raise SwathError(
            f"engine '{name}' does not run {ending} files, it runs {', '.join(ENGINES[base].opens)}; "
            f"here these run {ending}: {here}"
        )
    if reason := absence(base, ending, device):
        raise SwathError(f"engine '{name}' {reason}; here there is: {here}")


def default_engine(ending: str) -> str:
    """The engine of a file that nobody chose one for. OpenVINO opens .onnx too, but is no one's default there."""
    if ending == WEIGHTS:
        return "torch"
    return next(name for name, engine in ENGINES.items() if ending in engine.opens)


def present(ending: str, device: str) -> list[str]:
    """The engines that can run such a file here."""
    return [name for name, engine in ENGINES.items() if ending in engine.opens and not absence(name, ending, device)]


def absence(name: str, ending: str, device: str) -> str:
    """Why an engine cannot run here and what to do about it, as the end of a sentence; empty where it can."""
    engine = ENGINES[name]
    kind = device.partition(":")[0]
    if engine.devices and kind not in engine.devices:
        return f"does not run on device '{device}', it runs on {', '.join(engine.devices)}"
    if any(not _installed(package) for package in engine.packages):
        return f"needs {engine.title}, which is missing; pip install 'swath[{engine.extra}]'"
    if ending == WEIGHTS and name in CONVERTED and any(not _installed(package) for package in CONVERTER):
        extras = "onnx" if engine.extra == "onnx" else f"onnx,{engine.extra}"
        return f"runs weights by way of ONNX, whose packages are missing; pip install 'swath[{extras}]'"
    if name == "compiled" and kind == "cpu" and not has_compiler():
        return "needs a C++ compiler, which is missing; install g++ or clang, or set CXX"
    if name == "compiled" and kind == "cuda" and not _installed("triton"):
        return "needs Triton, which is missing; pip install triton"
    return ""


def has_compiler() -> bool:
    """Whether torch.compile finds what makes its kernels."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["cl"] if sys.platform == "win32" else ["g++", "clang++"]
    return any(shutil.which(name) for name in names)


def engine_name(name: str) -> str:
    """`openvino` -> `OpenVINO 2026.4`, of what is installed."""
    engine = ENGINES[name.partition(":")[0]]
    more = name.partition(":")[2]
    return f"{engine.title} {'.'.join(version(name).split('.')[:2])}{f' ({more})' if more else ''}"


def version(name: str) -> str:
    """The version of an engine's package."""
    package = ENGINES[name.partition(":")[0]].packages[0]
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # onnxruntime-gpu, tensorrt_cu13: the same package by other names
        return importlib.metadata.version(importlib.metadata.packages_distributions()[package][0])


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
