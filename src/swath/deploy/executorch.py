"""`.pte`: ExecuTorch's programs for phones and boards, by XNNPACK where it has the operators."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from swath.deploy.graph import Precision, of_precision
from swath.deploy.sidefile import write_beside
from swath.errors import SwathError
from swath.inference.description import Description
from swath.inference.runtimes.executorch import LOGGERS
from swath.quiet import quiet


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """A program for one picture of one size: memory is planned when it is made, and for a free size it would be
    planned for the largest."""
    if description.shape is None:
        raise SwathError("--to executorch plans memory for one size; say which, such as --size 1024x512")
    with quiet(*LOGGERS), torch.no_grad():
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
        except ImportError as error:
            raise SwathError(
                "--to executorch needs ExecuTorch, which is missing; pip install 'swath[executorch]'"
            ) from error
        program = torch.export.export(of_precision(module, precision), (example[:1],))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(lowered.buffer)
    write_beside(path, description)
