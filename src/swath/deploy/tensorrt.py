"""`.engine`: TensorRT's plans, built from our ONNX on the GPU that shall run them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swath.deploy import onnx
from swath.deploy.graph import LabelsOut, Precision, of_precision
from swath.deploy.sidefile import write_beside
from swath.errors import SwathError
from swath.inference.description import Description

BATCH = 8  # the most pictures at a time
LIKELY = (512, 1024)  # height and width that a plan for any size is tuned for
LARGEST = (1088, 2048)


class FloatBetween(nn.Module):
    """TensorRT knows uint8 only where a graph begins and ends, and there only next to a float."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> Tensor:
        values = image.float()
        if isinstance(self.module, LabelsOut):
            return self.module.classes(values).float().to(torch.uint8)
        answer: Tensor = self.module(values)
        return answer


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """A plan; what it computes with is what the graph says, operator by operator."""
    try:
        import tensorrt as trt
    except ImportError as error:
        raise SwathError(
            "--to tensorrt builds on the GPU that shall run it and needs TensorRT there; pip install "
            "'swath[tensorrt]', or carry --to onnx to it and build by `trtexec --onnx=model.onnx`"
        ) from error
    with tempfile.TemporaryDirectory(prefix=".tensorrt.", dir=path.parent) as scratch:
        source = Path(scratch) / "model.onnx"
        write_onnx(module, description, example, source, precision)
        path.write_bytes(_build(trt, source.read_bytes(), shapes(description)))
    write_beside(path, description)


def write_onnx(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """The ONNX file that TensorRT's parser takes."""
    onnx.write(FloatBetween(of_precision(module, precision)), description, example, path)


def shapes(description: Description) -> tuple[tuple[int, ...], ...]:
    """Of pictures: the least, the likely and the largest; what a plan is tuned for, and all that it takes."""
    if description.shape is not None:
        sides = [description.shape] * 3
    else:
        least = _up(description.min_size, description.multiple)
        sides = [
            least,
            _up((max(least[0], LIKELY[0]), max(least[1], LIKELY[1])), description.multiple),
            _up((max(least[0], LARGEST[0]), max(least[1], LARGEST[1])), description.multiple),
        ]
    return tuple((batch, *each, description.channels) for batch, each in zip((1, 1, BATCH), sides))


def _up(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def _build(trt: Any, source: bytes, profile_shapes: tuple[tuple[int, ...], ...]) -> bytes:
    logger = trt.Logger(trt.Logger.ERROR)
    try:
        builder = trt.Builder(logger)
    except TypeError as error:  # how its binding says that there is no GPU
        raise SwathError("--to tensorrt found no NVIDIA GPU here; run it on the machine with the GPU") from error
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(source):
        reasons = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise SwathError(f"--to tensorrt: its parser does not take this network ({reasons[:300]}); try --to onnx")
    profile = builder.create_optimization_profile()
    profile.set_shape("image", *profile_shapes)
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SwathError("--to tensorrt: no plan could be built, its own lines above say why; try another --size")
    return bytes(plan)
