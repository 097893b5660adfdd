"""EdgeAI-Lite's checkpoints with one picture and one task: `encoder.…`, then `decoders.0.…`.

A plain MobileNetV2 and its fast-downsampling form have the same tensors: the file cannot say which of both it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from swath.weights.imports.layout import ImportLayout, encoder_names

_MOBILENETS = ("mobilenetv2", "mobilenetv2_fd", "mobilenetv2_1p4")
_REGNETS = ("regnetx400mf", "regnetx800mf", "regnetx1p6gf", "regnetx3p2gf")
_DECODERS = {"shortcut": "deeplabv3plus_lite", "fpn": "fpn_lite", "unet": "unet_lite"}
_HEAD = "decoders.0.pred.1.0.weight"
_mobilenet = encoder_names("MobileNetV2 (torchvision)")
_regnet = encoder_names("RegNetX (pycls)")


def _decoder(tensors: Mapping[str, Tensor]) -> str | None:
    parts = {key.split(".")[2] for key in tensors if key.startswith("decoders.0.")}
    return next((name for part, name in _DECODERS.items() if part in parts), None)


def _which_mobilenet(tensors: Mapping[str, Tensor]) -> list[str]:
    decoder = _decoder(tensors)
    wide = tensors["encoder.features.0.0.weight"].shape[0] == 48
    encoders = _MOBILENETS[2:] if wide else _MOBILENETS[:2]
    return [f"{decoder}_{encoder}" for encoder in encoders] if decoder else []


def _which_regnet(tensors: Mapping[str, Tensor]) -> list[str]:
    decoder = _decoder(tensors)
    width = tensors["encoder.s1.b1.f.a.weight"].shape[0]
    encoder = dict(zip((32, 64, 72, 96), _REGNETS)).get(width)
    return [f"{decoder}_{encoder}"] if decoder and encoder else []


def _rename(key: str) -> str | None:
    if key.startswith("encoder."):
        name = _mobilenet(key.removeprefix("encoder.")) or _regnet(key.removeprefix("encoder."))
        return f"encoder.{name}" if name else None
    if match := re.fullmatch(r"decoders\.0\.(.+)\.(\w+)", key):
        name = _rename_decoder(match[1])
        return f"decoders.segmentation.{name}.{match[2]}" if name else None
    return None


def _rename_decoder(layer: str) -> str | None:
    """`layer` ends in 0 (convolution) or 1 (norm)."""
    if match := re.fullmatch(r"(?:aspp|rfblock)\.(.+)", layer):
        return _rename_aspp(match[1])
    if match := re.fullmatch(r"shortcut\.([01])", layer):
        return f"shortcut.{match[1]}"
    if match := re.fullmatch(r"fpn\.shortcuts\.([1-3])\.([01])", layer):  # 1: the coarsest
        return f"shortcuts.{int(match[1]) - 1}.{match[2]}"
    if match := re.fullmatch(r"fpn\.smooth_convs\.([1-3])\.([01])\.([01])", layer):
        return f"smooth.{int(match[1]) - 1}.{match[2]}.{match[3]}"
    if match := re.fullmatch(r"unet\.smooth_convs\.([1-4])\.([01])\.([01])", layer):
        return f"levels.{int(match[1]) - 1}.{match[2]}.{match[3]}"
    if match := re.fullmatch(r"pred\.0\.([01])", layer):
        return f"head.0.{match[1]}"
    return "head.1" if layer == "pred.1.0" else None


def _rename_aspp(layer: str) -> str | None:
    if match := re.fullmatch(r"conv1x1\.([01])", layer):
        return f"aspp.branches.0.{match[1]}"
    if match := re.fullmatch(r"aspp_bra([1-3])\.([01])\.([01])", layer):
        return f"aspp.branches.{match[1]}.{match[2]}.{match[3]}"
    if match := re.fullmatch(r"aspp_out\.([01])", layer):
        return f"aspp.out.1.{match[1]}"
    return None


def _networks(encoders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{decoder}_{encoder}" for decoder in _DECODERS.values() for encoder in encoders)


LAYOUTS = (
    ImportLayout(
        name="EdgeAI-Lite on MobileNetV2",
        networks=_networks(_MOBILENETS),
        decisive=("encoder.features.0.0.weight", _HEAD),
        candidates=_which_mobilenet,
        rename=_rename,
        classifier=_HEAD,
        first="encoder.features.0.0.weight",
    ),
    ImportLayout(
        name="EdgeAI-Lite on RegNetX",
        networks=_networks(_REGNETS),
        decisive=("encoder.stem.conv.weight", "encoder.s1.b1.f.a.weight", _HEAD),
        candidates=_which_regnet,
        rename=_rename,
        classifier=_HEAD,
        first="encoder.stem.conv.weight",
    ),
)
