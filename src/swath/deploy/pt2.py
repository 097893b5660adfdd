"""`.pt2`: a `torch.export` program, for torch without swath (and for its compilers)."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges

from swath.deploy.graph import Precision, free_sides, of_precision
from swath.inference.description import KEY, Description
from swath.quiet import quiet


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """A program with a free batch and, unless it is for one size, a free height and width."""
    with quiet(), torch.no_grad():
        program = program_of(of_precision(module, precision), description, example)
        buffer = io.BytesIO()  # given a path, it would name the archive after the temporary file
        torch.export.save(program, buffer, extra_files={KEY: description.as_json()})
    path.write_bytes(buffer.getvalue())


def program_of(module: nn.Module, description: Description, example: Tensor) -> ExportedProgram:
    program = torch.export.export(module, (example,), dynamic_shapes=free_sides(description))
    _free_small_sizes(program, description)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # this machine's paths
    return program


def _free_small_sizes(program: ExportedProgram, description: Description) -> None:
    """Tracing notes that no inner map was one pixel, and from that forbids pictures that small. Its guess is about
    memory layouts; the operators take them, and the check tries the smallest size. Guards that say the same stay in the
    file: `program.module(check_guards=False)` leaves them out."""
    image = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == "image")
    for side, least in zip(image.meta["val"].shape, (1, *description.min_size)):
        if isinstance(side, int):  # of a file for one size
            continue
        program.range_constraints[side.node.expr] = ValueRanges(least, int_oo)
