"""The loop: stages, iterations, validations, checkpoints. It can be left and entered at any iteration."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from swath.data import Source
from swath.errors import SwathError
from swath.evaluation import Scores, TaskScores, evaluate, evaluate_tasks
from swath.evaluation.tasks import NUMBERS, in_words, numbers
from swath.networks.pruning import prune_to
from swath.training.checkpoint import State, random_states, restore_random_states, save_checkpoint, seed_everything
from swath.training.config import Recipe, Stage
from swath.training.display import Display
from swath.training.guards import Finite, NotFinite, Stop, Stopped
from swath.training.journal import Journal
from swath.training.replay import Replayed, write_replay
from swath.training.report import write_report
from swath.training.samples import show_samples
from swath.training.stage import StageRun, load_initial
from swath.training.stream import Batch
from swath.training.swa import SnapshotAverage
from swath.training.tasks import build_network, has_more
from swath.weights import save_weights


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
    loss_sum: float = 0.0  # since the last point of the loss curve
    loss_count: int = 0
    span_sum: float = 0.0  # since the last validation
    span_count: int = 0


class Trainer:
    """Trains a resolved recipe in its run folder, from the beginning or from the state of a checkpoint."""

    def __init__(self, recipe: Recipe, folder: Path, train: Source, val: Source, display: Display):
        self.recipe, self.folder, self.train_source, self.val_source = recipe, folder, train, val
        self.display = display
        self.device = torch.device(recipe.device)
        self.card = train.card
        seed_everything(recipe.seed)
        self.model = build_network(recipe, self.card, -1)  # as it is before the first stage
        more = [column for task in self.model.tasks for column, _, _ in NUMBERS.get(task, ())]
        self.journal = Journal(folder, self.card.class_names, more)
        self.position = Position()
        self.finite = Finite()
        self.recent: deque[Replayed] = deque(maxlen=2)  # on a GPU an iteration is judged in the next one
        self.stop = Stop()
        self.loss_sum = torch.zeros((), device=self.device)
        self._saved_at = time.monotonic()

    def train(self, state: State | None = None) -> None:
        """Train to the end; raises Stopped after a signal, when everything is saved."""
        if state:
            self.position = Position(**state["position"])
            self.journal.restore(state["journal"])
        if self.recipe.tensorboard and not self.journal.open_board(self.position.total):
            self.display.line(
                "no TensorBoard here: `pip install 'swath[tensorboard]'` adds it; the CSV files have it all"
            )
        with self.stop:
            try:
                while self.position.stage < len(self.recipe.stages):
                    run = self._begin_stage(state)
                    try:
                        self._train_stage(run)
                    except NotFinite as error:
                        raise self._explain(error, run) from error
                    self._end_stage(run)
                    state = None
            finally:
                self.display.stop()
                self.journal.close()

    def _begin_stage(self, state: State | None) -> StageRun:
        """Build the stage; from a checkpoint, take everything back as it was, the random states last."""
        stage = self.recipe.stages[self.position.stage]
        if state:
            self.model = build_network(self.recipe, self.card, self.position.stage)
        elif stage.prune:
            self._prune(stage)
        run = StageRun(self.recipe, self.position.stage, self.model, self.train_source, self.device, load=not state)
        if state:
            run.restore(state)
            self.loss_sum.fill_(self.position.loss_sum)
            restore_random_states(state["random"])
        self.display.start(self.position.step, run.steps)
        return run

    def _prune(self, stage: Stage) -> None:
        """Go on with a narrower network, and tell what the cut alone costs."""
        wide = self.model
        if stage.init:
            load_initial(wide, stage.init)
        self.model, cuts = prune_to(wide, **stage.prune)
        before, after = (evaluate(model, self.val_source, watch=_quiet).miou or 0 for model in (wide, self.model))
        sizes = [sum(each.numel() for each in model.parameters()) for model in (wide, self.model)]
        self.display.line(
            f"pruned {len(cuts)} groups of channels: {sizes[0]:,} parameters -> {sizes[1]:,}, "
            f"mIoU {100 * before:.1f} % -> {100 * after:.1f} % before any training"
        )

    def _train_stage(self, run: StageRun) -> None:
        at = self.position
        batches = run.stream.batches(at.step, run.steps)
        while True:
            if run.validates_at(at.step) and at.validated != at.total:
                self._validate(run)
            if at.step >= run.steps or self._gave_up(run):
                break
            began = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - began
            self._step(run, batch)
            self.display.pace.step(waited, time.perf_counter() - began, len(batch["index"]))
            if at.step % self.recipe.log_every == 0:
                self._log_loss(run)
            self._show(run)
            if self.stop.signal:
                self._leave(run)
            if self._checkpoint_due():
                self._save(run)

    def _step(self, run: StageRun, batch: Batch) -> None:
        """One iteration. Nothing in here waits for the device."""
        at = self.position
        run.optimiser.set_rate(run.factor(at.step))
        self.recent.append(Replayed(at.total + 1, at.step, batch, random_states()))
        loss = run.loss(run.on_device(batch), at.step)
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.finite.see(loss, run.gradient(), at.total + 1, run.optimiser)
        run.optimiser.step()
        if run.average:
            run.average.update(at.step)
        self.loss_sum += loss.detach()
        at.loss_count += 1
        at.step += 1
        at.total += 1

    def _log_loss(self, run: StageRun) -> None:
        """A point of the loss curve; the one place where the training looks at a number of the device."""
        at = self.position
        if not at.loss_count:
            return
        total = self.loss_sum.item()
        self.journal.add_step(
            run.config.name, run.epoch(at.step), at.total, run.rate(at.step - 1), total / at.loss_count
        )
        at.span_sum, at.span_count = at.span_sum + total, at.span_count + at.loss_count
        self.loss_sum.zero_()
        at.loss_count = 0

    def _validate(self, run: StageRun) -> None:
        """Measure, keep the best, save everything, tell."""
        at = self.position
        self.finite.settle()
        self._log_loss(run)
        if isinstance(run.average, SnapshotAverage):
            run.average.refresh(run.inputs(run.on_device(batch)) for batch in run.stream.batches(0, run.refreshing))
        scores, more = self._measure(run)
        run.train_mode()
        miou = scores.miou if scores.miou is not None else 0.0
        at.validated, at.stale = at.total, at.stale + 1
        if miou > at.best:
            at.best, at.best_total, at.stale = miou, at.total, 0
            self._save_weights(run, "best.safetensors", scores, more)
        if at.step >= run.steps or self._gave_up(run):
            self._save_weights(run, "last.safetensors", scores, more)
        loss = at.span_sum / at.span_count if at.span_count else None
        at.span_sum, at.span_count = 0.0, 0
        rate = run.rate(at.step - 1)
        self.journal.add_scores(run.config.name, run.epoch(at.step), at.total, rate, loss, scores, more)
        self._save(run)
        self._tell(run, scores, loss, more)
        self._report(run, scores)

    def _measure(self, run: StageRun) -> tuple[Scores, dict[str, float | None]]:
        """The scores of the segmentation, by which the best weights are chosen, and the numbers of other tasks."""

        def watch(done: int, total: int, _: object = None) -> None:
            self.display.show("validating", self.position.step, f"{done} of {total} pictures")
            if self.stop.signal:
                self._leave(run)

        if not has_more(self.model):
            return evaluate(run.measured, self.val_source, watch=watch), {}
        scores: TaskScores = evaluate_tasks(run.measured, self.val_source, watch=watch)
        main = scores["segmentation"]
        assert isinstance(main, Scores)
        return main, numbers(scores)

    def _end_stage(self, run: StageRun) -> None:
        if self._gave_up(run):
            self.display.line(f"no better mIoU in {self.position.stale} validations: the stage ends early")
        at = self.position
        if at.stage + 1 < len(self.recipe.stages):
            at.best, at.stale, at.step = -1.0, 0, 0  # a later stage's network is another one; its best counts
        at.stage += 1

    def _gave_up(self, run: StageRun) -> bool:
        patience = run.validation.patience
        return patience is not None and self.position.stale >= patience

    def _checkpoint_due(self) -> bool:
        every = self.recipe.checkpoint_iterations
        minutes = (time.monotonic() - self._saved_at) / 60
        return (every is not None and self.position.total % every == 0) or minutes >= self.recipe.checkpoint_minutes

    def _save(self, run: StageRun) -> None:
        """A checkpoint of everything that the rest of the run depends on."""
        self.finite.settle()
        self.position.loss_sum = self.loss_sum.item()
        state = {
            **run.state(),
            "position": asdict(self.position),
            "journal": self.journal.state(),
            "random": random_states(),
        }
        try:
            save_checkpoint(self.folder / "checkpoints", self.position.total, state)
            self.journal.write()
        except SwathError as error:
            raise SwathError(f"{error}. Then go on with: swath train --resume {self.folder}") from error
        self._saved_at = time.monotonic()

    def _leave(self, run: StageRun) -> None:
        self._save(run)
        assert self.stop.signal
        raise Stopped(self.stop.signal)

    def _save_weights(self, run: StageRun, name: str, scores: Scores, more: Mapping[str, float | None]) -> None:
        classes = dict(zip(self.card.class_names, scores.class_iou))
        save_weights(
            self.folder / name,
            run.measured,
            classes=self.card.class_names,
            colors=self.card.colors,
            categories=[each.category for each in self.card.classes],
            dataset=self.card.name,
            recipe=self.recipe.name,
            score={
                "miou": scores.miou,
                "pixel_accuracy": scores.pixel_accuracy,
                "class_iou": classes,
                **more,
                "split": self.recipe.data.val,
                "iterations": self.position.total,
            },
        )

    def _show(self, run: StageRun) -> None:
        at = self.position
        loss = f"loss {self.journal.steps[-1][4]:.3f}  " if self.journal.steps else ""
        miou = f"mIoU {100 * at.best:.1f} %  " if at.best >= 0 else ""
        title = f"epoch {run.epoch(at.step):.1f}/{run.epoch(run.steps):.3g}"
        self.display.show(title, at.step, f"{loss}{miou}{self.display.pace}")

    def _tell(self, run: StageRun, scores: Scores, loss: float | None, more: Mapping[str, float | None]) -> None:
        at = self.position
        named = [each for task in self.model.tasks for each in NUMBERS.get(task, ())]
        others = "".join(f"{title} {in_words(more[column], unit)}  " for column, title, unit in named)
        if run.config.task_weights != "fixed":
            others += f"weights {' '.join(f'{name} {w:.3g}' for name, w in run.criterion.weights().items())}  "
        stage = f"{run.config.name}  " if len(self.recipe.stages) > 1 else ""
        mark = "  best" if at.best_total == at.total else ""
        self.display.line(
            f"{stage}epoch {run.epoch(at.step):.4g}/{run.epoch(run.steps):.4g}  iteration {at.step}/{run.steps}  "
            f"loss {loss if loss is not None else float('nan'):.3f}  mIoU {100 * (scores.miou or 0):.1f} %  "
            f"{others}{self.display.pace}{mark}"
        )

    def _report(self, run: StageRun, scores: Scores) -> None:
        samples = show_samples(run.measured, self.val_source, self.recipe.samples)
        run.train_mode()
        write_report(self.folder / "report.html", self.recipe, self.journal, scores, self.card, samples)
        if self.journal.board:
            for i, sample in enumerate(samples):
                self.journal.board.add_image(f"sample/{i}", sample.strip(), self.position.total, dataformats="HWC")

    def _explain(self, error: NotFinite, run: StageRun) -> SwathError:
        """Keep all that the iteration depended on, and say what to do."""
        seen = next(each for each in self.recent if each.number == error.step)
        names = [self.train_source.name(i) for i in seen.batch["index"].tolist()]
        file = self.folder / f"replay-{error.step:09d}.pt"
        write_replay(file, self.recipe, run, self.position.stage, seen, names, len(self.train_source))
        return SwathError(
            f"{error}; stopped before the optimiser's step. Pictures of the batch: {', '.join(names)}. "
            f"`swath replay {file}` repeats the iteration and names the first layer that goes wrong. Look at the "
            f"pictures and their labels, or try a lower --lr, --clip 1 or --amp false; the checkpoints in "
            f"{self.folder} are from before it"
        )


def _quiet(*_: object) -> None:
    """Nothing is shown between two stages."""
