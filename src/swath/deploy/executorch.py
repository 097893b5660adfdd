"""`.pte`: ExecuTorch's programs for phones and boards, by XNNPACK where it has the operators."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from swath.deploy.graph import Precision, of_precision
from swath.deploy.sidefile import write_beside
from swath.errors import SwathError
from swath.inference.description import Description


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """A program for one picture of one size: memory is planned when it is made, and for a free size it would be
    planned for the largest."""
    if description.shape is None:
        raise SwathError("--to executorch plans memory for one size; say which, such as --size 1024x512")
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise SwathError(
            "--to executorch needs ExecuTorch, which is missing; pip install 'swath[executorch]'"
        ) from error
    with _quiet(), torch.no_grad():
        program = torch.export.export(of_precision(module, precision), (example[:1],))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(lowered.buffer)
    write_beside(path, description)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The lowering reports on itself; none of it is of use to a person here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
