"""Pictures of one split that are in another too: by file, by bytes, and by what they show.

Two hashes of a small grey copy are compared first (Hamming distance), and what is near is confirmed on small colored
copies: dHash, the signs of horizontal differences, and pHash, the signs of the lowest frequencies of a cosine
transform (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from swath.data.pairs import Pair
from swath.doctor.examine import Probe
from swath.doctor.findings import Finding, shown

# Copies of CamVid's pictures (JPEG of quality 50, half the size, blurred, with noise, a quarter brighter, grey, cut by
# one per cent) are all nearer than this; no picture of its val is to any of its train (27 bits, 0.89 at the nearest).
_BITS = 26  # of 128 that may differ
_ALIKE = 0.97  # correlation of small copies
_MANY = 0.05  # share of the pictures to be measured on; more of them known from training make every score a lie


@dataclass(frozen=True)
class Twins:
    """Two pictures of different splits that show the same."""

    split: str
    picture: Path
    other_split: str
    other: Path
    how: str  # file, bytes, looks or mirrored


@dataclass(frozen=True)
class Side:
    """A split, as it is compared."""

    name: str
    probes: Sequence[Probe]
    pairs: Sequence[Pair]

    def path(self, probe: Probe) -> Path:
        """The picture."""
        return self.pairs[probe.index].image


def role(split: str) -> str:
    """What a split is for; those of several roles (trainval) and of none overlap with others on purpose."""
    for word in ("val", "test"):
        if split.startswith(word):
            return word
    return "train" if split.startswith("train") and "val" not in split.replace("noval", "") else ""


def find_twins(sides: Sequence[Side]) -> list[Twins]:
    """All pairs of splits with different roles; each picture of the later one is told of once."""
    order = {"train": 0, "val": 1, "test": 2}
    ranked = sorted((side for side in sides if role(side.name)), key=lambda side: order[role(side.name)])
    found: list[Twins] = []
    for place, later in enumerate(ranked):
        for earlier in ranked[:place]:
            if role(earlier.name) != role(later.name):
                found += _between(later, earlier)
    return found


def _between(later: Side, earlier: Side) -> list[Twins]:
    by_path = {earlier.path(probe).resolve(): probe for probe in earlier.probes}
    by_bytes = {probe.picture: probe for probe in earlier.probes if probe.picture}
    found: list[Twins] = []
    rest: list[Probe] = []
    for probe in later.probes:
        path = later.path(probe).resolve()
        if path in by_path:
            found.append(Twins(later.name, later.path(probe), earlier.name, earlier.path(by_path[path]), "file"))
        elif probe.flat:
            continue
        elif probe.picture and probe.picture in by_bytes:
            other = earlier.path(by_bytes[probe.picture])
            found.append(Twins(later.name, later.path(probe), earlier.name, other, "bytes"))
        elif probe.thumb is not None:
            rest.append(probe)
    candidates = [probe for probe in earlier.probes if probe.thumb is not None and not probe.flat]
    if not rest or not candidates:
        return found
    hashes = np.stack([fingerprint(probe.thumb) for probe in candidates if probe.thumb is not None])
    for mirrored in (False, True):
        left: list[Probe] = []
        turned = [_turned(probe, mirrored) for probe in rest]
        near = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(np.stack([fingerprint(each) for each in turned]), hashes, k=3)
        for probe, thumb, matches in zip(rest, turned, near):
            near_ones = ((candidates[match.trainIdx], match.distance) for match in matches)
            twin = next((other for other, distance in near_ones if _same(distance, thumb, other)), None)
            if twin is None:
                left.append(probe)
            else:
                how = "mirrored" if mirrored else "looks"
                found.append(Twins(later.name, later.path(probe), earlier.name, earlier.path(twin), how))
        rest = left
        if not rest:
            break
    return found


def _turned(probe: Probe, mirrored: bool) -> NDArray[np.uint8]:
    assert probe.thumb is not None
    return np.ascontiguousarray(probe.thumb[:, ::-1]) if mirrored else probe.thumb


def fingerprint(thumb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """128 bits of a small picture: dHash, then pHash."""
    grey = cv2.cvtColor(thumb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    steps = small[:, 1:] > small[:, :-1]
    waves = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    waves[0] = np.median(waves[1:])  # the mean brightness says nothing
    return np.packbits(np.concatenate([steps.ravel(), waves > np.median(waves)]))


def _same(distance: float, thumb: NDArray[np.uint8], probe: Probe) -> bool:
    """Whether two pictures that hash alike look alike."""
    if distance > _BITS or probe.thumb is None:
        return False
    a, b = thumb.astype(np.float32).ravel(), probe.thumb.astype(np.float32).ravel()
    spread_a, spread_b = float(a.std()), float(b.std())
    if min(spread_a, spread_b) < 4:  # fog, night: everything looks like everything
        return False
    likeness = float(((a - a.mean()) * (b - b.mean())).mean()) / (spread_a * spread_b)
    return likeness >= _ALIKE


def twin_findings(twins: Sequence[Twins], totals: dict[str, int], root: Path) -> list[Finding]:
    """Findings of them; where many pictures of a split are known from another, it is an error."""
    same: dict[tuple[str, str], int] = {}
    for twin in twins:
        if twin.how in ("file", "bytes"):
            same[twin.split, twin.other_split] = same.get((twin.split, twin.other_split), 0) + 1
    words = {"file": "is the same file as", "bytes": "is a copy of", "looks": "shows the same as"}
    found: list[Finding] = []
    for twin in twins:
        said = words.get(twin.how, "is mirrored from")
        message = f"{said} {shown(twin.other, root)} of split {twin.other_split}"
        exact = twin.how in ("file", "bytes")
        many = exact and same[twin.split, twin.other_split] > _MANY * totals[twin.split]
        found.append(
            Finding(
                "leak" if exact else "near-duplicate",
                twin.split,
                shown(twin.picture, root),
                message,
                f"take it out of one of them: what is known from {twin.other_split} says nothing about new pictures",
                "error" if many else "",
            )
        )
    return found
