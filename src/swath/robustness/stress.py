"""The stress run: every picture is read once, spoiled in every way, and scored against its own truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.data.source import supplied
from swath.errors import SwathError
from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.evaluator import check_classes
from swath.evaluation.metrics import Score, Scores, mean, metrics
from swath.inference.ahead import ahead
from swath.robustness.faults import SEVERITIES, Fault, chosen, corrupt
from swath.robustness.scene import distances

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.data import Source
    from swath.inference import Segmenter

CLEAN = "clean"
Array = NDArray[np.uint8]
Watch = Callable[[int, int, str], None]  # done, in all, what is being done


@dataclass(frozen=True)
class Cell:
    """One fault at one severity, over all pictures; confidence is None where nobody knows."""

    scores: Scores
    confidence: float | None


@dataclass(frozen=True)
class Example:
    """One picture as the network saw it, and what it said."""

    fault: str
    severity: int
    image: Array
    labels: Array


@dataclass(frozen=True)
class Stressed:
    """What came of it: the clean scores, those of each (fault, severity), and examples."""

    card: Card
    clean: Cell
    cells: dict[tuple[str, int], Cell]
    faults: list[Fault]
    severities: list[int]
    pictures: int
    measured_depth: bool  # whether fog and rain knew the distances
    example_name: str
    truth: Array  # of the picture of the examples
    examples: list[Example] = field(repr=False)

    def miou(self, fault: str) -> Score:
        """The mean over severities."""
        return mean([self.cells[fault, severity].scores.miou for severity in self.severities])

    def kept(self, fault: str) -> Score:
        """How much of the clean mIoU is left, on average over severities."""
        return _share(self.miou(fault), self.clean.scores.miou)

    def mean_miou(self) -> Score:
        """The mean over faults of their means."""
        return mean([self.miou(fault.name) for fault in self.faults])

    def mean_kept(self) -> Score:
        """The one number: the mIoU under all faults as a share of the clean one."""
        return _share(self.mean_miou(), self.clean.scores.miou)


def stress(
    segmenter: Segmenter,
    source: Source,
    *,
    only: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    limit: int | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Stressed:
    """Score `segmenter` on spoiled pictures of `source`. Faults depend on the seed, the picture's name, their own name
    and severity alone; memory does not grow with the number of pictures."""
    check_classes(segmenter, source.card)
    faults, severities = chosen(only), sorted(set(severities))
    if not severities or not set(severities) <= set(SEVERITIES):
        raise SwathError(f"severities {list(severities)}: they go from 1 to 5, and at least one is needed")
    pictures = len(source) if limit is None else min(limit, len(source))
    if pictures < 1:
        raise SwathError(f"{source.card.name}: there is no picture to spoil; check the split and the root folder")
    spoiler = _Spoiler(source, severities, seed)
    sums = {key: _Sum(source.card) for key in [(CLEAN, 0), *((f.name, s) for f in faults for s in severities)]}
    jobs = [(index, name) for index in range(pictures) for name in (CLEAN, *(fault.name for fault in faults))]
    examples: list[Example] = []
    for done, ((index, name), images) in enumerate(ahead(spoiler, jobs), 1):
        spoiled, truth = images()
        answers = segmenter.answers(spoiled, segmenter.gives_logits)
        for severity, image, answer in zip((0,) if name == CLEAN else severities, spoiled, answers):
            try:
                sums[name, severity].update(truth, answer)
            except SwathError as error:
                raise SwathError(f"{source.name(index)}: {error}") from error
            if index == 0:
                examples.append(Example(name, severity, image, answer.labels))
        if watch:
            watch(done, len(jobs), f"{name} {source.name(index)}")
    cells = {key: each.cell(source.card) for key, each in sums.items()}
    if cells[CLEAN, 0].scores.miou is None:
        raise SwathError(f"{source.card.name}: its labels ignore every pixel; there is nothing to compare with")
    return Stressed(
        card=source.card,
        clean=cells.pop((CLEAN, 0)),
        cells=cells,
        faults=faults,
        severities=list(severities),
        pictures=pictures,
        measured_depth=spoiler.measured,
        example_name=source.name(0),
        truth=source.labels(0),
        examples=examples,
    )


class _Spoiler:
    """Called in turn for all faults of a picture, then the next one's: the picture is read at the first of them."""

    def __init__(self, source: Source, severities: Sequence[int], seed: int):
        self.source, self.severities, self.seed = source, severities, seed
        self.measured = "depth" in supplied(source)
        self._held = -1

    def __call__(self, job: tuple[int, str]) -> tuple[list[Array], Array]:
        """The picture with a fault at all severities, and its truth."""
        index, fault = job
        if index != self._held:
            self._read(index)
        if fault == CLEAN:
            return [self._image], self._truth
        name = self.source.name(index)
        spoiled = [
            corrupt(self._image, fault, severity, seed=self.seed, name=name, depth=self._depth)
            for severity in self.severities
        ]
        return spoiled, self._truth

    def _read(self, index: int) -> None:
        source: Any = self.source
        # Maps come first: a generator that draws them has drawn the picture as well.
        depth = source.map(index, "depth") if self.measured else None
        self._depth = None if depth is None else distances(depth.shape, depth)  # filled once for all faults
        self._image, self._truth = source.image(index), source.labels(index)
        self._held = index


class _Sum:
    """What is added up of one fault at one severity."""

    def __init__(self, card: Card):
        self.confusion = ConfusionMatrix(card.num_classes)
        self.sure, self.pixels = 0.0, 0

    def update(self, truth: Array, answer: Any) -> None:
        self.confusion.update(truth, answer.labels)
        if answer.confidence is not None:
            known = truth != 255
            self.sure += float(answer.confidence[known].sum(dtype=np.float64))
            self.pixels += int(known.sum())

    def cell(self, card: Card) -> Cell:
        sure = self.sure / self.pixels if self.pixels else None
        return Cell(metrics(self.confusion.counts, card), sure)


def _share(part: Score, whole: Score) -> Score:
    return part / whole if part is not None and whole else None
