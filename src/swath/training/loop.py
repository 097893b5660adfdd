"""The loop: stages, iterations, validations, checkpoints. It can be left and entered at any iteration."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from swath.data import Source
from swath.data.resized import Resized
from swath.errors import SwathError
from swath.evaluation import Scores, TaskScores, evaluate, evaluate_tasks
from swath.evaluation.tasks import NUMBERS, in_words, numbers
from swath.inference import Segmenter
from swath.inference.views import Views
from swath.networks import Network
from swath.networks.pruning import prune_to
from swath.training.carry import carry_over, in_short, of_classes
from swath.training.checkpoint import State, random_states, restore_random_states, save_checkpoint, seed_everything
from swath.training.config import Recipe, Stage
from swath.training.display import Display
from swath.training.distributed import ALONE, Agreement, Processes
from swath.training.guards import Finite, NotFinite, Stop, Stopped
from swath.training.journal import Journal
from swath.training.optimisers import norms
from swath.training.postmortem import explain
from swath.training.quantised import summary
from swath.training.replay import Replayed
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
    loss_count: int = 0  # since the last point of the loss curve
    span_sum: float = 0.0  # since the last validation
    span_count: int = 0


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
        self.train_source, self.val_source = sources[0]
        self.display, self.processes = display, processes
        self.device = processes.device(recipe.device)
        self.card = self.train_source.card
        seed_everything(recipe.seed)
        self.model = build_network(recipe, self.card, -1)  # as it is before the first stage
        more = [column for task in self.model.tasks for column, _, _ in NUMBERS.get(task, ())]
        classes = dict.fromkeys(name for train, _ in sources for name in train.card.class_names)
        self.journal = Journal(folder, list(classes), more)
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
                    self._end_stage(run)
                    state = None
            finally:
                self.display.stop()
                self.journal.close()

    def _begin_stage(self, state: State | None) -> StageRun:
        """Build the stage; from a checkpoint, take everything back as it was, the random states last."""
        stage = self.recipe.stages[self.position.stage]
        before = self.card
        self.train_source, self.val_source = self.sources[self.position.stage]
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
        before, after = (self._scores(model, _quiet).miou or 0 for model in (wide, self.model))
        sizes = [sum(each.numel() for each in model.parameters()) for model in (wide, self.model)]
        self.display.line(
            f"pruned {len(cuts)} groups of channels: {sizes[0]:,} parameters -> {sizes[1]:,}, "
            f"mIoU {100 * before:.1f} % -> {100 * after:.1f} % before any training"
        )

    def _train_stage(self, run: StageRun) -> None:
        at = self.position
        batches = run.stream.batches(at.step, run.steps)
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
            self._show(run)
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
        run.optimiser.zero_grad()

        def remember(part: Batch) -> None:
            self.recent.append(Replayed(at.total + 1, at.step, part, random_states()))

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
            run.average.refresh(run.inputs(run.on_device(batch)) for batch in run.stream.batches(0, run.refreshing))
            self.processes.average_statistics(norms(run.learned))
        self.processes.equalise(run.learned.state_dict().values())
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

        everyone = len(self.val_source) // self.processes.world  # pictures that every process has at least

        def watch(done: int, total: int, _: object = None) -> None:
            self.display.show("validating", self.position.step, f"{done} of {total} pictures")
            signal, _ = self.agreement.reach(self.stop.signal, False) if done <= everyone else (None, False)
            if signal:
                self._leave(run, signal)

        if not has_more(self.model):
            return self._scores(run.measured, watch), {}
        scores: TaskScores = evaluate_tasks(run.measured, self._shown(), watch=watch, shard=self.processes.shard)
        main = scores["segmentation"]
        assert isinstance(main, Scores)
        return main, numbers(scores)

    def _scores(self, model: Network, watch: Callable[..., None]) -> Scores:
        """Of all pictures, whichever process looks at them."""
        size = self.recipe.validation.size
        views = Views(size=size) if size else None
        segmenter = Segmenter(model.eval(), optimise=False, views=views)  # scored at the labels' own size
        if not self.processes.several:
            return evaluate(segmenter, self.val_source, watch=watch)
        return evaluate(segmenter, self.val_source, watch=watch, shard=self.processes.shard)

    def _shown(self) -> Source:
        """The validation split at the size at which it is shown to the network."""
        size = self.recipe.validation.size
        return Resized(self.val_source, size) if size else self.val_source

    def _end_stage(self, run: StageRun) -> None:
        run.close()
        if self._gave_up(run):
            self.display.line(f"no better mIoU in {self.position.stale} validations: the stage ends early")
        at = self.position
        if at.stage + 1 < len(self.recipe.stages):
            at.best, at.stale, at.step = -1.0, 0, 0  # a later stage's network is another one; its best counts
        at.stage += 1

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
        try:
            save_checkpoint(self.folder / "checkpoints", self.position.total, state)
            self.journal.write()
        except SwathError as error:
            command = f"{self.processes.place.command} train --resume {self.folder}"
            raise SwathError(f"{error}. Then go on with: {command}") from error
        self._saved_at = time.monotonic()

    def _leave(self, run: StageRun, signal: int) -> None:
        self._save(run)
        raise Stopped(signal)

    def _save_weights(self, run: StageRun, name: str, scores: Scores, more: Mapping[str, float | None]) -> None:
        if not self.processes.leads:
            return
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
                "split": self.recipe.data_of(self.position.stage).val,
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
        if not self.processes.leads:
            return
        samples = show_samples(run.measured, self._shown(), self.recipe.samples)
        run.train_mode()
        data = self.recipe.data_of(self.position.stage)
        write_report(self.folder / "report.html", self.recipe, data, self.journal, scores, self.card, samples)
        if self.journal.board:
            for i, sample in enumerate(samples):
                self.journal.board.add_image(f"sample/{i}", sample.strip(), self.position.total, dataformats="HWC")


def _quiet(*_: object) -> None:
    """Nothing is shown between two stages."""
