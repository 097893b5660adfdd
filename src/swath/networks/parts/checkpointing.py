"""Activation checkpointing: a block keeps its inputs only, and runs again in the backward pass.

Today's answer to In-Place ABN (Rota Bulo, Porzi, Kontschieder, arXiv 1712.02616): more memory saved, no compiled code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, *inputs: Tensor) -> Any:
    """`block(*inputs)`, same answer, gradients, random numbers and running statistics; less memory while training."""
    if not (block.training and torch.is_grad_enabled()):
        return block(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Norms have seen this batch in the first run already: the second must not count it again."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked = norm.num_batches_tracked.clone()
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, kept):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
