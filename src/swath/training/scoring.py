"""The scores of a network on a stage's validation split, whichever process looks at which pictures."""

from __future__ import annotations

from collections.abc import Callable

from swath.data import Source
from swath.data.resized import Resized
from swath.evaluation import Scores, TaskScores, evaluate, evaluate_tasks
from swath.evaluation.tasks import numbers
from swath.inference import Segmenter
from swath.inference.views import Views
from swath.networks import Network
from swath.training.distributed import Processes
from swath.training.tasks import has_more

Watch = Callable[..., None]  # pictures done, pictures in all, and what else the evaluation tells
Numbers = dict[str, float | None]


class Scoring:
    """`size`: pictures are shown at it (height, width), and scored at the labels' own; None: as large as they are."""

    def __init__(self, source: Source, size: tuple[int, int] | None, processes: Processes):
        self.source, self.size, self.processes = source, size, processes

    @property
    def everyones(self) -> int:
        """Pictures that every process has at least."""
        return len(self.source) // self.processes.world

    @property
    def shown(self) -> Source:
        """The split at the size at which it is shown to the network."""
        return Resized(self.source, self.size) if self.size else self.source

    def __call__(self, model: Network, watch: Watch) -> tuple[Scores, Numbers]:
        """The scores of the segmentation, by which the best weights are chosen, and the numbers of other tasks."""
        if not has_more(model):
            return self.of_classes(model, watch), {}
        scores: TaskScores = evaluate_tasks(model, self.shown, watch=watch, shard=self.processes.shard)
        main = scores["segmentation"]
        assert isinstance(main, Scores)
        return main, numbers(scores)

    def of_classes(self, model: Network, watch: Watch = lambda *_: None) -> Scores:
        """Those of the segmentation alone."""
        segmenter = Segmenter(model.eval(), optimise=False, views=Views(size=self.size))
        if not self.processes.several:
            return evaluate(segmenter, self.source, watch=watch)
        return evaluate(segmenter, self.source, watch=watch, shard=self.processes.shard)
