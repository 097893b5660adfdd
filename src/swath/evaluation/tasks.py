"""Scores of a network with several inputs or tasks: each task by its own numbers, over pixels that have a truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from swath import finish
from swath.data.source import read_parts, supplied
from swath.errors import SwathError
from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.metrics import Score, Scores, class_scores
from swath.evaluation.processes import Shard, check_shard, joined_up, sum_over_processes
from swath.inference.ahead import ahead
from swath.networks import Network

if TYPE_CHECKING:
    from swath.cards import Card
    from swath.data import Source

Array = npt.NDArray[Any]

# The tasks that can be learned and scored, each with the part of a source that is its truth.
TRUTHS = {"segmentation": "labels", "depth": "depth", "motion": "motion"}
MOTION = ("still", "moving")
# What each task beside the segmentation is measured in: column of metrics.csv, title, unit.
NUMBERS = {
    "depth": (("depth_rmse", "depth RMSE", "m"), ("depth_abs_rel", "depth relative error", "%")),
    "motion": (("motion_miou", "motion mIoU", "%"),),
}


@dataclass(frozen=True)
class DepthScores:
    """Errors over all measured pixels of a split; None where there is none."""

    rmse: Score  # metres
    abs_rel: Score  # |error| / truth, the mean
    pixels: int


TaskScores = dict[str, Scores | DepthScores]
Watch = Callable[[int, int], None]  # pictures done, pictures in all


class DepthErrors:
    """Sums of each picture in float64; their sum is exact, in whatever order and processes the pictures were seen."""

    def __init__(self) -> None:
        self.sums: list[tuple[float, float, int]] = []  # of squares, of relative errors, pixels

    def update(self, truth: Array, metres: Array) -> None:
        """Add the pixels of one picture; a truth of 0 is not measured."""
        if truth.shape != metres.shape:
            raise SwathError(f"the true depth is {truth.shape}, the predicted {metres.shape}; they must agree")
        true = truth[truth > 0].astype(np.float64)
        off = metres[truth > 0].astype(np.float64) - true
        self.sums.append((float(np.square(off).sum()), float((np.abs(off) / true).sum()), true.size))

    def all_reduce(self, shard: Shard, total: int) -> None:
        """Put together what the processes of torch.distributed have seen of `total` pictures."""
        everything = np.zeros((total, 3))
        everything[shard[0] :: shard[1]] = np.reshape(self.sums, (-1, 3))
        sum_over_processes(everything)
        self.sums = [(squares, relative, int(pixels)) for squares, relative, pixels in everything.tolist()]

    def scores(self) -> DepthScores:
        pixels = sum(each[2] for each in self.sums)
        if not pixels:
            return DepthScores(None, None, 0)
        squares, relative = (math.fsum(each[part] for each in self.sums) for part in (0, 1))
        return DepthScores(math.sqrt(squares / pixels), relative / pixels, pixels)


def classes_of(task: str, card: Card) -> list[str]:
    """Class names of a task; none where it answers with values."""
    return {"segmentation": card.class_names, "motion": list(MOTION)}.get(task, [])


class Predictor:
    """What a network answers to one picture: by task, uint8 labels or float32 metres, at the picture's size.

    The network is taken as it stands, on the device it is on, and has to be in eval mode.
    """

    def __init__(self, model: Network):
        self.model = model
        self.device = next(model.parameters()).device
        self.normalise = {name: model.preprocesses[name].module().to(self.device) for name in model.inputs}

    @torch.inference_mode()
    def __call__(self, parts: Mapping[str, Array]) -> dict[str, Array]:
        pictures = [self._input(parts[name], name) for name in self.model.inputs]
        size = (pictures[0].shape[2], pictures[0].shape[3])
        answers = self.model.logits(*pictures)
        if not isinstance(answers, dict):
            answers = {next(iter(self.model.tasks)): answers}
        return {task: self._finished(task, answer, size) for task, answer in answers.items() if task in TRUTHS}

    def _input(self, part: Array, name: str) -> Tensor:
        tensor = torch.from_numpy(part if part.ndim == 3 else part[..., None]).to(self.device)
        pixels: Tensor = self.normalise[name](tensor.permute(2, 0, 1)[None])
        return pixels

    def _finished(self, task: str, answer: Tensor, size: tuple[int, int]) -> Array:
        corners = self.model.align_corners
        if task == "depth":  # the sign of what a network answers has no meaning
            full = F.interpolate(answer.float(), size=size, mode="bilinear", align_corners=corners)
            return np.asarray(full[0, 0].abs().cpu().numpy())
        return np.asarray(finish.labels(answer, size, corners)[0].cpu().numpy())


def has_more(model: Network) -> bool:
    """Whether a network takes or answers more than pictures and label maps."""
    return list(model.inputs) != ["image"] or list(model.tasks) != ["segmentation"]


def evaluate_tasks(
    model: Network,
    source: Source,
    *,
    limit: int | None = None,
    watch: Watch | None = None,
    shard: Shard | None = None,
) -> TaskScores:
    """All scores of all tasks that the source has a truth for; the network is left in the mode it came in. `shard` as
    in `evaluate`."""
    training = model.training
    try:
        return _evaluate(Predictor(model.eval()), source, limit, watch, shard)
    finally:
        model.train(training)


def _scored(model: Network, source: Source) -> list[str]:
    """Tasks that can be scored; refuses a source that does not supply what the network takes."""
    card, there = source.card.name, {"image", "labels", *supplied(source)}
    if missing := [name for name in model.inputs if name not in there]:
        raise SwathError(
            f"{model.name} takes {' and '.join(model.inputs)}, the card {card} supplies no {' and no '.join(missing)}; "
            "the key 'maps' of a card says where such files are"
        )
    channels = {"image": 3, **supplied(source)}
    for name, count in model.inputs.items():
        if count != channels[name]:
            raise SwathError(
                f"{model.name} takes '{name}' with {count} channels, the card {card} supplies {channels[name]}; "
                "give the card that it was trained on, or other weights"
            )
    tasks = [task for task in model.tasks if TRUTHS.get(task) in there]
    if not tasks:
        wanted = " and no ".join(TRUTHS.get(task, task) for task in model.tasks)
        raise SwathError(f"{model.name} answers {' and '.join(model.tasks)}, and the card {card} supplies no {wanted}")
    if "segmentation" in tasks and model.tasks["segmentation"] != source.card.num_classes:
        raise SwathError(
            f"{model.name} has {model.tasks['segmentation']} classes and the card {card} {source.card.num_classes}; "
            "give the card that it was trained on, or other weights"
        )
    return tasks


def _evaluate(
    predict: Predictor, source: Source, limit: int | None, watch: Watch | None, shard: Shard | None
) -> TaskScores:
    tasks = _scored(predict.model, source)
    total = len(source) if limit is None else min(limit, len(source))
    classes = {task: classes_of(task, source.card) for task in tasks}
    measures = {task: ConfusionMatrix(len(names)) if names else DepthErrors() for task, names in classes.items()}
    needed = {*predict.model.inputs, *(TRUTHS[task] for task in tasks)}
    rank, world = check_shard(shard) if shard else (0, 1)
    mine = range(rank, total, world)
    for done, (index, parts) in enumerate(ahead(lambda i: read_parts(source, i, needed), mine), 1):
        known = parts()
        answers = predict(known)
        for task in tasks:
            try:
                measures[task].update(known[TRUTHS[task]], answers[task])
            except SwathError as error:
                raise SwathError(f"{source.name(index)}: {task}: {error}") from error
        if watch:
            watch(done, len(mine))
    if shard and joined_up():
        for each in measures.values():
            each.all_reduce(*((shard, total) if isinstance(each, DepthErrors) else ()))
    scores: TaskScores = {}
    for task, measure in measures.items():
        if isinstance(measure, DepthErrors):
            scores[task] = measure.scores()
        else:
            categories = [each.category for each in source.card.classes] if task == "segmentation" else []
            scores[task] = class_scores(measure.counts, classes[task], categories)
    return scores


def numbers(scores: TaskScores) -> dict[str, Score]:
    """The numbers of the tasks beside the segmentation, by their names in NUMBERS."""
    found: dict[str, Score] = {}
    for task, each in scores.items():
        if isinstance(each, DepthScores):
            found.update(depth_rmse=each.rmse, depth_abs_rel=each.abs_rel)
        elif task != "segmentation":
            found[f"{task}_miou"] = each.miou
    return found


def in_words(value: Score, unit: str) -> str:
    """A number with its unit, as a person reads it."""
    if value is None:
        return "absent"
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.2f} {unit}"
