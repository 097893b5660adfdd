"""ONNX, by torch's own exporter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swath.deploy.graph import Precision, free_sides, of_precision
from swath.errors import SwathError
from swath.inference.description import KEY, Description
from swath.quiet import quiet


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """One self-contained file with a free batch and, unless it is for one size, a free height and width."""
    program = convert(of_precision(module, precision), description, example)
    program.model.metadata_props[KEY] = description.as_json()
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces with this machine's paths, three quarters of a small file
        # ONNX Runtime 1.31, in 8 bits, counts what lies beyond the last row in ceil mode, if padding counts; without
        # padding there is nothing to count.
        if node.op_type == "AveragePool" and not any(node.attributes.get_ints("pads", [])):
            node.attributes.pop("count_include_pad", None)
    program.save(str(path), external_data=False)


def convert(module: nn.Module, description: Description, example: Tensor) -> Any:
    """The module as torch's `ONNXProgram`."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SwathError(f"--to onnx needs the package '{error.name}'; pip install 'swath[onnx]'") from error
    with quiet("torch.onnx", "torch.export", "onnxscript", "onnx_ir", prints=True):
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=["image"],
            output_names=["labels" if description.finish == "inside" else "logits"],
            dynamic_shapes=free_sides(description),
        )
    assert program is not None  # with dynamo=True the exporter always gives one
    return program
