"""A run and its folder: start one, go on with one, and say what to type next."""

from __future__ import annotations

import csv
import logging
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from swath.cards import load_card
from swath.data import Source
from swath.data.mixed import Mixed
from swath.errors import SwathError
from swath.files import atomic_write, make_folder
from swath.training.afterwards import next_commands, quoted, way_on
from swath.training.checking import check_stages
from swath.training.checkpoint import State, newest_checkpoint
from swath.training.config import Data, Mix, Recipe
from swath.training.display import Display, counted, duration
from swath.training.distill import settle_teachers
from swath.training.distributed import Processes, SaidElsewhere
from swath.training.fill import as_plain
from swath.training.graphs import check_graphs
from swath.training.guards import Stopped
from swath.training.launch import Launch, Place
from swath.training.loop import Trainer
from swath.training.machine import kept_memory, settle
from swath.training.meeting import join
from swath.training.recipe_files import load_recipe, save_recipe
from swath.training.sources import Cached, open_stages
from swath.training.stage import parts_of
from swath.training.tasks import bare_network, needed_maps

CONFIG = "config.yaml"
# What a run writes, and so what --overwrite removes; anything else in the folder is left alone.
_TABLES = ("steps.csv", "metrics.csv", "mixed.csv")
_FILES = (CONFIG, *_TABLES, "log.txt", "report.html", "best.safetensors", "last.safetensors")
_FOLDERS = ("checkpoints", "tensorboard")
# What may differ when a run is resumed: where things are and how fast they go, not what comes out.
_RESUMABLE = ("data.root", "data.workers", "data.cache", "device", "tensorboard", "checkpoint_minutes", "samples")
_HOW = ("accumulate", "graphs")  # of a stage

Overrides = Sequence[tuple[str, Sequence[str]]]
Sources = Sequence[tuple[Source, Source]]  # training and validation, of each stage


@dataclass
class _Plan:
    """What all processes of a run are told by the first."""

    recipe: Recipe
    folder: Path
    fresh: bool = False


def start(
    name: str | Callable[[Place], Recipe],
    overrides: Overrides = (),
    out: str | Path | None = None,
    overwrite: bool = False,
) -> int:
    """Train a recipe (a name, a YAML file, or what the first process makes) in a new folder, runs/NAME unless `out`
    says otherwise."""
    return _together(lambda processes: _begin(name, overrides, out, overwrite, processes))


def resume(folder: str | Path, overrides: Overrides = ()) -> int:
    """Go on with a run as though it had never been interrupted."""
    return _together(lambda processes: _reopen(Path(folder), overrides, processes))


def _together(prepare: Callable[[Processes], tuple[_Plan, Sources]]) -> int:
    """Train in all processes what the first one prepares."""
    try:
        with join() as processes:
            if not processes.leads:
                logging.getLogger("swath").setLevel(logging.ERROR)  # the first one warns
            plan, sources = processes.led(lambda: prepare(processes))
            processes.advice = lambda: _way_on(plan, processes)
            try:
                return _go(plan, sources or open_stages(plan.recipe), processes)
            except SwathError:
                if processes.leads and plan.fresh:
                    _leave_nothing(plan.folder)
                raise
    except SaidElsewhere:
        return 2


def _way_on(plan: _Plan, processes: Processes) -> str:
    """What to type when a process is lost."""
    if processes.leads and plan.fresh and _leave_nothing(plan.folder):
        return "; nothing had been saved, so start it again"
    command = way_on(processes.place.command, plan.folder)
    return f". Go on from the last checkpoint, with as many processes as there are now: {command}"


def _begin(
    name: str | Callable[[Place], Recipe],
    overrides: Overrides,
    out: str | Path | None,
    overwrite: bool,
    processes: Processes,
) -> tuple[_Plan, Sources]:
    """Make the folder of a new run; torchrun and SLURM give the same command when they start a run again."""
    recipe = name(processes.place) if callable(name) else load_recipe(name, overrides)
    folder = Path(out) if out else Path("runs") / recipe.name
    settle(recipe, processes.place.neighbours)
    make_absolute(recipe)
    launch = Launch()
    if (folder / CONFIG).exists():
        if launch.has_started(folder / "checkpoints") and _is_of(recipe, folder):
            return _reopen(folder, (), processes)
        if not overwrite:
            raise SwathError(
                f"{folder}: holds a run already; go on with it ({way_on('swath', folder)}), "
                "choose another folder with --out, or replace it with --overwrite"
            )
    sources = open_stages(recipe)
    check_stages(recipe, sources, processes.world)  # before anything of an old run is removed
    _clear(folder)
    for replay in folder.glob("replay-*.pt"):
        replay.unlink()
    make_folder(folder / "checkpoints")
    save_recipe(
        recipe, folder / CONFIG, "the resolved recipe of this run; `swath train THIS_FILE --out FOLDER` repeats it"
    )
    _list_mixed(folder / "mixed.csv", sources)
    launch.sign(folder / "checkpoints")
    return _Plan(recipe, folder, fresh=True), sources


def _list_mixed(path: Path, sources: Sources) -> None:
    """What came from where, of the pictures that others made."""
    mixed = {id(train): train for train, _ in sources if isinstance(train, Mixed)}
    if mixed:
        with atomic_write(path, "w") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("picture", "from"))
            writer.writerows(row for train in mixed.values() for row in train.listing())


def _is_of(recipe: Recipe, folder: Path) -> bool:
    """Whether the run in a folder is one of this recipe, whatever the machine chose for it."""
    plain = [as_plain(each) for each in (recipe, load_recipe(folder / CONFIG))]
    for tree in plain:
        for key in (*_RESUMABLE, "threads"):
            section, _, name = key.rpartition(".")
            for place in (tree, *(tree["stages"] if section else ())):
                if where := place[section] if section else place:  # a stage may have no data of its own
                    where.pop(name)
    return bool(plain[0] == plain[1])


def _leave_nothing(folder: Path) -> bool:
    """Without a checkpoint there is nothing to go on with: the next start finds a free folder."""
    if any((folder / "checkpoints").glob("step-*.pt")):
        return False
    _clear(folder)
    if not any(folder.iterdir()):
        folder.rmdir()
    return True


def _clear(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for stale in _FILES:
        (folder / stale).unlink(missing_ok=True)
    for stale in _FOLDERS:
        shutil.rmtree(folder / stale, ignore_errors=True)


def _reopen(folder: Path, overrides: Overrides, processes: Processes) -> tuple[_Plan, Sources]:
    if not (folder / CONFIG).is_file():
        raise SwathError(
            f"{folder}: holds no run (there is no {CONFIG} in it); give the folder that `swath train` named"
        )
    for key, _ in overrides:
        if re.sub(r"^stages\.\d+\.data\.", "data.", key) not in _RESUMABLE and key.rpartition(".")[2] not in _HOW:
            raise SwathError(
                f"--{key} would make another run of {folder}; resuming takes only {', '.join((*_RESUMABLE, *_HOW))}. "
                f"Start a new run with: swath train {quoted(folder / CONFIG)} --{key} … --out FOLDER"
            )
    recipe = load_recipe(folder / CONFIG, overrides)
    settle(recipe, processes.place.neighbours)
    for stage in recipe.stages:
        parts_of(stage, processes.world)
        check_graphs(stage, processes.world)
    return _Plan(recipe, folder), open_stages(recipe)


def _go(plan: _Plan, sources: Sources, processes: Processes) -> int:
    """Train, and turn every way a run can end into an exit status and a line that says how to go on."""
    recipe, folder = plan.recipe, plan.folder
    processes.device(recipe.device)
    torch.set_num_threads(recipe.threads or 1)
    display = Display(folder / "log.txt" if processes.leads else None)
    if processes.leads and processes.several:
        processes.tell = lambda text: _last_words(display, text)
    state, complaints = processes.led(lambda: _saved(plan))
    for complaint in complaints or ():
        display.line(f"passed over: {complaint}")
    began = time.monotonic()
    done = state["position"]["total"] if state else 0
    display.line(_opening(recipe, folder, sources, done, processes))
    trainer = Trainer(recipe, folder, _all_cached(recipe, sources, processes, display), display, processes)
    try:
        with kept_memory() if recipe.device == "cpu" else nullcontext():
            trainer.train(state)
    except Stopped as stopped:
        display.line(f"{stopped} after iteration {trainer.position.total}; everything is saved")
        display.line(f"resume with: {way_on(processes.place.command, folder)}")
        return 128 + stopped.signal
    except torch.OutOfMemoryError as error:
        raise SwathError(
            "the device's memory is too small; try a smaller --batch or --window.size, or --amp"
        ) from error
    at = trainer.position
    display.line(
        f"done in {duration(time.monotonic() - began)}: mIoU {100 * at.best:.1f} % at iteration {at.best_total}"
    )
    display.line(f"report: {folder / 'report.html'}")
    first, *others = next_commands(recipe, folder, trainer.model)
    display.line(f"next:   {first}")
    for other in others:
        display.line(f"        {other}")
    return 0


def _saved(plan: _Plan) -> tuple[State | None, list[str]]:
    return (None, []) if plan.fresh else newest_checkpoint(plan.folder / "checkpoints")


def _last_words(display: Display, text: str) -> None:
    display.stop()
    display.line(f"swath: {text}")


def _opening(recipe: Recipe, folder: Path, sources: Sources, done: int, processes: Processes) -> str:
    what = f"resuming after iteration {done}" if done else "training"
    many = f", {processes.world} processes" if processes.several else ""
    cards = [
        f"{recipe.data_of(stage).card}, {len(train)} pictures (validation: {len(val)})"
        for stage, (train, val) in enumerate(sources)
    ]
    return (
        f"{what}: {recipe.network} on {', then on '.join(dict.fromkeys(cards))}, {recipe.device}, "
        f"{counted(recipe.threads or 1, 'thread')}, {counted(recipe.data.workers or 0, 'worker')}{many}, in {folder}"
    )


def _all_cached(recipe: Recipe, sources: Sources, processes: Processes, display: Display) -> Sources:
    """The sources, held in memory where their data say so."""
    held: dict[int, Source] = {}
    readers, holders = recipe.threads or 1, processes.place.neighbours
    for stage, pair in enumerate(sources):
        for source in pair if recipe.data_of(stage).cache else ():
            if id(source) not in held:
                maps = needed_maps(bare_network(recipe, source.card))
                held[id(source)] = _cached(source, readers, maps, holders, display)
    return [(held.get(id(train), train), held.get(id(val), val)) for train, val in sources]


def _cached(source: Source, readers: int, maps: Sequence[str], holders: int, display: Display) -> Source:
    if isinstance(source, Mixed):  # others' pictures are read when they are shown
        return Mixed(_cached(source.own, readers, maps, holders, display), source.others, source.shares)

    def told(done: int, total: int) -> None:
        display.show("reading pictures", done, f"{done} of {total}")

    display.start(0, len(source))
    try:
        return Cached(source, readers, told, maps, holders)
    finally:
        display.stop()


def make_absolute(recipe: Recipe) -> None:
    """Paths as they are wherever the run's config.yaml is read again."""
    mixes = [mix for data in recipe.all_data() for mix in data.mix]
    places: list[Data | Mix] = [*recipe.all_data(), *mixes]
    for place in places:
        if place.root and "://" not in place.root:  # shards on a network
            place.root = str(Path(place.root).expanduser().resolve())
        if place.card and not load_card(place.card).builtin:
            place.card = str(Path(place.card).expanduser().resolve())
    for mix in mixes:
        mix.pictures = str(Path(mix.pictures).expanduser().resolve()) if mix.pictures else None
    for stage in recipe.stages:
        stage.init = str(Path(stage.init).expanduser().resolve()) if stage.init else None
    settle_teachers(recipe)
