"""A guard that finds, on the CPU, what would stop the pipeline of a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host look at, or a shape depend on, numbers of the device; and, where `constants` are
    forbidden, tensors made from Python's numbers, which are carried to the device and waited for."""

    forbidden = ("_local_scalar_dense", "item", "nonzero", "masked_select", "unique", "bincount", "equal", "is_nonzero")

    def __init__(self, constants: bool = True):
        super().__init__()
        self.refused = self.forbidden if constants else (*self.forbidden, "lift_fresh")

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        name = function.overloadpacket.__name__
        assert not name.startswith(self.refused), f"{name} waits for the device"
        if name == "_to_copy" and (to := (more or {}).get("device")):
            assert torch.device(to).type == given[0].device.type, "a copy between devices is waited for"
        if name == "copy_":
            assert given[0].device.type == given[1].device.type, "a copy between devices is waited for"
        if name in ("index", "index_put", "index_put_"):
            assert not any(each is not None and each.dtype == torch.bool for each in given[1]), f"{name} by a mask"
        return function(*given, **(more or {}))
