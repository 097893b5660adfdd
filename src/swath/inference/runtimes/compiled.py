"""torch.compile: kernels made for this network on this machine, at the first picture (20 to 60 s), then kept on disk
by torch. The second size of pictures makes it compile once more, for all sizes."""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn

from swath.errors import SwathError
from swath.inference.runtimes.torch import TorchRuntime, first_line
from swath.quiet import quiet


def compiled(eager: TorchRuntime) -> TorchRuntime:
    """The same network, compiled."""
    assert isinstance(eager.module, nn.Module)
    module = torch.compile(eager.module)
    turn = threading.Lock()  # the compiler is not made for several threads; the kernels use all processors anyway

    def run(pixels: Tensor) -> Tensor:
        with turn, quiet():  # the compiler warns about its own business
            try:
                answer: Tensor = module(pixels)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                raise SwathError(
                    f"engine 'compiled' cannot compile this network here ({first_line(error)}); use --engine torch"
                ) from error
            return answer

    return TorchRuntime(run, eager.description, eager.device, eager.engine.replace("torch", "torch.compile", 1))
