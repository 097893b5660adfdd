"""The loop: stages, iterations, validations, checkpoints. It can be left and entered at any iteration."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import torch

from swath.data import Source
from swath.errors import SwathError
from swath.evaluation import Scores
from swath.evaluation.tasks import NUMBERS
from swath.networks.pruning import prune_to
from swath.training.afterwards import way_on
from swath.training.carry import carry_over, in_short, of_classes
from swath.training.checkpoint import (
    State,
    checkpoints,
    random_states,
    restore_random_states,
    save_checkpoint,
    seed_everything,
)
from swath.training.config import Recipe, Stage
from swath.training.display import Display
from swath.training.distributed import ALONE, Agreement, Processes
from swath.training.guards import Finite, NotFinite, Stop, Stopped
from swath.training.initial import load_initial
from swath.training.jitter import recolored
from swath.training.journal import Journal
from swath.training.optimisers import norms
from swath.training.postmortem import explain
from swath.training.progress import Position, Report, show_bar, tell_scores
from swath.training.quantised import summary
from swath.training.replay import Replayed
from swath.training.scoring import Scoring, Watch
from swath.training.stage import StageRun
from swath.training.stream import Batch, worker_lost
from swath.training.swa import SnapshotAverage
from swath.training.tasks import build_network
from swath.weights import save_weights


class Trainer:
    """Trains a resolved recipe in its run folder, from the beginning or from the state of a checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        sources: Sequence[tuple[Source, Source]],
        display: Display,
        processes: Processes = ALONE,
    ):
        self.recipe, self.folder, self.sources = recipe, folder, sources  # training and validation of each stage
        self.train_source, val_source = sources[0]
        self.scoring = Scoring(val_source, recipe.validation.size, processes)
        self.display, self.processes = display, processes
        self.device = processes.device(recipe.device)
        self.card = self.train_source.card
        seed_everything(recipe.seed)
        self.model = build_network(recipe, self.card, -1)  # as it is before the first stage
        more = [column for task in self.model.tasks for column, _, _ in NUMBERS.get(task, ())]
        classes = dict.fromkeys(name for train, _ in sources for name in train.card.class_names)
        self.journal = Journal(folder, list(classes), more)
        self.report = Report(folder, recipe, self.journal)
        self.position = Position()
        self.finite = Finite()
        self.recent: deque[Replayed] = deque()
        self.stop = Stop()
        self.agreement = Agreement(processes)
        self.loss_sum = torch.zeros((), device=self.device)
        self._saved_at = time.monotonic()

    def train(self, state: State | None = None) -> None:
        """Train to the end; raises Stopped after a signal, when everything is saved."""
        if state:
            self.position = Position(**state["position"])
            self.journal.restore(state["journal"])
        elif self.processes.several:
            seed_everything(self.recipe.seed, 0, self.processes.rank)  # the network is built: from here on each its own
        if self.processes.leads and self.recipe.tensorboard and not self.journal.open_board(self.position.total):
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
                        raise explain(error, run, self.recent, self.recipe, self.folder, self.train_source) from error
                    except SwathError as error:
                        raise self._with_way_on(error) from error
                    except RuntimeError as error:
                        if not (lost := worker_lost(error)):
                            raise
                        raise self._with_way_on(lost) from error
                    self._end_stage(run)
                    state = None
            finally:
                self.display.stop()
                self.journal.close()

    def _begin_stage(self, state: State | None) -> StageRun:
        """Build the stage; from a checkpoint, take everything back as it was, the random states last."""
        stage = self.recipe.stages[self.position.stage]
        before = self.card
        self.train_source, val_source = self.sources[self.position.stage]
        self.scoring = Scoring(val_source, self.recipe.validation.size, self.processes)
        self.card = self.train_source.card
        if state:
            self.model = build_network(self.recipe, self.card, self.position.stage)
        elif self.card.class_names != before.class_names:
            self._change_classes()
        elif stage.prune:
            self._prune(stage)
        run = StageRun(
            self.recipe, self.position.stage, self.model, self.train_source, self.device, not state, self.processes
        )
        if state:
            run.restore(state)
            self._restore_own(state["processes"])
        elif stage.quantise:
            self.display.line(summary(run.model))
        self.model = run.model
        self.recent = deque(maxlen=2 * stage.accumulate)  # on a GPU an iteration is judged in the next one
        self.display.start(self.position.step, run.steps)
        return run

    def _restore_own(self, states: list[State]) -> None:
        """What is particular to each process: random states, and losses that no point of the curve has yet."""
        if len(states) == self.processes.world:
            mine = states[self.processes.rank]
            self.loss_sum.fill_(mine["loss_sum"])
            restore_random_states(mine["random"])
            return
        self.loss_sum.fill_(sum(each["loss_sum"] for each in states) / len(states))
        seed_everything(self.recipe.seed, self.position.total, self.processes.rank)
        self.display.line(
            f"saved by {len(states)} processes, resumed by {self.processes.world}: random numbers begin anew"
        )

    def _change_classes(self) -> None:
        """Go on with the classes of another card: all weights but those of the last layers, which begin anew."""
        number = self.position.stage
        old, self.model = self.model, build_network(self.recipe, self.card, number)
        fresh = carry_over(old.state_dict(), self.model, of_classes(self.recipe, self.card, number))
        self.display.line(f"{self.card.name} has other classes: new weights for {in_short(fresh)}; all others go on")

    def _prune(self, stage: Stage) -> None:
        """Go on with a narrower network, and tell what the cut alone costs."""
        wide = self.model
        self.processes.equalise(wide.state_dict().values())
        if stage.init:
            load_initial(wide, stage.init)
        self.model, cuts = prune_to(wide, **stage.prune)
        before, after = (self.scoring.of_classes(model).miou or 0 for model in (wide, self.model))
        sizes = [sum(each.numel() for each in model.parameters()) for model in (wide, self.model)]
        self.display.line(
            f"pruned {len(cuts)} groups of channels: {sizes[0]:,} parameters -> {sizes[1]:,}, "
            f"mIoU {100 * before:.1f} % -> {100 * after:.1f} % before any training"
        )

    def _train_stage(self, run: StageRun) -> None:
        with closing(run.stream.batches(self.position.step, run.steps)) as batches:
            self._iterate(run, batches)

    def _iterate(self, run: StageRun, batches: Iterator[Batch]) -> None:
        at = self.position
        first = self.processes.several
        while True:
            if run.validates_at(at.step) and at.validated != at.total:
                self._validate(run)
            if at.step >= run.steps or self._gave_up(run):
                break
            began = time.perf_counter()
            parts = [next(batches) for _ in range(run.config.accumulate)]
            waited = time.perf_counter() - began
            if first:
                run.settle_exchange(parts[0], at.step)
                first = False
            self._step(run, parts)
            self.display.pace.step(waited, time.perf_counter() - began, run.config.batch)
            if at.step % self.recipe.log_every == 0:
                self._log_loss(run)
            if at.step % run.an_epoch == 0 and not run.validates_at(at.step) and self.processes.leads:
                self.report.write(at, self.card)
            show_bar(self.display, run, at, self.journal)
            signal, due = self.agreement.reach(self.stop.signal, self._minutes_are_over())
            if signal:
                self._leave(run, signal)
            every = self.recipe.checkpoint_iterations
            if due or (every is not None and at.total % every == 0):
                self._save(run)

    def _step(self, run: StageRun, parts: Sequence[Batch]) -> None:
        """One iteration. Nothing in here waits for the device."""
        at = self.position
        run.optimiser.set_rate(run.factor(at.step))

        def remember(part: Batch) -> None:
            self.recent.append(Replayed.of(run, at.total + 1, at.step, part))

        loss = run.learn(parts, at.step, remember)
        self.finite.see(loss, run.gradient(), at.total + 1, run.optimiser)
        run.optimiser.step()
        if run.average:
            run.average.update(at.step)
        self.loss_sum += loss
        at.loss_count += 1
        at.step += 1
        at.total += 1

    def _log_loss(self, run: StageRun) -> None:
        """A point of the loss curve; the one place where the training looks at a number of the device."""
        at = self.position
        if not at.loss_count:
            return
        total = self.processes.mean(self.loss_sum.item())
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
            with closing(run.stream.batches(0, run.refreshing)) as batches:
                run.average.refresh(run.inputs(recolored(run.on_device(batch))) for batch in batches)
            self.processes.average_statistics(norms(run.learned))
        self.processes.equalise(run.learned.state_dict().values())
        scores, more = self.scoring(run.measured, self._watch(run))
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
        tell_scores(self.display, run, at, scores, loss, more)
        if self.processes.leads:
            self.report.look(run, at, self.scoring.shown, scores)
            self.report.write(at, self.card)

    def _watch(self, run: StageRun) -> Watch:
        """Shows how far a validation is, and leaves it where a signal says so."""

        def watch(done: int, total: int, _: object = None) -> None:
            self.display.show("validating", self.position.step, f"{done} of {total} pictures")
            together = done <= self.scoring.everyones  # beyond, some processes have no picture to talk at
            signal, _ = self.agreement.reach(self.stop.signal, False) if together else (None, False)
            if signal:
                self._leave(run, signal)

        return watch

    def _end_stage(self, run: StageRun) -> None:
        run.close()
        if self._gave_up(run):
            self.display.line(f"no better mIoU in {self.position.stale} validations: the stage ends early")
        at = self.position
        if at.stage + 1 < len(self.recipe.stages):
            at.best, at.stale, at.step = -1.0, 0, 0  # a later stage's network is another one; its best counts
        at.stage += 1
        self.report.forget()

    def _gave_up(self, run: StageRun) -> bool:
        patience = run.validation.patience
        return patience is not None and self.position.stale >= patience

    def _minutes_are_over(self) -> bool:
        return (time.monotonic() - self._saved_at) / 60 >= self.recipe.checkpoint_minutes

    def _save(self, run: StageRun) -> None:
        """A checkpoint of everything that the rest of the run depends on."""
        self.finite.settle()
        own = {"random": random_states(), "loss_sum": self.loss_sum.item()}
        state = {
            **run.state(),
            "position": asdict(self.position),
            "journal": self.journal.state(),
            "processes": self.processes.all(own),
        }
        if not self.processes.leads:
            return
        save_checkpoint(self.folder / "checkpoints", self.position.total, state)
        self.journal.write()
        self._saved_at = time.monotonic()

    def _with_way_on(self, error: SwathError) -> SwathError:
        """What a person can mend (a full disk, a damaged picture) ends a run, but not for good once it was saved."""
        if not checkpoints(self.folder / "checkpoints"):
            return error
        return SwathError(f"{error}. Then go on with: {way_on(self.processes.place.command, self.folder)}")

    def _leave(self, run: StageRun, signal: int) -> None:
        self._save(run)
        raise Stopped(signal)

    def _save_weights(self, run: StageRun, name: str, scores: Scores, more: Mapping[str, float | None]) -> None:
        if not self.processes.leads:
            return
        classes = dict(zip(self.card.class_names, scores.class_iou))
        seen = [self.recipe.data_of(stage) for stage in range(self.position.stage + 1)]
        learnt = [part for each in seen if each.card == seen[-1].card for part in each.train.split("+")]
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
                "split": seen[-1].val,
                "train": "+".join(dict.fromkeys(learnt)),  # nothing may be judged on these any more
                "iterations": self.position.total,
            },
        )
