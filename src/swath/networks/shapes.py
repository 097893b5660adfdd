"""Build and run networks for their shapes alone: no memory for weights, no arithmetic, a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._device import DeviceContext

# All keep their first argument's shape and type. On the meta device torch works each of them out in Python, which is
# most of the time that building and running take there.
_IN_PLACE = {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, torch.relu_}
_POINTWISE = {
    *(F.batch_norm, F.relu, F.relu6, F.leaky_relu, F.elu, F.prelu, F.silu, F.gelu, F.hardtanh, F.hardswish),
    *(F.dropout, F.dropout2d, F.sigmoid, torch.relu, torch.sigmoid, Tensor.relu, Tensor.sigmoid),
}
_PAIRWISE = {Tensor.add, Tensor.__add__, Tensor.mul, Tensor.__mul__, torch.add, torch.mul}


class ShapesOnly(DeviceContext):
    """`with ShapesOnly():` builds and runs networks on the meta device, where tensors have nothing but shapes."""

    def __init__(self) -> None:
        super().__init__("meta")  # type: ignore[no-untyped-call]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else kwargs.get("input")
        if func in _IN_PLACE:
            return first
        if isinstance(first, Tensor) and (func in _POINTWISE or (func in _PAIRWISE and _same_shape(args))):
            return first.detach()  # another tensor, as the real answer would be: the one that is traced by identity
        if func is F.interpolate:
            return _resized(*args, **kwargs)
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]


def _same_shape(args: Sequence[Any]) -> bool:
    return isinstance(args[0], Tensor) and isinstance(args[1], Tensor) and args[0].shape == args[1].shape


def _resized(input: Tensor, size: Any = None, scale_factor: Any = None, *_: Any, **__: Any) -> Tensor:
    sides = input.shape[2:]
    if size is None:
        factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor] * len(sides)
        size = [int(side * factor) for side, factor in zip(sides, factors)]
    elif not isinstance(size, Sequence):
        size = [size] * len(sides)
    return input.new_empty((*input.shape[:2], *size))
