"""Engines that run a network: each takes uint8 pixels and gives logits or labels."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import Tensor

from swath.errors import SwathError
from swath.inference.description import Description


class Runtime(Protocol):
    """`run` takes uint8 RGB pixels N x H x W x C that keep `description.min_size` and `.multiple`. It gives float
    logits N x classes x h x w, or uint8 labels N x H x W where `description.finish` is "inside"."""

    description: Description
    engine: str  # what runs, for people
    device: str

    def run(self, pixels: Tensor) -> Tensor: ...


KINDS = (".safetensors", ".onnx", ".pt2", ".pt", ".ts")


def open_runtime(path: str | Path, device: str = "cpu") -> Runtime:
    """The engine for a file, by its ending."""
    path = Path(path)
    if path.suffix not in KINDS:
        raise SwathError(f"{path}: is no file of weights that swath can run; it runs {', '.join(KINDS)}")
    if not path.is_file():
        raise SwathError(f"{path}: no such file; give weights that `swath train` wrote or a file of `swath export`")
    if path.suffix == ".onnx":
        from swath.inference.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(path, device)
    from swath.inference.runtimes import torch as engines

    if path.suffix == ".safetensors":
        from swath.weights import load_weights

        return engines.from_network(load_weights(path), device)
    if path.suffix == ".pt2":
        return engines.load_pt2(path, device)
    return engines.load_torchscript(path, device)
