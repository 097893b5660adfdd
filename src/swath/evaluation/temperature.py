"""How sure a network should say it is: one temperature that divides its logits (Guo et al. 2017, arXiv 1706.04599).

The labels stay what they are. Of every picture the same share of pixels is kept, with all their logits; all that
follows is computed from these, so memory does not grow with the number of pictures.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.errors import SwathError
from swath.evaluation.evaluator import check_classes
from swath.evaluation.metrics import Score
from swath.evaluation.page.calibration import CalibrationCounts, totals
from swath.inference.ahead import ahead
from swath.inference.blend import Axis
from swath.report import Bin

if TYPE_CHECKING:
    from swath.data import Source
    from swath.inference import Segmenter

PIXELS = 400_000  # that are kept of all pictures together
TARGETS = (0.95, 0.99)  # accuracies of the pixels that are kept
_STEPS = 1000  # in which thresholds are told
_LEAST = 1e-3  # share of the pixels below which a threshold is about too few of them
_LOW, _HIGH = 1 / 64, 64.0  # temperatures that are looked at
_BLOCK = 1 << 16  # pixels at a time
_IGNORE = 255


@dataclass(frozen=True)
class Sample:
    """Logits P x C of pixels, their true classes, and which picture each is of."""

    logits: Tensor
    truth: Tensor
    picture: Tensor
    pictures: int


@dataclass(frozen=True)
class Threshold:
    """Pixels at least so sure are right as often as is wanted; `left_out` is the share of the others. `checked` is how
    often they are right in each half of the pictures by the threshold of the other half (None: there is none)."""

    accuracy: float  # that was wanted
    confidence: float
    left_out: float
    checked: tuple[Score, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """What was found. `ece_after` is on the pictures that the temperature was fitted on; `ece_checked` on others: each
    half of the pictures at the temperature of the other half, the mean of both (None of one picture)."""

    temperature: float
    pictures: int
    pixels: int
    accuracy: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    ece_checked: Score
    bins_before: list[Bin]
    bins_after: list[Bin]
    thresholds: list[Threshold]  # those that can be reached

    @property
    def useless(self) -> str:
        """Why this temperature, at an end of those that are looked at, makes nothing honest; empty where it does."""
        if self.temperature >= _HIGH:
            return "its confidence says nothing of where it is right"
        return "it is right however unsure it is" if self.temperature <= _LOW else ""

    def stored(self) -> dict[str, Any]:
        """What a file of weights keeps of it."""
        return {
            "pictures": self.pictures,
            "pixels": self.pixels,
            "accuracy": round(self.accuracy, 6),
            "ece_before": round(self.ece_before, 6),
            "ece_after": round(self.ece_after, 6),
            "ece_checked": None if self.ece_checked is None else round(self.ece_checked, 6),
            "thresholds": {
                f"{100 * each.accuracy:g}": {
                    "confidence": each.confidence,
                    "left_out": round(each.left_out, 6),
                    "checked": [None if half is None else round(half, 6) for half in each.checked],
                }
                for each in self.thresholds
            },
        }

    def told(self) -> dict[str, Any]:
        """Every number."""
        return {
            "temperature": self.temperature,
            **self.stored(),
            "nll_before": self.nll_before,
            "nll_after": self.nll_after,
            "confidence_before": totals(self.bins_before)[0],
            "confidence_after": totals(self.bins_after)[0],
            "bins_before": [asdict(each) for each in self.bins_before],
            "bins_after": [asdict(each) for each in self.bins_after],
        }


def calibrate(
    segmenter: Segmenter,
    source: Source,
    *,
    limit: int | None = None,
    pixels: int = PIXELS,
    targets: Sequence[float] = TARGETS,
    watch: Callable[[int, int], None] | None = None,
) -> Calibration:
    """The temperature that makes `segmenter` most honest on `source`, and what its confidence is worth then."""
    sample = collect(segmenter, source, limit=limit, pixels=pixels, watch=watch)
    return judged(sample, fit(sample.logits, sample.truth), targets)


def collect(
    segmenter: Segmenter,
    source: Source,
    *,
    limit: int | None = None,
    pixels: int = PIXELS,
    watch: Callable[[int, int], None] | None = None,
) -> Sample:
    """The network's own logits (no temperature) at pixels drawn by the picture's name: the same every time."""
    check_classes(segmenter, source.card)
    if not segmenter.gives_logits:
        raise SwathError(f"{segmenter.name}: answers labels, without how sure it is; calibrate the weights instead")
    if segmenter.views.several:
        raise SwathError("a temperature is found for whole pictures that are seen once; leave out the other views")
    total = len(source) if limit is None else min(limit, len(source))
    if total < 1:
        raise SwathError(f"{source.card.name}: there is no picture to look at; check the split and the root folder")
    rate = min(1.0, pixels / sum(math.prod(source.size(index)) for index in range(total)))
    logits, truths, numbers = [], [], []

    def read(index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return source.image(index), source.labels(index)

    for index, ready in ahead(read, range(total)):
        image, truth = ready()
        flat = truth.reshape(-1)
        drawn = torch.from_numpy(_drawn(flat, rate, source.name(index)))
        logits.append(_logits_at(segmenter, image, drawn))
        truths.append(torch.from_numpy(flat)[drawn])
        numbers.append(torch.full((len(drawn),), index, dtype=torch.int32))
        if watch:
            watch(index + 1, total)
    sample = Sample(torch.cat(logits), torch.cat(truths).long(), torch.cat(numbers), total)
    if not len(sample.truth):
        raise SwathError(f"{source.card.name}: its labels ignore every pixel; there is nothing to compare with")
    if int(sample.truth.max()) >= segmenter.num_classes:
        raise SwathError(f"{source.card.name}: a label {int(sample.truth.max())} is none of its classes")
    return sample


def fit(logits: Tensor, truth: Tensor) -> float:
    """The temperature of least negative log-likelihood. It is convex in 1 / temperature: its slope has one zero."""
    low, high = 1 / _HIGH, 1 / _LOW
    if _slope(logits, truth, high) <= 0:
        return _LOW  # the surer the better: every pixel of the sample is right
    if _slope(logits, truth, low) >= 0:
        return _HIGH  # it knows nothing
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        if _slope(logits, truth, middle) > 0:
            high = middle
        else:
            low = middle
    return round(1 / math.sqrt(low * high), 5)


def judged(sample: Sample, temperature: float, targets: Sequence[float] = TARGETS) -> Calibration:
    """What a temperature makes of the sample."""
    before, after = (_counted(sample, each) for each in (1.0, temperature))
    hit = sample.logits.argmax(1) == sample.truth
    halves = _halves(sample, targets)
    found = thresholds(confidences(sample.logits, temperature), hit, targets)
    return Calibration(
        temperature=temperature,
        pictures=sample.pictures,
        pixels=len(hit),
        accuracy=float(hit.double().mean()),
        nll_before=nll(sample.logits, sample.truth, 1.0),
        nll_after=nll(sample.logits, sample.truth, temperature),
        ece_before=before.ece() or 0.0,
        ece_after=after.ece() or 0.0,
        ece_checked=sum(half.share * half.ece for half in halves) if halves else None,
        bins_before=before.bins(),
        bins_after=after.bins(),
        thresholds=[replace(each, checked=tuple(half.right[each.accuracy] for half in halves)) for each in found],
    )


def nll(logits: Tensor, truth: Tensor, temperature: float) -> float:
    """The mean negative log-likelihood of the truth."""
    total = 0.0
    for z, y in zip(logits.split(_BLOCK), truth.split(_BLOCK)):
        total += float(torch.nn.functional.cross_entropy(z.double() / temperature, y, reduction="sum"))
    return total / len(truth)


def confidences(logits: Tensor, temperature: float) -> Tensor:
    """The probability of the best class of each pixel."""
    return torch.cat([(z / temperature).softmax(1).amax(1) for z in logits.split(_BLOCK)])


def thresholds(sure: Tensor, hit: Tensor, targets: Sequence[float]) -> list[Threshold]:
    """For each accuracy, the least confidence above which pixels reach it; those that cannot be reached are left out.
    Confidence is counted in thousandths, so that what is printed is what is meant."""
    steps = (sure.double() * _STEPS).floor().clamp_(0, _STEPS - 1).long()
    pixels = torch.bincount(steps, minlength=_STEPS).flip(0).cumsum(0).double()
    right = torch.bincount(steps[hit], minlength=_STEPS).flip(0).cumsum(0).double()
    accuracy = right / pixels.clamp(min=1)
    enough = pixels >= _LEAST * len(sure)
    found = []
    for target in targets:
        reached = (enough & (accuracy >= target)).nonzero()
        if len(reached):
            last = int(reached[-1])  # the most pixels that still are right often enough
            found.append(Threshold(target, (_STEPS - 1 - last) / _STEPS, 1 - float(pixels[last]) / len(sure)))
    return found


def _drawn(truth: NDArray[np.uint8], rate: float, name: str) -> NDArray[np.int64]:
    """Numbers of pixels whose truth is known, in ascending order."""
    known = np.flatnonzero(truth != _IGNORE)
    count = min(len(known), math.ceil(rate * len(known)))
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    rng = np.random.Generator(np.random.SFC64(seed))
    # One in each of equally long stretches: spread over the picture, and drawn without repeats.
    edges = np.linspace(0, len(known), count + 1)
    at = edges[:-1] + rng.random(count) * np.diff(edges)
    return known[np.minimum(at.astype(np.int64), len(known) - 1)] if count else known


@torch.inference_mode()
def _logits_at(segmenter: Segmenter, image: NDArray[np.uint8], pixels: Tensor) -> Tensor:
    """float32 P x C: the logits of single pixels, interpolated as the finish does it."""
    height, width = image.shape[:2]
    ready = segmenter.prepare(torch.from_numpy(np.ascontiguousarray(image))[None])
    answer = segmenter.runtime.run(ready)[0].float().cpu()
    (seen,) = segmenter.views.sizes(height, width)
    rows, columns = (
        Axis.of(
            (height, width)[axis],
            logits=answer.shape[1 + axis],
            shown=seen[axis],
            padded=ready.shape[1 + axis],
            align_corners=segmenter.description.align_corners,
        )
        for axis in (0, 1)
    )
    y, x = pixels // width, pixels % width
    top, down, fy = rows.below[y], rows.above[y], rows.fraction[y]
    left, right, fx = columns.below[x], columns.above[x], columns.fraction[x]
    upper = torch.lerp(answer[:, top, left], answer[:, top, right], fx)
    lower = torch.lerp(answer[:, down, left], answer[:, down, right], fx)
    found = torch.lerp(upper, lower, fy).T.contiguous()
    if not torch.isfinite(found).all():
        raise SwathError(f"{segmenter.name}: gives logits that are no numbers; it cannot be calibrated")
    return found


def _slope(logits: Tensor, truth: Tensor, inverse: float) -> float:
    """Of the negative log-likelihood by 1 / temperature."""
    total = 0.0
    for z, y in zip(logits.split(_BLOCK), truth.split(_BLOCK)):
        z = z.double()
        expected = ((z * inverse).softmax(1) * z).sum(1)
        total += float((expected - z.gather(1, y[:, None])[:, 0]).sum())
    return total / len(truth)


def _counted(sample: Sample, temperature: float) -> CalibrationCounts:
    counts = CalibrationCounts(sample.logits.shape[1])
    labels = sample.logits.argmax(1)
    sure = confidences(sample.logits, temperature)
    counts.update(labels.to(torch.uint8).numpy(), sure.numpy(), (labels == sample.truth).numpy())
    return counts


@dataclass(frozen=True)
class _Half:
    """Half of the pictures, judged by what was found on the other half."""

    share: float  # of all pixels
    ece: float
    right: dict[float, Score]  # by the accuracy that was wanted: of the pixels that the other half's threshold keeps


def _halves(sample: Sample, targets: Sequence[float]) -> list[_Half]:
    """Each by itself: too sure here and too unsure there, which is what this finds, would be honest on average."""
    first = sample.picture < sample.pictures / 2  # not every other one: neighbours are often frames of one video
    if not first.any() or first.all():
        return []
    found = []
    for half in (first, ~first):
        mine, others = (
            Sample(sample.logits[part], sample.truth[part], sample.picture[part], sample.pictures)
            for part in (half, ~half)
        )
        temperature = fit(others.logits, others.truth)
        told = thresholds(confidences(others.logits, temperature), others.logits.argmax(1) == others.truth, targets)
        sure, hit = confidences(mine.logits, temperature), mine.logits.argmax(1) == mine.truth
        right: dict[float, Score] = dict.fromkeys(targets)
        for each in told:
            kept = sure >= each.confidence
            right[each.accuracy] = float(hit[kept].double().mean()) if kept.any() else None
        share = len(mine.truth) / len(sample.truth)
        found.append(_Half(share, _counted(mine, temperature).ece() or 0.0, right))
    return found
