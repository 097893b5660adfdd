"""Encoders by name: image classifiers without their head, that answer a list of feature maps, finest first."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from swath.errors import SwathError, unknown

if TYPE_CHECKING:
    from swath.networks.encoders.encoder import Encoder

__all__ = ["create_encoder", "list_encoders"]

# name -> file in this folder, function in it, first argument
_ENCODERS: dict[str, tuple[str, str, Any]] = {
    **{f"resnet{depth}": ("resnet", "ResNet", depth) for depth in (18, 34, 50, 101, 152)},
    "mobilenetv2": ("mobilenetv2", "MobileNetV2", 1.0),
    "mobilenetv2_140": ("mobilenetv2", "MobileNetV2", 1.4),
    **{f"regnetx{size}": ("regnet", "RegNetX", size) for size in ("400mf", "800mf", "1p6gf", "3p2gf")},
    "nasnet_mobile": ("nasnet", "NASNetMobile", "nasnet_mobile"),
}


def list_encoders() -> list[str]:
    """The names that `create_encoder` knows."""
    return list(_ENCODERS)


def create_encoder(name: str, in_channels: int = 3, output_stride: int = 32, **options: Any) -> Encoder:
    """Build an encoder with fresh weights. `output_stride` 16 or 8 puts dilation where strides were.

    `timm:<name>` takes a model of the timm library, where that is installed.
    `options` are the keywords of the encoder's class (a ResNet's `stem`, a MobileNetV2's `expand_first`, ...).
    """
    if name.startswith("timm:"):
        from swath.networks.encoders.timm_encoder import TimmEncoder

        if options:
            raise SwathError(f"encoder {name}: has no option '{next(iter(options))}' here; leave it out")
        return TimmEncoder(name.removeprefix("timm:"), in_channels, output_stride)
    if name not in _ENCODERS:
        raise unknown("encoder", name, list_encoders())
    if output_stride not in (8, 16, 32):
        raise SwathError(f"encoder {name}: output_stride {output_stride} does not exist; use 32, 16 or 8")
    file, function, first = _ENCODERS[name]
    build = getattr(importlib.import_module(f"swath.networks.encoders.{file}"), function)
    known = [each for each in inspect.signature(build).parameters if each not in ("in_channels", "output_stride")][1:]
    for option in options:
        if option not in known:
            raise unknown(f"option of encoder {name}", option, known)
    encoder: Encoder = build(first, in_channels=in_channels, output_stride=output_stride, **options)
    return encoder
