"""The numbers of a run. Checkpoints carry them, so the files of a resumed run equal those of an undisturbed one."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.evaluation import Scores
from swath.files import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

STEP_COLUMNS = ("stage", "epoch", "step", "lr", "loss")
SCORE_COLUMNS = ("stage", "epoch", "step", "lr", "loss", "miou", "pixel_accuracy", "mean_accuracy")

Row = list[Any]  # numbers, a stage's name, None for what is absent


class Journal:
    """`steps` are points of the loss curve (steps.csv), `scores` one row a validation (metrics.csv). The classes are
    those of all stages."""

    def __init__(self, folder: Path, class_names: list[str], more: Sequence[str] = ()):
        self.folder = folder
        self.score_columns = [*SCORE_COLUMNS, *(f"iou_{name}" for name in class_names), *more]
        self.class_names = class_names
        self.more = list(more)  # numbers of tasks beside the segmentation
        self.steps: list[Row] = []
        self.scores: list[Row] = []
        self.board: SummaryWriter | None = None

    def open_board(self, step: int) -> bool:
        """Write to TensorBoard as well, from `step` on; False where it is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return False
        self.board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        return True

    def add_step(self, stage: str, epoch: float, step: int, lr: float, loss: float) -> None:
        """One point of the loss curve: the mean since the last one."""
        self.steps.append([stage, epoch, step, lr, loss])
        if self.board:
            self.board.add_scalar("train/loss", loss, step)
            self.board.add_scalar("train/lr", lr, step)

    def add_scores(
        self,
        stage: str,
        epoch: float,
        step: int,
        lr: float,
        loss: float | None,
        scores: Scores,
        more: Mapping[str, float | None],
    ) -> None:
        """The outcome of one validation; `loss` is the mean of the training loss since the last one."""
        classes = dict(zip(scores.class_names, scores.class_iou))  # of a stage; others may have other classes
        numbers = [scores.miou, scores.pixel_accuracy, scores.mean_accuracy, *map(classes.get, self.class_names)]
        numbers += [more[name] for name in self.more]
        self.scores.append([stage, epoch, step, lr, loss, *numbers])
        if self.board:
            names = ["val/miou", "val/pixel_accuracy", "val/mean_accuracy", *(f"iou/{n}" for n in self.class_names)]
            for name, value in zip([*names, *(f"val/{name}" for name in self.more)], numbers):
                if value is not None:
                    self.board.add_scalar(name, value, step)

    def write(self) -> None:
        """Put both tables on the disk, whole."""
        _write_csv(self.folder / "steps.csv", list(STEP_COLUMNS), self.steps)
        _write_csv(self.folder / "metrics.csv", self.score_columns, self.scores)

    def state(self) -> dict[str, list[Row]]:
        return {"steps": self.steps, "scores": self.scores}

    def restore(self, state: dict[str, list[Row]]) -> None:
        self.steps, self.scores = [list(row) for row in state["steps"]], [list(row) for row in state["scores"]]

    def close(self) -> None:
        if self.board:
            self.board.close()


def _write_csv(path: Path, head: list[str], rows: list[Row]) -> None:
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
