"""Descriptions that lie beside a file, and pictures that a file of a fixed batch takes one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference.description import Description


def beside(path: Path) -> Description:
    """Of formats that can hold nothing of their own: NAME.ENDING.json."""
    side = path.with_name(path.name + ".json")
    try:
        text = side.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SwathError(
            f"{side}: cannot be read; {path.suffix} files say nothing of themselves, so it must lie beside {path.name}"
        ) from error
    return Description.from_json(text, side)


def in_batches(run: Callable[[Tensor], Tensor], pixels: Tensor, batch: int | None) -> Tensor:
    """`run` over pictures, `batch` at a time where the file was exported for so many; the last few are filled up."""
    if batch is None or len(pixels) == batch:
        return run(pixels)
    answers = []
    for some in pixels.split(batch):
        full = torch.cat([some, some[-1:].expand(batch - len(some), *some.shape[1:])]) if len(some) < batch else some
        answers.append(run(full)[: len(some)])
    return torch.cat(answers)
