"""What a configuration is worth: scores on the person's card, else what authors claim, else how much it computes."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from swath.fit.candidates import Group, Size, Subject
from swath.networks import model_info
from swath.networks.registry import FAMILIES

# Points of mIoU that half of the sides cost where authors published both (Cityscapes: CSFCN 5.0, PP-LiteSeg 3.9 and
# 3.7, MSFNet 5.8); three quarters cost them 1.7, 1.0 and 0.8. Below half this is an extrapolation.
_HALF, _POWER = 4.6, 1.5
_LEAST = 3  # networks with a claim on a dataset, for it to compare by
# What is set aside for fewer bits until somebody scores them; 0.5 points are what `swath quantize` holds or refuses.
_POINTS = {"bfloat16": 0.05, "float16": 0.05, "int8": 0.5}
_SHARES = {"bfloat16": 0.001, "float16": 0.001, "int8": 0.01}


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What the front is drawn over."""

    kind: str  # "scored", "claims" or "capacity"
    label: str  # of an axis or column
    note: str  # where the figures come from, in a sentence or two
    of: Callable[[Group, str], float | None] = field(repr=False)  # of a group in a precision

    def text(self, value: float | None) -> str:
        """As tables have it; guesses are marked."""
        if value is None:
            return "?"
        return {"scored": f"{value:.1f}", "claims": f"~{value:.1f}"}.get(self.kind, f"{value:.2f}")


def by_capacity(size: Size) -> Yardstick:
    """The more it computes, the better: all that can be said of networks that nobody has trained."""

    def of(group: Group, precision: str) -> float:
        return group.gmacs(size) * (1 - _SHARES.get(precision, 0))

    note = (
        "no accuracy is known of these: they are ranked by capacity, the multiply-accumulates for what the network "
        "sees. More of it mostly learns more, within a family; between families it says little"
    )
    return Yardstick(kind="capacity", label="GMACs", note=note, of=of)


def by_claims(subjects: Sequence[Subject], card: str) -> Yardstick | None:
    """What authors published, on the card's dataset where enough of them have a figure on it, else on Cityscapes. None:
    hardly anyone has."""
    named = [subject for subject in subjects if subject.path is None]
    wanted = card.partition("-")[0].lower()
    for dataset in dict.fromkeys((wanted, "cityscapes")):
        if not dataset:
            continue
        some = [subject for subject in named if _claims(subject.network, dataset)]
        if len({subject.network for subject in some}) >= min(_LEAST, len(named)) and some:
            return _claimed(dataset)
    return None


def _claimed(dataset: str) -> Yardstick:
    def of(group: Group, precision: str) -> float | None:
        value = claim(group.subject, dataset, group.seen)
        return None if value is None else value - _POINTS.get(precision, 0)

    note = (
        f"mIoU is what authors claim on {dataset}, not what you will get: claims at larger pictures are lowered by "
        f"what smaller ones cost where authors published both ({_HALF} points at half of the sides), widths in between "
        f"are interpolated, 8 bits cost {_POINTS['int8']} points. Train two or three of the front and score them: "
        "swath fit a.safetensors b.safetensors --card CARD"
    )
    return Yardstick(kind="claims", label=f"mIoU claimed on {dataset}, %", note=note, of=of)


def claim(subject: Subject, dataset: str, seen: Size) -> float | None:
    """A guess from the claim whose size is nearest; None where nothing was published."""
    claims = _claims(subject.network, dataset)
    if not claims or subject.path is not None:
        return None
    guesses = []
    for miou, size in claims:
        octaves = math.log2(size[0] * size[1] / (seen[0] * seen[1])) / 2
        guesses.append((abs(octaves), miou - _HALF * float(max(0.0, octaves) ** _POWER)))
    return min(guesses)[1] + _narrower(subject, dataset)


def _claims(network: str, dataset: str) -> list[tuple[float, Size]]:
    """Figures with the sizes they are of: of the validation split, or else of the test split."""
    info = model_info(network)
    for split in ("val", "test"):
        found = []
        for name, miou in info.claims.miou.items():
            what, _, more = name.partition(",")
            if what.strip() != f"{dataset} {split}" or "pre-trained" in more:
                continue
            match = re.search(r"(\d+)x(\d+)", more)
            usual = (720, 960) if dataset == "camvid" else info.size
            found.append((miou, (int(match[2]), int(match[1])) if match else usual))
        if found:
            return found
    return []


def _narrower(subject: Subject, dataset: str) -> float:
    """Points that a width costs, along the widths of the family that have claims; beyond them, as at the last."""
    width = subject.options.get("width")
    if width is None:
        return 0.0
    curves: dict[str, dict[float, float]] = {}  # by what else is set, for one context scale has several widths
    for name in FAMILIES[subject.info.family]:
        parameters = inspect.signature(model_info(name).build).parameters
        claims = _claims(name, dataset)
        if claims and "width" in parameters:
            others = repr([each for key, each in parameters.items() if key != "width"])
            curves.setdefault(others, {})[math.log2(parameters["width"].default)] = claims[0][0]
    longest = sorted(max(curves.values(), key=len, default={}).items())
    return _along(longest, math.log2(width)) - _along(longest, 0.0) if len(longest) > 1 else 0.0


def _along(curve: Sequence[tuple[float, float]], x: float) -> float:
    """Between points by a line."""
    if x <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if x <= right:
            return low + (high - low) * (x - left) / (right - left)
    return curve[-1][1]
