"""A run and its folder: start one, go on with one, and say what to type next."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from swath.cards import load_card
from swath.data import Source
from swath.errors import SwathError
from swath.files import make_folder
from swath.training.checkpoint import newest_checkpoint
from swath.training.config import Recipe
from swath.training.display import Display, duration
from swath.training.distill import settle_teachers
from swath.training.guards import Stopped
from swath.training.loop import Trainer
from swath.training.machine import settle
from swath.training.recipe_files import load_recipe, save_recipe
from swath.training.sources import Cached, open_sources
from swath.training.stage import check_stages
from swath.training.tasks import bare_network, needed_maps

CONFIG = "config.yaml"
# What a run writes, and so what --overwrite removes; anything else in the folder is left alone.
_FILES = (CONFIG, "steps.csv", "metrics.csv", "log.txt", "report.html", "best.safetensors", "last.safetensors")
_FOLDERS = ("checkpoints", "tensorboard")
# What may differ when a run is resumed: where things are and how fast they go, not what comes out.
_RESUMABLE = ("data.root", "data.workers", "data.cache", "device", "tensorboard", "checkpoint_minutes", "samples")

Overrides = Sequence[tuple[str, Sequence[str]]]


def start(name: str, overrides: Overrides = (), out: str | Path | None = None, overwrite: bool = False) -> int:
    """Train a recipe (a name or a YAML file) in a new folder, runs/NAME unless `out` says otherwise."""
    recipe = load_recipe(name, overrides)
    folder = Path(out) if out else Path("runs") / recipe.name
    if (folder / CONFIG).exists() and not overwrite:
        raise SwathError(
            f"{folder}: holds a run already; go on with it (swath train --resume {folder}), "
            "choose another folder with --out, or replace it with --overwrite"
        )
    settle(recipe)
    _make_absolute(recipe)
    train, val = open_sources(recipe.data)
    check_stages(recipe, train, val)  # before anything of an old run is removed
    _clear(folder)
    for replay in folder.glob("replay-*.pt"):
        replay.unlink()
    make_folder(folder / "checkpoints")
    save_recipe(
        recipe, folder / CONFIG, "the resolved recipe of this run; `swath train THIS_FILE --out FOLDER` repeats it"
    )
    try:
        return _go(recipe, folder, train, val, fresh=True)
    except SwathError:
        if not any((folder / "checkpoints").iterdir()):  # nothing to go on with: the next start finds a free folder
            _clear(folder)
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def _clear(folder: Path) -> None:
    """Remove what a run writes, and nothing else."""
    for stale in _FILES:
        (folder / stale).unlink(missing_ok=True)
    for stale in _FOLDERS:
        shutil.rmtree(folder / stale, ignore_errors=True)


def resume(folder: str | Path, overrides: Overrides = ()) -> int:
    """Go on with a run as though it had never been interrupted."""
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise SwathError(
            f"{folder}: holds no run (there is no {CONFIG} in it); give the folder that `swath train` named"
        )
    for key, _ in overrides:
        if key not in _RESUMABLE:
            raise SwathError(
                f"--{key} would make another run of {folder}; resuming takes only {', '.join(_RESUMABLE)}. "
                f"Start a new run with: swath train {folder / CONFIG} --{key} … --out FOLDER"
            )
    recipe = load_recipe(folder / CONFIG, overrides)
    settle(recipe)
    return _go(recipe, folder, *open_sources(recipe.data), fresh=False)


def _go(recipe: Recipe, folder: Path, train: Source, val: Source, fresh: bool) -> int:
    """Train, and turn every way a run can end into an exit status and a line that says how to go on."""
    torch.set_num_threads(recipe.threads or 1)
    display = Display(folder / "log.txt")
    state, complaints = (None, []) if fresh else newest_checkpoint(folder / "checkpoints")
    for complaint in complaints:
        display.line(f"passed over: {complaint}")
    began = time.monotonic()
    display.line(_opening(recipe, folder, len(train), len(val), state["position"]["total"] if state else 0))
    if recipe.data.cache:
        maps = needed_maps(bare_network(recipe, train.card))
        train, val = (_cached(source, recipe.threads or 1, maps, display) for source in (train, val))
    trainer = Trainer(recipe, folder, train, val, display)
    try:
        trainer.train(state)
    except Stopped as stopped:
        display.line(f"{stopped} after iteration {trainer.position.total}; everything is saved")
        display.line(f"resume with: swath train --resume {folder}")
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
    best = folder / "best.safetensors"
    if list(trainer.model.inputs) != ["image"]:  # the other commands feed pictures alone
        display.line(f'next:   swath.load("{best}") in Python')
        return 0
    place = "" if load_card(recipe.data.card).builtin else f" --card {recipe.data.card}"
    place += f" --root {recipe.data.root}" if recipe.data.root else ""
    display.line(f"next:   swath evaluate {best}{place}")
    display.line(f"        swath predict {best} PICTURES --out out")
    display.line(f"        swath export {best} --to onnx")
    return 0


def _opening(recipe: Recipe, folder: Path, train: int, val: int, done: int) -> str:
    what = f"resuming after iteration {done}" if done else "training"
    return (
        f"{what}: {recipe.network} on {recipe.data.card}, {train} pictures (validation: {val}), {recipe.device}, "
        f"{recipe.threads} threads, {recipe.data.workers} workers, in {folder}"
    )


def _cached(source: Source, processes: int, maps: Sequence[str], display: Display) -> Source:
    def told(done: int, total: int) -> None:
        display.show("reading pictures", done, "")

    display.start(0, len(source))
    try:
        return Cached(source, processes, told, maps)
    finally:
        display.stop()


def _make_absolute(recipe: Recipe) -> None:
    """Paths as they are wherever the run's config.yaml is read again."""
    data = recipe.data
    data.root = str(Path(data.root).expanduser().resolve()) if data.root else None
    if not load_card(data.card).builtin:
        data.card = str(Path(data.card).expanduser().resolve())
    for stage in recipe.stages:
        stage.init = str(Path(stage.init).expanduser().resolve()) if stage.init else None
    settle_teachers(recipe)
