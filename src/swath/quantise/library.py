"""torchao, an optional package: PT2E, today's way to quantise a captured graph."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from swath.errors import SwathError
from swath.quiet import quiet

_PARTS = ("", ".quantize_pt2e", ".quantizer")


def torchao() -> Any:
    """The package's PT2E part; what it says about itself while it is imported is of use to nobody."""
    try:
        # Compiled parts that this build of torch has no use for; a class that torch has learnt to know by itself.
        with quiet("torchao", "torch.utils._pytree"):
            pt2e, *_ = (importlib.import_module(f"torchao.quantization.pt2e{part}") for part in _PARTS)
    except ImportError as error:
        raise SwathError("quantisation needs torchao: pip install 'swath[quant]'") from error
    # torch's own graphs say this whenever they are copied
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
    return pt2e
