"""Engines that run a network: each takes uint8 pixels and gives logits or labels."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import Tensor

from swath.errors import SwathError
from swath.inference.description import Description
from swath.inference.runtimes.engines import CONVERTED, ENGINES, KINDS, WEIGHTS, absence, check_engine, default_engine
from swath.networks import Network
from swath.weights import weights_file

__all__ = ["ENGINES", "KINDS", "Runtime", "model_file", "open_runtime", "runtime_of"]


class Runtime(Protocol):
    """`run` takes uint8 RGB pixels N x H x W x C that keep `description.min_size` and `.multiple`. It gives float
    logits N x classes x h x w, or uint8 labels N x H x W where `description.finish` is "inside". Several threads may
    call it at once."""

    description: Description
    engine: str  # what runs, for people
    device: str

    def run(self, pixels: Tensor) -> Tensor: ...


def open_runtime(
    path: str | Path,
    device: str = "cpu",
    engine: str | None = None,
    *,
    dtype: str = "float32",
    size: tuple[int, int] | None = None,
) -> Runtime:
    """The engine for a file; of a bundle's folder, for the model inside. Where `engine` names none, it is the one that
    was measured to be the fastest here for pictures of about `size`, else that of the file's ending."""
    path = model_file(Path(path))
    if path.suffix == WEIGHTS:
        from swath.weights import load_weights

        network = load_weights(path)
        if engine is None and dtype == "float32":
            engine = _measured(network, device, size)
        return runtime_of(network, device, engine, dtype=dtype)
    if dtype != "float32":
        raise SwathError(f"{path}: an exported file keeps its precision; leave {dtype} out, or give the weights")
    if engine is None and path.suffix == ".onnx" and device == "cpu":  # the one ending that several engines open
        engine = _measured(path, device, size)
    if engine is None:
        engine = default_engine(path.suffix)
        if reason := absence(engine, path.suffix, device):
            raise SwathError(f"{path}: {reason}")
    else:
        check_engine(engine, path.suffix, device)
    return _open(path, device, engine)


def runtime_of(
    network: Network,
    device: str = "cpu",
    engine: str | None = None,
    *,
    optimise: bool = True,
    dtype: str = "float32",
) -> Runtime:
    """An engine for a network in memory; what is no part of torch runs a file made of it, kept in the cache folder."""
    from swath.inference.runtimes import torch as engines

    engine = engine or "torch"
    if not optimise:
        if engine != "torch":
            raise SwathError(f"engine '{engine}' runs a network that was made faster; it goes with optimise=True only")
        return engines.from_network(network, device, optimise=False)
    if engine != "torch":
        check_engine(engine, WEIGHTS, device)
    base = engine.partition(":")[0]
    if base in CONVERTED:
        from swath.inference.runtimes import converted

        if dtype != "float32":
            raise SwathError(f"engine '{engine}' runs float32 here; {dtype} is for torch, compiled and graphs")
        engines.check_task(network)
        return _open(converted.prepare(network, CONVERTED[base], device), device, engine)
    runtime = engines.from_network(network, device, dtype=dtype)
    if base == "compiled":
        from swath.inference.runtimes.compiled import compiled

        return compiled(runtime)
    if base == "graphs":
        from swath.inference.runtimes.graphs import Graphs

        return Graphs(runtime)
    return runtime


def model_file(path: Path) -> Path:
    """The file to run: the path itself, the model in the bundle whose folder it is, or weights that come with swath."""
    path = weights_file(path)
    if path.is_dir():
        from swath.inference.runtimes.bundle import model_of

        path = model_of(path)
    if path.suffix not in KINDS:
        raise SwathError(f"{path}: is no file of weights that swath can run; it runs {', '.join(KINDS)}")
    if not path.is_file():
        raise SwathError(f"{path}: no such file; give weights that `swath train` wrote or a file of `swath export`")
    return path


def _measured(subject: Network | Path, device: str, size: tuple[int, int] | None) -> str | None:
    from swath.inference import fastest
    from swath.inference.runtimes.torch import check_device

    check_device(device)
    return fastest.chosen(subject, device, size)


def _open(path: Path, device: str, engine: str) -> Runtime:
    """An exported file, by an engine that is known to be here."""
    base, _, part = engine.partition(":")
    if base == "onnxruntime":
        from swath.inference.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(path, device, part)
    if base == "openvino":
        from swath.inference.runtimes.openvino import OpenVino

        return OpenVino(path, part)
    if base == "tensorrt":
        from swath.inference.runtimes.tensorrt import TensorRt

        return TensorRt(path, device)
    if base == "executorch":
        from swath.inference.runtimes.executorch import ExecuTorch

        return ExecuTorch(path)
    if base == "aotinductor":
        from swath.inference.runtimes.aoti import load_aoti

        return load_aoti(path, device)
    from swath.inference.runtimes import torch as engines

    return (engines.load_pt2 if path.suffix == ".pt2" else engines.load_torchscript)(path, device)
