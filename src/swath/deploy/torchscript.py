"""TorchScript. Torch has deprecated it; `.pt2` is its successor."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor, nn

from swath.deploy.graph import Precision, of_precision
from swath.inference.description import KEY, Description
from swath.quiet import quiet


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """A traced program. Sizes stay free because the networks take them from tensors; the check tries others."""
    module = of_precision(module, precision)
    with quiet(), torch.no_grad():
        traced = torch.jit.trace(module, (example,), check_trace=False)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()  # given a path, it would name the archive after the temporary file
        torch.jit.save(traced, buffer, _extra_files={KEY: description.as_json()})  # type: ignore[no-untyped-call]
    path.write_bytes(buffer.getvalue())
