"""The schemes: how wide a step is, and what has a range of its own."""

from __future__ import annotations

from dataclasses import dataclass

from swath.errors import unknown


@dataclass(frozen=True)
class Scheme:
    """8 bits for weights and activations; steps are symmetric about 0 for weights always."""

    name: str
    power2: bool  # ranges are powers of two about 0; else activations have any range and a zero point
    per_channel: bool  # each output channel of a weight has a range of its own
    title: str


SCHEMES = {
    "int8": Scheme("int8", False, True, "int8, weights by channel, activations with a zero point"),
    "power2": Scheme("power2", True, False, "8 bits by powers of two, one range a tensor (TI's TDA4VM)"),
    "power2-per-channel": Scheme("power2-per-channel", True, True, "8 bits by powers of two, weights by channel (TI)"),
}


def scheme_of(name: str) -> Scheme:
    if name not in SCHEMES:
        raise unknown("quantisation scheme", name, SCHEMES)
    return SCHEMES[name]
