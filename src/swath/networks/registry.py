"""Every network by name. `FAMILIES` lists names so that finding one imports only its own file."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swath.errors import SwathError, unknown

if TYPE_CHECKING:
    from swath.networks.base import Network

# file in this folder -> the names that it registers (a test holds the two against each other)
FAMILIES: dict[str, tuple[str, ...]] = {
    "contextnet": ("contextnet12", "contextnet14", "contextnet18", "contextnet14_500", "contextnet14_160"),
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


def create_model(name: str, num_classes: int = 19, in_channels: int = 3, **options: Any) -> Network:
    """Build a network with fresh weights. `options` are the builder's own keywords (e.g. `aux=True`)."""
    info = model_info(name)
    if num_classes < 1 or in_channels < 1:
        raise SwathError(f"{info.name}: num_classes ({num_classes}) and in_channels ({in_channels}) must be 1 or more")
    _check_options(info, options)
    model = info.build(num_classes=num_classes, in_channels=in_channels, **options)
    model.name = info.name
    model.arguments = {"num_classes": num_classes, "in_channels": in_channels, **options}
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
