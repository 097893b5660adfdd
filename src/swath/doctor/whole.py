"""What only a whole split shows: odd ones out, doubles, classes that never occur."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from swath.cards.card import Card
from swath.data.pairs import Pair
from swath.doctor.balance import Balance
from swath.doctor.examine import Probe
from swath.doctor.findings import Finding, shown

_ASPECT = 2.0  # times as wide (or as high) as the others
_IGNORED = 0.5


def odd_ones(split: str, probes: Sequence[Probe], pairs: Sequence[Pair], root: Path) -> list[Finding]:
    """Grey pictures among colored ones, and pictures of another shape than the rest."""
    seen = [probe for probe in probes if probe.thumb is not None]
    if not seen:
        return []

    def finding(probe: Probe, kind: str, message: str, advice: str) -> Finding:
        return Finding(kind, split, shown(pairs[probe.index].image, root), message, advice)

    found: list[Finding] = []
    grey = [probe for probe in seen if probe.grey and not probe.flat]
    if 0 < len(grey) < 0.5 * sum(not probe.flat for probe in seen):
        cure = "is it meant so? A night camera or a scan among photographs confuses a network"
        found += [finding(probe, "grey", "is grey, most others are colored", cure) for probe in grey]
    aspects = {probe.index: probe.size[1] / probe.size[0] for probe in seen if probe.size}
    usual = float(np.median(list(aspects.values())))
    for probe in seen:
        ratio = aspects.get(probe.index, usual) / usual
        if probe.size and not 1 / _ASPECT <= ratio <= _ASPECT:
            height, width = probe.size
            message = f"is {width} x {height}; the others are {usual:.3g} times as wide as high"
            found.append(finding(probe, "aspect", message, "is it a strip, a panorama, or turned?"))
    return found


def doubles(split: str, probes: Sequence[Probe], pairs: Sequence[Pair], root: Path) -> list[Finding]:
    """The same picture twice; and one label for different pictures."""
    found: list[Finding] = []
    first: dict[bytes, Probe] = {}
    for probe in probes:
        if not probe.picture or probe.flat:
            continue
        other = first.setdefault(probe.picture, probe)
        if other is not probe and pairs[other.index].image != pairs[probe.index].image:
            message = f"is the same file as {shown(pairs[other.index].image, root)}"
            file = shown(pairs[probe.index].image, root)
            found.append(Finding("same-picture", split, file, message, "remove one of them"))
    first = {}
    for probe in probes:
        label = pairs[probe.index].label
        if label is None or not probe.label or not probe.mask or len(probe.mask.values) + probe.mask.by_color < 2:
            continue
        if np.count_nonzero(probe.mask.pixels) < 2:  # all sky, all road: that can well be so twice
            continue
        other = first.setdefault(probe.label, probe)
        if other is not probe and other.picture != probe.picture:
            message = f"holds the same as {shown(pairs[other.index].label or label, root)}, but their pictures differ"
            cure = "one of the two was probably copied over the other"
            found.append(Finding("same-label", split, shown(label, root), message, cure))
    return found


def classes(card: Card, split: str, balance: Balance, sampled: bool) -> list[Finding]:
    """Classes that never occur, a split of one class, and a set that is mostly ignored."""
    if not balance.labels or not balance.pixels.any():
        return []
    found: list[Finding] = []
    occur = np.flatnonzero(balance.pixels)
    absent = [name for name, pixels in zip(card.class_names, balance.pixels) if not pixels]
    if len(occur) == 1 and card.num_classes > 1:
        message = f"every label holds only '{card.class_names[occur[0]]}': there is nothing to tell apart"
        cure = "are these the right labels? See 'labels' and 'label_values' in the card"
        found.append(Finding("single-class", split, "", message, cure, "note" if sampled else ""))
    elif absent:
        many = len(absent) > 1
        what = f"{len(absent)} of {card.num_classes} classes never occur: " if many else "a class never occurs: "
        few = ", ".join(absent[:12]) + (", …" if len(absent) > 12 else "")
        where = " in the pictures looked at" if sampled else ""
        train = split.startswith("train")
        cure = "what never occurs cannot be learnt" if train else "its score will be absent, and left out of the mean"
        level = "note" if sampled or not train else ""
        found.append(Finding("absent-class", split, "", f"{what}{few}{where}", cure, level))
    if balance.ignored_share > _IGNORED:
        message = f"{100 * balance.ignored_share:.0f} % of all pixels are ignored"
        cure = "is a value taken for 'ignore' that is a class? See label_values (and 'others') in the card"
        found.append(Finding("much-ignored", split, "", message, cure))
    return found


def balance_of(probes: Iterable[Probe], num_classes: int) -> Balance:
    """Pixels by class over a split."""
    balance = Balance.empty(num_classes)
    for probe in probes:
        if probe.mask is not None:
            balance.add(probe.mask.pixels, probe.mask.ignored)
    return balance
