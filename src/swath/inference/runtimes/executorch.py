"""ExecuTorch as the engine: what runs on phones, here for trying it out."""

from __future__ import annotations

import threading
from pathlib import Path

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference.runtimes.described import beside, in_batches
from swath.quiet import quiet, silence

LOGGERS = ("", "executorch", "torchao", "torch.export", "torch.utils._pytree")  # they report on themselves


class ExecuTorch:
    """A file of `swath export --to executorch`. It takes as many threads as the machine has cores."""

    def __init__(self, path: Path):
        import importlib.metadata

        with quiet(*LOGGERS):
            from executorch.runtime import Runtime

        self.description = beside(path)
        self.device = "cpu"
        self.engine = f"ExecuTorch {importlib.metadata.version('executorch')}"
        try:
            with silence():  # it tells of files that only boards with ARM have
                self._program = Runtime.get().load_program(str(path))
                self._forward = self._program.load_method("forward")
            sizes = self._forward.metadata.input_tensor_meta(0).sizes()
        except Exception as error:  # it raises RuntimeError for most, and what its loader happens to meet
            raise SwathError(
                f"{path}: is not a readable ExecuTorch program ({str(error).splitlines()[0][:200]}); export it again "
                "with `swath export WEIGHTS --to executorch`"
            ) from error
        self._batch = int(sizes[0])  # the most that it has memory for, too where the batch is free
        self._turn = threading.Lock()

    def run(self, pixels: Tensor) -> Tensor:
        return in_batches(self._run, pixels.cpu(), self._batch if self.description.shape else None)

    def _run(self, pixels: Tensor) -> Tensor:
        with self._turn:
            (answer,) = self._forward.execute([pixels.contiguous()])
            return torch.as_tensor(answer).clone()  # its memory is the program's, for the next picture
