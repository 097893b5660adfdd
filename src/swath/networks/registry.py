"""Every network by name. `FAMILIES` lists names so that finding one imports only its own file."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.errors import SwathError, unknown

if TYPE_CHECKING:
    from swath.networks.base import Network

# file in this folder -> the names that it registers (a test holds the two against each other)
FAMILIES: dict[str, tuple[str, ...]] = {
    "contextnet": ("contextnet12", "contextnet14", "contextnet18", "contextnet14_500", "contextnet14_160"),
    "edgeai_lite": (
        "deeplabv3plus_lite_mobilenetv2",
        "deeplabv3plus_lite_mobilenetv2_1p4",
        "deeplabv3plus_lite_mobilenetv2_fd",
        "deeplabv3plus_lite_regnetx400mf",
        "deeplabv3plus_lite_regnetx800mf",
        "deeplabv3plus_lite_regnetx1p6gf",
        "deeplabv3plus_lite_regnetx3p2gf",
        "deeplabv3plus_lite",
        "unet_lite_mobilenetv2",
        "unet_lite_mobilenetv2_1p4",
        "unet_lite_mobilenetv2_fd",
        "unet_lite_regnetx400mf",
        "unet_lite_regnetx800mf",
        "unet_lite_regnetx1p6gf",
        "unet_lite_regnetx3p2gf",
        "unet_lite",
        "fpn_lite_mobilenetv2",
        "fpn_lite_mobilenetv2_1p4",
        "fpn_lite_mobilenetv2_fd",
        "fpn_lite_regnetx400mf",
        "fpn_lite_regnetx800mf",
        "fpn_lite_regnetx1p6gf",
        "fpn_lite_regnetx3p2gf",
        "fpn_lite",
        "fpn128_lite_mobilenetv2_fd",
        "fpn_noaspp_lite_mobilenetv2",
        "fpn_noaspp_lite_mobilenetv2_fd",
        "deeplabv3plus_lite_mobilenetv2_motion",
        "deeplabv3plus_lite_mobilenetv2_multitask",
    ),
    "lightnet_mobilenet": (
        "mobilenetv2plus",
        "rf_mobilenetv2plus",
        "mobilenetv2share",
        "mobilenetv2aspp",
        "mobilenetv2vortex",
        "mobilenetv2exfuse",
    ),
    "lightnet_encoding": ("rf_mobilenetv2context",),
    "lightnet_densenet": ("mixscale_densenet", "rf_mixscale_densenet"),
    "lightnet_wresnet": ("se_wresnetv2", "se_wresnetv1"),
    "lightnet_shufflenet": ("shufflenetplus", "rf_shufflenetplus"),
    "lightnet_dualpath": ("se_dpshufflenet",),
    "lightnet_inception": ("inceptionresnetv2_aspp",),
    "refinenet_lw": (
        "rf_lw_resnet50",
        "rf_lw_resnet101",
        "rf_lw_resnet152",
        "rf_lw_mobilenetv2",
        "rf_lw_nasnet_mobile",
        "rf_lw_mtl_mobilenetv2",
        "rf_lw_mtl_mobilenetv2_normals",
    ),
    "fastscnn": ("fastscnn",),
    "enet": ("enet",),
    "erfnet": ("erfnet",),
    "esnet": ("esnet",),
    "lednet": ("lednet", "lednet_seedcode"),
    "fc_densenet": ("fc_densenet57", "fc_densenet67", "fc_densenet103"),
    "csfcn": ("csfcn", "csfcn_bilinear", "csfcn_plainstem", "csfcn_tiny", "csfcn_tiny_pixelshuffle"),
    "sfanet": ("sfanet", "sfanet_stemnorm"),
    "mgseg": ("mgseg", "mgseg_stemnorm"),
    "icnet": ("icnet_resnet50", "icnet_resnet101"),
    "fcn": ("fcn32_resnet18", "fcn32_resnet34", "fcn16_resnet18", "fcn8_resnet18"),
    "pspnet": ("pspnet_resnet18", "pspnet_resnet50"),
    "bisenet": ("bisenet_resnet18", "bisenet_resnet34", "bisenet_resnet50"),
    "swiftnet": ("swiftnet_resnet18", "swiftnet_resnet34", "swiftnet_pyramid_resnet18"),
    "bisenetv1": ("bisenetv1_resnet18",),
    "bisenetv2": ("bisenetv2",),
    "msfnet": ("msfnet",),
    "pidnet": ("pidnet_s", "pidnet_m", "pidnet_l"),
    "ddrnet": ("ddrnet23_slim", "ddrnet23", "ddrnet39"),
    "stdc": ("stdc1_seg", "stdc2_seg"),
    "pp_liteseg": ("pp_liteseg_t", "pp_liteseg_b"),
    "regseg": ("regseg", "regseg_large"),
}


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a network's authors published; ours is measured and stands beside it, never mixed in."""

    params_m: float | None = None  # millions of parameters, as they count them
    gmacs: float | None = None  # at `Info.size`, unless `note` says otherwise
    miou: Mapping[str, float] = field(default_factory=dict)  # "cityscapes val" -> percent
    fps: Mapping[str, float] = field(default_factory=dict)  # "RTX 2080 Ti, 1920x1080" -> frames a second
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Info:
    """What the world should know about a registered network."""

    name: str
    family: str
    build: Callable[..., Network]
    paper: str
    year: int
    stride: int  # of the logits
    size: tuple[int, int]  # height, width that the authors report figures at
    aliases: tuple[str, ...] = ()
    claims: Claims = Claims()
    licence: str = ""  # only where the design itself carries a restriction


_REGISTERED: dict[str, Info] = {}


def register(
    name: str,
    *,
    paper: str,
    year: int,
    stride: int,
    size: tuple[int, int] = (1024, 2048),
    aliases: tuple[str, ...] = (),
    claims: Claims | None = None,
    licence: str = "",
) -> Callable[[Callable[..., Network]], Callable[..., Network]]:
    """Decorator of a builder `(num_classes, in_channels, **options) -> Network`."""

    def keep(build: Callable[..., Network]) -> Callable[..., Network]:
        _REGISTERED[name] = Info(
            name=name,
            family=build.__module__.rsplit(".", 1)[-1],
            build=build,
            paper=paper,
            year=year,
            stride=stride,
            size=size,
            aliases=aliases,
            claims=claims or Claims(),
            licence=licence,
        )
        return build

    return keep


def list_models(pattern: str = "*") -> list[str]:
    """Registered names, in the order of the families, that match a shell pattern such as `contextnet*`."""
    return [name for names in FAMILIES.values() for name in names if fnmatch.fnmatchcase(name, pattern)]


def model_info(name: str) -> Info:
    """The entry of a network, by its name here or by the name its authors gave it."""
    for family, names in FAMILIES.items():
        if name in names:
            importlib.import_module(f"swath.networks.{family}")
            return _REGISTERED[name]
    for family in FAMILIES:  # an alias, or a mistake: only now every family is read
        importlib.import_module(f"swath.networks.{family}")
    wanted = _plain(name)
    for info in _REGISTERED.values():
        if wanted in {_plain(info.name), *map(_plain, info.aliases)}:
            return info
    raise unknown("network", name, list_models())


def create_model(
    name: str,
    num_classes: int = 19,
    in_channels: int = 3,
    *,
    encoder_weights: str | Path | None = None,
    **options: Any,
) -> Network:
    """Build a network with fresh weights. `options` are the builder's own keywords (e.g. `aux=True`).

    `encoder_weights` is a local ImageNet checkpoint (.pth or .safetensors) that the network's encoder starts from.
    """
    info = model_info(name)
    if num_classes < 1 or in_channels < 1:
        raise SwathError(f"{info.name}: num_classes ({num_classes}) and in_channels ({in_channels}) must be 1 or more")
    _check_options(info, options)
    model = info.build(num_classes=num_classes, in_channels=in_channels, **options)
    model.name = info.name
    model.arguments = {"num_classes": num_classes, "in_channels": in_channels, **options}
    if encoder_weights is not None:  # no part of `arguments`: weights saved later hold the tensors themselves
        from swath.networks.encoders.checkpoints import load_encoders

        load_encoders(model, encoder_weights)
    return model


def _check_options(info: Info, options: Mapping[str, Any]) -> None:
    """Refuse a keyword that the builder does not have, naming the nearest one it has."""
    import inspect

    parameters = inspect.signature(info.build).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        raise TypeError(f"the builder of {info.name} must name its keywords")  # a mistake of ours, not of a user
    known = [p for p in parameters if p not in ("num_classes", "in_channels")]
    for option in options:
        if option not in known:
            raise unknown(f"option of {info.name}", option, known)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
