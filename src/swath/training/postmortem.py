"""What is kept and said of an iteration whose numbers went wrong, in whichever process they did."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from swath.data import Source
from swath.errors import SwathError
from swath.training.afterwards import quoted
from swath.training.checkpoint import checkpoints
from swath.training.config import Recipe
from swath.training.distributed import SaidElsewhere
from swath.training.guards import NotFinite
from swath.training.replay import Replayed, write_replay
from swath.training.stage import StageRun


def explain(
    error: NotFinite, run: StageRun, recent: Iterable[Replayed], recipe: Recipe, folder: Path, source: Source
) -> Exception:
    """Keep all that the iteration depended on, and say what to do."""
    seen, what = _culprit(error, run, recent)
    if not run.processes.leads:
        return SaidElsewhere()
    names = [source.name(i) for i in seen.batch["index"].tolist()]
    file = folder / f"replay-{error.step:09d}.pt"
    write_replay(file, recipe, run, run.number, seen, names, len(source))
    saved = f"; the checkpoints in {folder} are from before it" if checkpoints(folder / "checkpoints") else ""
    return SwathError(
        f"{what}; stopped before the optimiser's step. Pictures of the batch: {', '.join(names)}. "
        f"`swath replay {quoted(file)}` repeats the iteration and names the first layer that goes wrong. Look at the "
        f"pictures and their labels, or try a lower --lr, --clip 1 or --amp false{saved}"
    )


def _culprit(error: NotFinite, run: StageRun, recent: Iterable[Replayed]) -> tuple[Replayed, str]:
    """The part of an iteration that goes wrong and what is wrong with it: every process tries its own parts again."""
    mine = [each for each in recent if each.number == error.step]
    if len(mine) == run.processes.world == 1:
        return mine[0], str(error)
    run.part_from_others()
    wrong = [each for each in mine if not _goes_well(run, each)]  # all of them: norms may need all processes
    found = run.processes.all(bool(wrong))
    return run.processes.told(((wrong or mine)[0], str(error)), found.index(True) if True in found else 0)


def _goes_well(run: StageRun, seen: Replayed) -> bool:
    """Whether loss and gradient are finite in a part of an iteration, as this process alone computes them."""
    seen.put_back(run)
    loss = run.loss(run.on_device(seen.batch), seen.step)
    learned = [each for each in run.whole.parameters() if each.requires_grad]
    gradients = torch.autograd.grad(loss, learned, allow_unused=True)
    return all(bool(torch.isfinite(each).all()) for each in (loss, *gradients) if each is not None)
