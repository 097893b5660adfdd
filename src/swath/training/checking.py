"""The mistakes of a recipe that only its networks and pictures show, found before a run begins."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from swath.data import Source
from swath.errors import SwathError
from swath.networks.pruning import check_narrower
from swath.training.balance import task_branches
from swath.training.class_weights import class_weights
from swath.training.config import Recipe
from swath.training.distill import check_teacher
from swath.training.graphs import check_graphs
from swath.training.initial import check_network
from swath.training.optimisers import freeze, parameter_groups
from swath.training.quantised import check_quantised
from swath.training.schedules import check_warmup
from swath.training.stage import parts_of, stage_steps
from swath.training.stream import batches_an_epoch
from swath.training.tasks import bare_network, check_maps, stage_tasks, task_loss
from swath.weights.file import read_meta

_LOG = logging.getLogger("swath")


def check_stages(recipe: Recipe, sources: Sequence[tuple[Source, Source]], processes: int = 1) -> None:
    """Find the mistakes of every stage before the first one begins, on a network without memory."""
    check_quantised(recipe.stages, [source.card.class_names for source, _ in sources])
    _warn_of_fresh_statistics(recipe)
    for number, (stage, (source, val)) in enumerate(zip(recipe.stages, sources, strict=True)):
        parts_of(stage, processes)
        check_graphs(stage, processes)
        model = bare_network(recipe, source.card, number)
        for each in (source, val):
            check_maps(model, each)
        option = "--warmup" if len(recipe.stages) == 1 else f"--stages.{number}.warmup"
        check_warmup(stage, stage_steps(stage, batches_an_epoch(source, stage.batch)), option)
        if stage.prune:
            if source.card.class_names != sources[max(0, number - 1)][0].card.class_names:
                raise SwathError(
                    f"stage '{stage.name}' goes on with other classes and narrows the network; make it two stages"
                )
            check_narrower(bare_network(recipe, source.card, number - 1), model)
        freeze(model, stage.freeze, stage.name)
        parameter_groups(stage, model)
        if stage.task_weights == "gradients":
            task_branches(model)
        for name, task in stage_tasks(stage, model).items():
            task_loss(name, task, aux_loss=stage.aux_loss)
            if isinstance(task.class_weights, list) or name == "depth":
                class_weights(task, source, name)
        if stage.distill:
            check_teacher(stage.distill, source.card)
        if stage.init:
            wanted = bare_network(recipe, source.card, number - 1) if stage.prune else model
            check_network(stage.init, read_meta(stage.init).network, wanted.name)


def _warn_of_fresh_statistics(recipe: Recipe) -> None:
    """Norms that keep what they know, where nothing has taught them: a deep network's numbers soon grow without end."""
    first = recipe.stages[0]
    if first.frozen_norms and not first.init and not recipe.network_options.get("encoder_weights"):
        _LOG.warning(
            "stage '%s' keeps the statistics of norms, and nothing trained was given, so they fit nothing: give "
            "--network_options.encoder_weights FILE or --stages.0.init FILE, or --stages.0.frozen_norms false",
            first.name,
        )
