"""Any model of the timm library as an encoder, for decoders that take any: `timm:<name>` (extra `swath[timm]`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.encoders.encoder import Encoder


class TimmEncoder(Encoder):
    """Wraps timm's `features_only` form of a model. Nothing is ever downloaded."""

    body: nn.Module

    def __init__(self, name: str, in_channels: int = 3, output_stride: int = 32):
        # Not every model of timm knows `output_stride`, so it is only handed on where it matters.
        options: dict[str, Any] = {"features_only": True, "in_chans": in_channels}
        if output_stride != 32:
            options["output_stride"] = output_stride
        body = _create(name, **options)
        info = body.feature_info
        super().__init__((), (), info.channels(), info.reduction())
        self.name = name
        self.options = options
        self.body = body

    def forward(self, x: Tensor) -> list[Tensor]:
        # Some transformers answer N x H x W x C.
        return [
            each if each.shape[1] == channels else each.permute(0, 3, 1, 2)
            for each, channels in zip(self.body(x), self.channels)
        ]

    def start_from(self, path: Path) -> None:
        """Load a local checkpoint of the whole classifier through timm, which renames it for `features_only`."""
        if path.suffix != ".safetensors":
            raise SwathError(f"{path}: timm encoders start from .safetensors only; others could run code when read")
        if not path.is_file():
            raise SwathError(f"{path}: no such file; give the path of a .safetensors checkpoint of timm:{self.name}")
        self.body = _create(self.name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **self.options)


def _create(name: str, **options: Any) -> Any:
    try:
        import timm
    except ImportError as error:
        raise SwathError(f"encoder 'timm:{name}' needs timm, which is not there: pip install 'swath[timm]'") from error
    try:
        return timm.create_model(name, **options)
    except (RuntimeError, TypeError, ValueError, AttributeError, OSError) as error:
        raise SwathError(f"timm cannot build encoder '{name}' with {options}: {error}") from error
