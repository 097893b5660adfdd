"""Iterations as CUDA graphs: what can be said without a GPU. A device of ours replays by doing the work again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swath.cards import load_card
from swath.errors import SwathError
from swath.training import Recipe, load_recipe, start
from swath.training.config import Stage
from swath.training.graphs import Device, Graph, check_graphs
from swath.training.stage import StageRun

Overrides = Sequence[tuple[str, Sequence[str]]]


class Repeater(Device):
    """A capture computes nothing yet; each replay works on the same tensors and answers in the same place."""

    def __init__(self) -> None:
        self.warmed = self.replayed = 0

    def warm_up(self, work: Callable[[], Tensor]) -> None:
        for _ in range(3):
            work()
            self.warmed += 1

    def capture(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        answer = torch.full((), torch.nan)

        def replay() -> None:
            for parameter in self.learned.parameters():
                parameter.grad = None  # a replay overwrites, it does not add up
            answer.copy_(work())
            self.replayed += 1

        return answer, replay

    learned: nn.Module


def built(shapes: Path) -> tuple[Recipe, StageRun]:
    recipe = load_recipe(str(shapes / "tiny.yaml"))
    torch.manual_seed(3)
    source = load_card(shapes / "card.yaml").open("train", None)
    from swath.training.tasks import build_network

    return recipe, StageRun(recipe, 0, build_network(recipe, source.card, 0), source, torch.device("cpu"), load=False)


def learned(run: StageRun, steps: int) -> list[Any]:
    """Losses, then weights, statistics and the random number that comes next."""
    losses = []
    for step, batch in enumerate(run.stream.batches(0, steps)):
        run.optimiser.set_rate(run.factor(step))
        losses.append(run.learn([batch], step).item())
        run.gradient()
        run.optimiser.step()
    return [losses, [each.clone() for each in run.model.state_dict().values()], torch.rand(1).item()]


def test_a_graph_learns_what_plain_iterations_learn_and_warming_up_leaves_no_trace(shapes: Path) -> None:
    _, plain = built(shapes)
    expected = learned(plain, 4)
    _, run = built(shapes)
    device = Repeater()
    device.learned = run.whole
    run.graph = Graph(run._pass, run.whole, device)
    losses, weights, drawn = learned(run, 4)
    assert losses == expected[0] and drawn == expected[2], "dropout too draws what it would have drawn"
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(weights, expected[1]))
    assert (device.warmed, device.replayed) == (3, 4)


def test_each_batch_is_copied_to_where_the_graph_reads(shapes: Path) -> None:
    seen: list[tuple[int, list[float]]] = []
    module = nn.Linear(2, 1, bias=False)

    def work(batch: dict[str, Tensor]) -> Tensor:
        seen.append((batch["x"].data_ptr(), batch["x"].flatten().tolist()))
        return batch["x"].sum()

    device = Repeater()
    device.learned = module
    graph = Graph(work, module, device)
    given = [torch.full((1, 2), float(value)) for value in range(3)]
    answers = [graph({"x": each}) for each in given]
    assert answers[0] is answers[2] and answers[2].item() == 4, "the loss stands in one place"
    assert len({place for place, _ in seen}) == 1 and [values for _, values in seen[3:]] == [[0, 0], [1, 1], [2, 2]]
    assert seen[0][0] not in [each.data_ptr() for each in given]


def test_what_cannot_be_captured_is_said_in_one_line(shapes: Path) -> None:
    class Refusing(Repeater):
        def capture(self, work: Callable[[], Tensor]) -> Any:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")

    module = nn.Linear(2, 1)
    graph = Graph(lambda batch: batch["x"].sum(), module, Refusing())
    with pytest.raises(SwathError, match=r"cannot be captured in a CUDA graph \(CUDA error: .*capturing\); .*graphs"):
        graph({"x": torch.zeros(1, 2)})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "stage 'train': graphs needs a CUDA GPU, and this run is on cpu"),
        ([("accumulate", ["2"])], "accumulate does not go with graphs"),
        ([("class_weights", ["log"]), ("class_weight_share", ["0.5"])], "class_weight_share does not go with graphs"),
        ([("quantise.scheme", ["int8"]), ("clip", ["none"])], "graphs does not go with quantise"),
    ],
)
def test_refusals(overrides: Overrides, message: str, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(SwathError) as error:
        start(str(shapes / "tiny.yaml"), [("graphs", ["true"]), *overrides], out=tmp_path / "run")
    assert message in str(error.value) and not (tmp_path / "run").exists()


def test_what_changes_from_one_iteration_to_the_next_is_refused() -> None:
    def stage(**more: Any) -> Stage:
        return Stage(**{"epochs": 1, "window": {"size": (64, 64)}, "lr": 0.1, "graphs": True, **more})

    check_graphs(stage(), 1)
    check_graphs(stage(loss={"ohem": 1.0, "dice": 0.5}), 1)
    with pytest.raises(SwathError, match="is for one process, and there are 2"):
        check_graphs(stage(), 2)
    with pytest.raises(SwathError, match="the loss 'bootstrapped' changes in the course of the stage"):
        check_graphs(stage(loss="bootstrapped"), 1)
    check_graphs(stage(graphs=False, loss="bootstrapped"), 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_a_graph_learns_what_plain_iterations_learn(shapes: Path, tmp_path: Path) -> None:
    import csv

    curves = []
    for graphs in ("false", "true"):
        overrides = [("device", ["cuda"]), ("amp", ["false"]), ("graphs", [graphs])]
        assert start(str(shapes / "tiny.yaml"), overrides, out=tmp_path / graphs) == 0
        rows = csv.DictReader((tmp_path / graphs / "steps.csv").open())
        curves.append([float(row["loss"]) for row in rows])
    assert curves[0] == pytest.approx(curves[1], rel=0.02)
