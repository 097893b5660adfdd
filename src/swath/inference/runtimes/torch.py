"""Torch as the engine: a network in memory, a TorchScript file, a `.pt2` program."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from swath.errors import SwathError, unknown
from swath.inference.description import KEY, Description
from swath.networks import Network, fuse

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class PixelsIn(nn.Module):
    """The network as it is deployed: pixels in (uint8, N x H x W x C, RGB), preprocessing inside, logits out."""

    def __init__(self, network: Network, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.normalise = network.preprocess.module()
        self.network = network
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        # Pixels lie channels-last in memory already, which is also what convolutions like best. The size is the
        # caller's to keep (Description.min_size): here, in a traced graph, it is a symbol.
        values: Tensor = self.normalise(image.permute(0, 3, 1, 2)).to(self.dtype)
        output = self.network.forward_logits(values)
        logits: Tensor = output["segmentation"] if isinstance(output, dict) else output
        return logits


class TorchRuntime:
    """Any torch callable from pixels to logits or labels."""

    def __init__(self, module: Callable[[Tensor], Tensor], description: Description, device: str, engine: str):
        self.module = module
        self.description = description
        self.device = device
        self.engine = engine

    def run(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.module(pixels.to(self.device))


def from_network(
    network: Network, device: str = "cpu", *, optimise: bool = True, dtype: str = "float32"
) -> TorchRuntime:
    """Run `network` in eval mode. `optimise` works on a copy: batch norms folded, weights channels-last; without it
    the network itself is used, where it is, and must be in eval mode."""
    check_task(network)
    description = Description.of(network)
    if not optimise:
        device = str(next(network.parameters()).device)
        return TorchRuntime(PixelsIn(network).to(device), description, device, f"torch {torch.__version__}")
    check_device(device)
    if dtype not in DTYPES:
        raise unknown("precision", dtype, DTYPES)
    # Folded in float32 and only then rounded; the preprocessing stays in float32.
    fast = fuse(network).to(DTYPES[dtype]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    engine = f"torch {torch.__version__}, fused, channels last"
    return TorchRuntime(PixelsIn(fast, DTYPES[dtype]).to(device), description, device, engine)


def check_task(network: Network) -> None:
    """Refuse a network that makes no label maps of pictures."""
    if list(network.inputs) != ["image"] or "segmentation" not in network.tasks:
        raise SwathError(
            f"{network.name} takes {' and '.join(network.inputs)} and answers {' and '.join(network.tasks)}; "
            "label maps are made by networks that take pictures and answer segmentation"
        )


def load_torchscript(path: Path, device: str = "cpu") -> TorchRuntime:
    check_device(device)
    extra = {KEY: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=device, _extra_files=extra
            )
    except (RuntimeError, ValueError) as error:
        raise SwathError(
            f"{path}: is not a readable TorchScript file ({first_line(error)}); "
            "export it again with `swath export WEIGHTS --to torchscript`"
        ) from error
    text = extra[KEY]
    description = Description.from_json(text.decode() if isinstance(text, bytes) else text, path)
    return TorchRuntime(module.eval(), description, device, f"TorchScript in torch {torch.__version__}")


def load_pt2(path: Path, device: str = "cpu") -> TorchRuntime:
    from torch.export.passes import move_to_device_pass

    check_device(device)
    extra = {KEY: ""}
    try:
        program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # the reader raises whatever a damaged archive makes its parts raise
        raise SwathError(
            f"{path}: is not a readable .pt2 program ({first_line(error)}); "
            "export it again with `swath export WEIGHTS --to pt2`"
        ) from error
    description = Description.from_json(extra[KEY], path)
    if device != "cpu":
        program = move_to_device_pass(program, device)
    # The guards forbid small pictures for no reason of the operators (deploy/pt2.py).
    return TorchRuntime(
        program.module(check_guards=False), description, device, f"torch.export in torch {torch.__version__}"
    )


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    try:
        kind = torch.device(device).type
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SwathError(f"device '{device}' cannot be used here ({first_line(error)}); try --device cpu") from error
    if kind == "meta":
        raise SwathError("device 'meta' holds no values; try --device cpu")


def first_line(error: BaseException) -> str:
    """What an exception says, short enough for a line of ours."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
