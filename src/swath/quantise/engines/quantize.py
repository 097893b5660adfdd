"""Weights to a file that computes with 8 bits: calibrated, its worst layers brought back to float until a budget of
mIoU holds, measured on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from swath.data import Source
from swath.errors import SwathError
from swath.evaluation.evaluator import check_classes
from swath.evaluation.tasks import has_more
from swath.inference import Segmenter
from swath.networks import Network
from swath.quantise.engines import files
from swath.quantise.engines.makers import engine_of
from swath.quantise.engines.outcome import Outcome, Settings
from swath.quantise.engines.processor import weight_range
from swath.quantise.engines.work import Work
from swath.watching import Watch


def _nobody(what: str, done: int = 0, total: int | None = None) -> None:
    pass


def quantize(
    network: Network,
    train: Source,
    val: Source,
    out: str | Path,
    settings: Settings | None = None,
    *,
    force: bool = False,
    watch: Watch = _nobody,
) -> Outcome:
    """`network` as a file that computes with 8 bits, in the form of an engine. Where the budget cannot hold, nothing is
    written unless with `force`. Weights that were trained with 8 bits are taken as they are."""
    settings = settings or Settings()
    engine = engine_of(settings.engine)
    out = Path(out)
    files.check_place(out, engine.ending)
    weights = weight_range(settings.reduce_range)
    _check(network, val)
    with tempfile.TemporaryDirectory(prefix="swath-quantize-") as folder:
        work = Work(network, train, val, engine, settings, weights, Path(folder), watch)
        outcome, path = work.trained() if network.quantised else work.calibrated()
        if outcome.found.holds or force:
            files.put(path, out)
            outcome = replace(outcome, written=True)
    return outcome


def _check(network: Network, val: Source) -> None:
    """Refuse what cannot be done, before anything is."""
    if has_more(network):
        raise SwathError(
            f"{network.name} takes {' and '.join(network.inputs)} and answers {' and '.join(network.tasks)}; "
            "only networks that make label maps of pictures can be quantised for an engine"
        )
    check_classes(Segmenter(network, optimise=False), val.card)
    if not len(val):
        raise SwathError(f"{val.card.name}: there is no picture to score on; check the split and the root folder")
