"""What an import needs to know about the checkpoints of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from swath.networks.encoders.layouts import LAYOUTS


@dataclass(frozen=True, kw_only=True)
class ImportLayout:
    """One way in which authors name the tensors of their networks. `rename` gives our name, or None for a stranger."""

    name: str
    networks: tuple[str, ...]  # that have checkpoints of this layout
    decisive: tuple[str, ...]  # keys that all must be there
    candidates: Callable[[Mapping[str, Tensor]], list[str]]  # which of `networks` the keys and shapes speak for
    rename: Callable[[str], str | None]
    classifier: str  # its rows are the classes
    first: str  # the first convolution: its columns are the channels of a picture
    cards: Mapping[int, str] = field(default_factory=dict)  # classes -> the card that the authors mean by so many


def encoder_names(layout: str) -> Callable[[str], str | None]:
    """The key map of an encoder's layout, by its name in networks/encoders/layouts.py."""
    return {each.name: each.rename for each in LAYOUTS}[layout]


def blocks(tensors: Mapping[str, Tensor], stem: str) -> int:
    """How many numbers follow `stem` in the keys: `layer3.` of a ResNet-50 has 6."""
    return len({key.removeprefix(stem).split(".")[0] for key in tensors if key.startswith(stem)})
