"""`.aoti`: AOTInductor's package, the network as machine code for processors like this one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swath.deploy.graph import Precision, of_precision
from swath.deploy.pt2 import program_of
from swath.errors import SwathError
from swath.inference.description import KEY, Description
from swath.quiet import quiet


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """A package in torch's own zip; the description is its file `extra/swath`."""
    _need_compiler()
    from torch.export.pt2_archive._package import package_pt2

    with quiet("torch._inductor"), torch.no_grad():
        program = program_of(of_precision(module, precision), description, example)
        made: Any = torch._inductor.aot_compile(  # its guards would forbid small pictures (pt2.py)
            program.module(check_guards=False), (example,), options={"aot_inductor.package": True}
        )
        buffer = io.BytesIO()  # given a path, it would insist on another ending
        # The sources stay here: nothing loads them, and they hold this machine's paths.
        needed = [name for name in made if not str(name).endswith(".cpp")]
        package_pt2(buffer, aoti_files={"model": needed}, extra_files={KEY: description.as_json()})
    path.write_bytes(buffer.getvalue())


def _need_compiler() -> None:
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise SwathError(
            "--to aot compiles C++ on the machine that exports, and none of its compilers was found here; "
            "install g++ or clang++, or name one by CXX in the environment; --to onnx needs none"
        ) from error
