"""A larger network teaches: its answers to the same windows are a second truth beside the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swath.cards import Card
from swath.errors import SwathError
from swath.networks import create_model
from swath.training.config import Distill, Recipe
from swath.training.losses.distillation import DISTILLATION_LOSSES
from swath.training.losses.pixels import in_full
from swath.weights.file import load_weights, read_meta


class Teacher:
    """A trained network, frozen; outputs and batch in, the weighted loss out.

    Both networks answer at the size of the window, whatever their strides. It has no state: a resumed run reads the
    same file again, and its digest says that it is the same.
    """

    def __init__(self, config: Distill, device: torch.device):
        check_digest(config)
        self.config = config
        self.loss = DISTILLATION_LOSSES[config.loss]
        self.model = load_weights(config.teacher, device).drop_aux().requires_grad_(False)
        self.normalise = self.model.preprocess.module().to(device)

    def __call__(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        main = (outputs["segmentation"] if isinstance(outputs, dict) else outputs)[0]
        with torch.no_grad():
            answers = self.model(self.normalise(batch["image"]))
        loss = self.loss(in_full(main), in_full(answers), batch["labels"], self.config.temperature)
        return self.config.weight * loss


def check_teacher(config: Distill, card: Card) -> None:
    """Refuse a teacher that was taught something else, by what its file says."""
    check_digest(config)
    meta = read_meta(config.teacher)
    if meta.classes != card.class_names:
        pairs = zip(meta.classes, card.class_names)
        first = next((f"'{his}' where {card.name} has '{ours}'" for his, ours in pairs if his != ours), None)
        first = first or f"{len(meta.classes)} classes where {card.name} has {len(card.class_names)}"
        raise SwathError(
            f"{config.teacher}: this teacher knows {first}; take one that was trained on these classes in their order"
        )
    with torch.device("meta"):
        model = create_model(meta.network, **meta.arguments)
    if list(model.inputs) != ["image"] or list(model.tasks) != ["segmentation"]:
        raise SwathError(
            f"{config.teacher}: this teacher takes {' and '.join(model.inputs)} and answers "
            f"{' and '.join(model.tasks)}; take one from pictures to classes"
        )


def settle_teachers(recipe: Recipe) -> None:
    """Write down which files teach: where they are, and their digests."""
    for stage in recipe.stages:
        if stage.distill:
            stage.distill.teacher = str(Path(stage.distill.teacher).expanduser().resolve())
            stage.distill.sha256 = check_digest(stage.distill)


def check_digest(config: Distill) -> str:
    """The SHA-256 of the teacher's file, which must be the one that the recipe names."""
    try:
        with Path(config.teacher).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SwathError(
            f"distill.teacher: {config.teacher} cannot be read ({error.strerror}); "
            "give the path of a .safetensors file that `swath train` wrote"
        ) from error
    if config.sha256 not in (None, found):
        raise SwathError(
            f"distill.teacher: {config.teacher} is another file than the run began with (SHA-256 {found[:12]}…, not "
            f"{str(config.sha256)[:12]}…); put that one back, or begin a new run without distill.sha256"
        )
    return found
