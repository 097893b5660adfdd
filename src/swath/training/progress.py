"""Where a run stands, and how that is told: on the bar, in the line of a validation, in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swath.cards import Card
from swath.data import Source
from swath.evaluation import Scores
from swath.evaluation.tasks import NUMBERS, in_words
from swath.training.config import Recipe
from swath.training.display import Display
from swath.training.journal import Journal
from swath.training.report import write_report
from swath.training.samples import Sample, show_samples
from swath.training.stage import StageRun


@dataclass
class Position:
    """Where a run stands: plain numbers, kept in checkpoints."""

    stage: int = 0
    step: int = 0  # iterations done in this stage, which is also the place in its stream of batches
    total: int = 0  # iterations done in all stages
    validated: int = 0  # `total` at the last validation
    best: float = -1.0  # mIoU in this stage
    best_total: int = 0  # and when that was
    stale: int = 0  # validations since then
    loss_count: int = 0  # since the last point of the loss curve
    span_sum: float = 0.0  # since the last validation
    span_count: int = 0


def show_bar(display: Display, run: StageRun, at: Position, journal: Journal) -> None:
    """The loss, the best mIoU, the pace."""
    loss = f"loss {journal.steps[-1][4]:.3f}  " if journal.steps else ""
    miou = f"mIoU {100 * at.best:.1f} %  " if at.best >= 0 else ""
    title = f"epoch {run.epoch(at.step):.1f}/{run.epoch(run.steps):.3g}"
    display.show(title, at.step, f"{loss}{miou}{display.pace}")


def tell_scores(
    display: Display, run: StageRun, at: Position, scores: Scores, loss: float | None, more: Mapping[str, float | None]
) -> None:
    """The line of a validation."""
    named = [each for task in run.model.tasks for each in NUMBERS.get(task, ())]
    others = "".join(f"{title} {in_words(more[column], unit)}  " for column, title, unit in named)
    if run.config.task_weights != "fixed":
        others += f"weights {' '.join(f'{name} {w:.3g}' for name, w in run.criterion.weights().items())}  "
    stage = f"{run.config.name}  " if run.of_several else ""
    mark = "  best" if at.best_total == at.total else ""
    display.line(
        f"{stage}epoch {run.epoch(at.step):.4g}/{run.epoch(run.steps):.4g}  iteration {at.step}/{run.steps}  "
        f"loss {loss if loss is not None else float('nan'):.3f}  mIoU {100 * (scores.miou or 0):.1f} %  "
        f"{others}{display.pace}{mark}"
    )


class Report:
    """report.html: the curves as they stand, scores and samples of the last validation of this stage."""

    def __init__(self, folder: Path, recipe: Recipe, journal: Journal):
        self.path, self.recipe, self.journal = folder / "report.html", recipe, journal
        self.forget()

    def forget(self) -> None:
        """Another stage begins, maybe with other classes."""
        self._scores: Scores | None = None
        self._samples: list[Sample] = []

    def look(self, run: StageRun, at: Position, shown: Source, scores: Scores) -> None:
        """Keep what a validation found, with samples of its pictures (`shown`), which TensorBoard gets too."""
        self._scores, self._samples = scores, show_samples(run.measured, shown, self.recipe.samples)
        run.train_mode()
        if self.journal.board:
            for i, sample in enumerate(self._samples):
                self.journal.board.add_image(f"sample/{i}", sample.strip(), at.total, dataformats="HWC")

    def write(self, at: Position, card: Card) -> None:
        """Put the page in its place; before the first point of the loss there is nothing to show."""
        if self.journal.steps:
            data = self.recipe.data_of(at.stage)
            write_report(self.path, self.recipe, data, self.journal, self._scores, card, self._samples)
