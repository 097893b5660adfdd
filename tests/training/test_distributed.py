"""Two and four processes that train one network, over gloo on the CPU."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import deaths
import swath
from crews import End, crew
from swath.cards import load_card
from swath.errors import SwathError
from swath.evaluation import evaluate, evaluate_tasks
from swath.networks import preprocess
from swath.training import checkpoint, loop, meeting, resume, scoring, start
from swath.training.class_weights import count
from swath.training.config import Stage
from swath.training.distributed import ALONE, Agreement, Processes, plain_norms, sync_norms
from swath.training.launch import Launch, Place, find_place, first_node, tasks_of_nodes
from swath.training.meeting import join
from swath.training.stage import parts_of

Overrides = Sequence[tuple[str, Sequence[str]]]
NO_NORMS = [
    ("frozen_norms", ["true"]),
    ("optimiser", ["sgd"]),
    ("schedule", ["constant"]),
    ("lr", ["0.05"]),
    ("loss", ["cross-entropy"]),
    ("ema", ["none"]),
    ("epochs", ["none"]),
    ("iterations", ["4"]),
]


def kept(folder: Path, work: Callable[[], int]) -> Callable[[int], int]:
    """Train, and keep each process's weights, curve and confusion matrices for a look."""

    def body(rank: int) -> int:
        inner, measure, counts = loop.Trainer.train, scoring.evaluate, []

        def train(self: loop.Trainer, state: Any = None) -> None:
            inner(self, state)
            parts = {"model": self.model.state_dict(), "journal": self.journal.state(), "counts": counts}
            torch.save(parts, folder / f"rank{rank}.pt")

        def measured(*given: Any, **more: Any) -> Any:
            scores = measure(*given, **more)
            counts.append(torch.from_numpy(scores.counts))
            return scores

        loop.Trainer.train, scoring.evaluate = train, measured  # type: ignore[method-assign,assignment]
        return work()

    return body


def train(world: int, shapes: Path, folder: Path, *overrides: tuple[str, Sequence[str]]) -> list[End]:
    work = kept(folder, lambda: start(str(shapes / "tiny.yaml"), overrides, out=folder / "run"))
    return crew(world, folder, work)


def doomed(shapes: Path, run: Path, victim: int, step: int) -> Callable[[int], int]:
    """Train until one process dies in its `step`th iteration."""

    def body(rank: int) -> int:
        if rank == victim:
            deaths.before_optimiser_step(step)
        return start(str(shapes / "tiny.yaml"), out=run)

    return body


def ranks(folder: Path, world: int) -> list[dict[str, Any]]:
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(world)]


def trained(run: Path) -> Any:
    """The last weights of a run, laid out in memory as in training: sums are then made in the same order."""
    return swath.load(run / "last.safetensors").to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def four(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four processes, undisturbed."""
    folder = tmp_path_factory.mktemp("four")
    ends = train(4, shapes, folder)
    assert [each.status for each in ends] == [0] * 4, ends
    assert "4 processes" in ends[0].said and not any(each.said for each in ends[1:]), "one speaks"
    return folder


def test_all_have_the_same_weights_and_numbers(four: Path) -> None:
    first, *others = ranks(four, 4)
    learned = dict(swath.load(four / "run/last.safetensors").named_parameters())
    for other in others:
        assert all(torch.equal(first["model"][name], other["model"][name]) for name in learned)
        assert other["journal"] == first["journal"]
    assert not any(name.startswith("module.") for name in first["model"])


def test_metrics_are_those_of_one_process_to_the_last_integer(four: Path, shapes: Path) -> None:
    """Three pictures for four processes: one has none."""
    alone = evaluate(trained(four / "run"), load_card(shapes / "card.yaml").open("val", None))
    for each in ranks(four, 4):
        assert np.array_equal(each["counts"][-1].numpy(), alone.counts)
    row = list(csv.DictReader((four / "run/metrics.csv").open()))[-1]
    assert float(row["miou"]) == alone.miou and float(row["pixel_accuracy"]) == alone.pixel_accuracy


def test_processes_draw_random_numbers_of_their_own(four: Path) -> None:
    state, _ = checkpoint.newest_checkpoint(four / "run/checkpoints")
    assert state is not None
    drawn = {bytes(each["random"]["torch"].numpy()) for each in state["processes"]}
    assert len(state["processes"]) == len(drawn) == 4


def in_double(shapes: Path, folder: Path, world: int, accumulate: int) -> dict[str, Any]:
    """What is learned in four iterations of a batch of 4, where only rounding of 1e-16 and no chance differs."""

    def work(rank: int) -> int:
        torch.set_default_dtype(torch.float64)
        inner = preprocess.Normalise.forward
        preprocess.Normalise.forward = lambda self, pixels: inner(self, pixels).double()  # type: ignore[method-assign]
        torch.nn.Dropout.forward = lambda self, maps: maps  # type: ignore[method-assign]
        loop.Trainer._validate = unmeasured  # type: ignore[method-assign]
        overrides = [*NO_NORMS, ("accumulate", [str(accumulate)])]
        return kept(folder, lambda: start(str(shapes / "tiny.yaml"), overrides, out=folder / "run"))(rank)

    ends = crew(world, folder, work)
    assert [each.status for each in ends] == [0] * world, ends
    return ranks(folder, world)[0]


def unmeasured(self: loop.Trainer, _: Any) -> None:
    self.position.validated = self.position.total


def test_several_processes_learn_what_one_learns_from_the_same_parts(shapes: Path, tmp_path: Path) -> None:
    for parts, ways in ((2, [(2, 1), (1, 2)]), (4, [(4, 1), (2, 2), (1, 4)])):
        first, *others = (in_double(shapes, tmp_path / f"{parts}-{world}", world, each) for world, each in ways)
        for other in others:
            for name, tensor in first["model"].items():
                torch.testing.assert_close(tensor, other["model"][name], rtol=1e-10, atol=1e-11)
            losses, others_losses = ([row[4] for row in each["journal"]["steps"]] for each in (first, other))
            assert losses == pytest.approx(others_losses, rel=1e-12) and len(losses) == 2
    torch.manual_seed(1)
    fresh = swath.create_model("contextnet14_160", num_classes=3).state_dict()["detail.0.0.weight"]
    assert (first["model"]["detail.0.0.weight"] - fresh).abs().max() > 1e-3, "something was learned"


def test_a_worker_that_dies_ends_the_others_and_the_run_goes_on_to_the_bit(
    four: Path, shapes: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    began = time.monotonic()
    ends = crew(4, tmp_path / "dies", doomed(shapes, run, victim=2, step=8))
    assert time.monotonic() - began < 60
    assert [each.status for each in ends] == [1, 1, deaths.KILLED, 1]
    assert re.search(r"^swath: process 2 of 4, on \S+, has died, .*torchrun … -m swath train --res", ends[0].said, re.M)
    assert not ends[1].said and not ends[3].said and "Traceback" not in ends[0].said
    assert [each.status for each in crew(4, tmp_path / "again", lambda _: resume(run))] == [0] * 4
    assert deaths.results(run) == deaths.results(four / "run")


def test_without_process_0_another_one_speaks_and_another_number_goes_on(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ends = crew(2, tmp_path / "dies", doomed(shapes, run, victim=0, step=6))
    assert [each.status for each in ends] == [deaths.KILLED, 1]
    assert re.match(r"swath: process 0 of 2, on \S+, has died, .*Go on from the last checkpoint", ends[1].said)
    assert ends[1].said.count("\n") == 1
    three = crew(3, tmp_path / "three", lambda _: resume(run))
    assert [each.status for each in three] == [2] * 3
    assert "a batch of 4 cannot be cut into 3 equal parts" in three[0].said and "1, 2 or 4 processes" in three[0].said
    assert not three[1].said and not three[2].said
    assert resume(run, [("accumulate", ["2"])]) == 0
    log = (run / "log.txt").read_text()
    assert "saved by 2 processes, resumed by 1: random numbers begin anew" in log and "done in" in log
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["3", "6", "9", "12"]


def test_nothing_is_left_behind_by_a_death_before_the_first_checkpoint(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ends = crew(2, tmp_path / "dies", doomed(shapes, run, victim=1, step=1))
    assert "nothing had been saved, so start it again" in ends[0].said and not run.exists()


def test_a_loss_that_is_no_number_in_one_process_stops_all(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def planted(rank: int) -> int:
        inner = loop.StageRun.loss

        def loss(self: loop.StageRun, batch: Any, step: int) -> torch.Tensor:
            value = inner(self, batch, step)
            return value * torch.inf if rank == 1 and step == 4 else value

        loop.StageRun.loss = loss  # type: ignore[method-assign]
        return start(str(shapes / "tiny.yaml"), out=run)

    ends = crew(2, tmp_path / "planted", planted)
    assert [each.status for each in ends] == [2, 2] and not ends[1].said
    assert "the loss of iteration 5 is inf; stopped before the optimiser's step" in ends[0].said
    (file,) = run.glob("replay-*.pt")
    state = checkpoint.read_sealed(file)
    assert state["number"] == 5 and len(state["names"]) == 2, "the part of the process that was wrong"


@pytest.mark.parametrize("world", [1, 2])
def test_parts_of_a_batch(world: int, shapes: Path) -> None:
    from swath.data.windows import Windows, WindowSpec
    from swath.training.stream import Stream

    windows = Windows(load_card(shapes / "card.yaml").open("train", None), WindowSpec(size=(64, 64)))
    whole = list(Stream(windows, 4, seed=3).keys(1, 6))
    shares = [
        list(Stream(windows, 4, seed=3, parts=2 * world, mine=range(2 * rank, 2 * rank + 2)).keys(1, 6))
        for rank in range(world)
    ]
    for number, batch in enumerate(whole):
        parts = [part for share in shares for part in share[2 * number : 2 * number + 2]]
        assert [key for part in parts for key in part] == batch and {len(part) for part in parts} == {2 // world}


@pytest.mark.parametrize(("weights", "accumulate"), [("learned", "1"), ("gradients", "2")])
def test_weights_and_scores_of_several_tasks(weights: str, accumulate: str, tmp_path: Path) -> None:
    """Gradients of learned weights are averaged too, other weights are those of process 0; depth errors and labels are
    summed exactly."""
    recipe = "streets-multitask"
    overrides: Overrides = [
        *[(f"data.{split}_options.{key}", [value]) for split in ("train", "val") for key, value in SMALL.items()],
        ("iterations", ["2"]),
        ("epochs", ["none"]),
        ("batch", ["4"]),
        ("window.size", ["64x64"]),
        ("task_weights", [weights]),
        ("accumulate", [accumulate]),
        ("warmup", ["0"]),
        ("tensorboard", ["false"]),
        ("samples", ["0"]),
        ("threads", ["1"]),
        ("data.workers", ["0"]),
    ]
    ends = crew(2, tmp_path, kept(tmp_path, lambda: start(recipe, overrides, out=tmp_path / "run")))
    assert [each.status for each in ends] == [0, 0], ends
    first, other = ranks(tmp_path, 2)
    model = trained(tmp_path / "run")
    assert all(torch.equal(first["model"][name], other["model"][name]) for name, _ in model.named_parameters())
    assert first["journal"] == other["journal"]
    state, _ = checkpoint.newest_checkpoint(tmp_path / "run/checkpoints")
    assert state is not None and any(bool(each.any()) for each in state["criterion"].values())
    val = load_card("streets").open("val", None, count=int(SMALL["count"]), size=(64, 96))
    alone = evaluate_tasks(model, val)
    row = list(csv.DictReader((tmp_path / "run/metrics.csv").open()))[-1]
    assert float(row["depth_rmse"]) == alone["depth"].rmse and float(row["miou"]) == alone["segmentation"].miou


SMALL = {"count": "5", "size": "96x64"}


def test_classes_are_counted_together(shapes: Path, tmp_path: Path) -> None:
    source = load_card(shapes / "card.yaml").open("train", None)

    def work(rank: int) -> None:
        with join():
            np.save(tmp_path / f"count{rank}.npy", np.stack(count(source)))

    crew(2, tmp_path, work)
    alone = np.stack(count(source))
    assert all(np.array_equal(np.load(tmp_path / f"count{rank}.npy"), alone) for rank in range(2))


def test_snapshots_norms_and_parameters_that_take_no_part(shapes: Path, tmp_path: Path) -> None:
    def with_a_spare(rank: int) -> int:
        inner = loop.build_network

        def build(*given: Any) -> Any:
            model = inner(*given)
            model.spare = torch.nn.Parameter(torch.full((3,), float(rank)))
            return model

        loop.build_network = build
        return kept(tmp_path, lambda: start(str(shapes / "tiny.yaml"), SWA, out=tmp_path / "run"))(rank)

    ends = crew(2, tmp_path, with_a_spare)
    assert [each.status for each in ends] == [0, 0], ends
    first, other = (each["model"] for each in ranks(tmp_path, 2))
    assert torch.equal(first["spare"], torch.zeros(3)) and torch.equal(other["spare"], torch.zeros(3))
    assert torch.equal(first["detail.0.0.weight"], other["detail.0.0.weight"])


SWA: Overrides = [("swa", ["1"]), ("ema", ["none"]), ("weight_decay", ["0"]), ("epochs", ["2"])]


def test_one_data_set_is_missing_on_one_machine(shapes: Path, tmp_path: Path) -> None:
    def work(rank: int) -> int:
        if rank == 1:
            from swath.training import run

            def gone(*_: Any) -> Any:
                raise SwathError("/data: is no folder")

            run.open_stages = gone
        return start(str(shapes / "tiny.yaml"), out=tmp_path / "run")

    ends = crew(2, tmp_path, work)
    assert [each.status for each in ends] == [1, 2]
    assert re.fullmatch(r"swath: process 1 of 2, on \S+: /data: is no folder\n", ends[1].said)
    assert "has died" not in ends[0].said and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_that_hangs_is_not_waited_for_without_end(shapes: Path, tmp_path: Path) -> None:
    def work(rank: int) -> int:
        meeting.PATIENCE = timedelta(seconds=10)
        inner = loop.Trainer._step

        def step(self: loop.Trainer, run: Any, parts: Any) -> None:
            if rank == 1 and self.position.total == 4:
                time.sleep(100)
            inner(self, run, parts)

        loop.Trainer._step = step  # type: ignore[method-assign]
        return start(str(shapes / "tiny.yaml"), out=tmp_path / "run")

    began = time.monotonic()
    ends = crew(2, tmp_path, work)
    assert time.monotonic() - began < 90
    assert [each.status for each in ends] == [2, 1] and not ends[1].said, ends
    assert re.search(r"^swath: a process has not answered for 10 s\. Go on from the last", ends[0].said, re.M)


# Through torchrun, as a person does it


def torchrun(count: int, words: Sequence[str], *own: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *own]
    return subprocess.Popen(
        [*launcher, "-m", "swath", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(run: Path, number: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while process.poll() is None and time.monotonic() < deadline:
        steps = [int(path.stem[5:]) for path in run.glob("checkpoints/step-*.pt")]
        if steps and max(steps) >= number:
            return
        time.sleep(0.01)


def test_sigterm_saves_in_all_and_the_resumed_run_is_the_same_to_the_bit(shapes: Path, tmp_path: Path) -> None:
    """torchrun passes the signal on to the workers that load data too."""
    more = [("data.workers", ["1"]), ("epochs", ["8"]), ("checkpoint_iterations", ["1"])]
    run, words = tmp_path / "run", [word for key, value in more for word in (f"--{key}", *value)]
    process = torchrun(2, ["train", str(shapes / "tiny.yaml"), "--out", str(run), *words])
    wait_for(run, 2, process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    stopped = re.search(r"stopped by SIGTERM after iteration (\d+); everything is saved", said)
    assert stopped and process.returncode, said
    assert checkpoint.checkpoints(run / "checkpoints")[0].name == f"step-{int(stopped[1]):09d}.pt"
    assert [each.status for each in crew(2, tmp_path / "again", lambda _: resume(run))] == [0, 0]
    undisturbed = train(2, shapes, tmp_path / "whole", *more)
    assert [each.status for each in undisturbed] == [0, 0]
    assert deaths.results(run) == deaths.results(tmp_path / "whole/run")


def test_torchrun_starts_a_run_again(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", str(shapes / "tiny.yaml"), "--out", str(run), "--checkpoint_iterations", "1"]
    process = torchrun(2, words, "--max-restarts", "1")
    wait_for(run, 2, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not tell a process's children")
    os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert "has died" in said and "resuming after iteration" in said and "done in" in said
    assert len(list(csv.DictReader((run / "metrics.csv").open()))) == 4


# What launchers say


def test_place_of_torchrun_and_of_nobody() -> None:
    assert find_place({}) == Place() and find_place({"RANK": "0", "WORLD_SIZE": "1"}) == Place()
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    place = find_place({**environment, "MASTER_ADDR": "n0", "MASTER_PORT": "1234"})
    assert place == Place(5, 8, 1, 4, "n0", 1234, "torchrun … -m swath")


def test_place_of_slurm() -> None:
    job = {"SLURM_JOB_ID": "70007", "SLURM_NTASKS": "7", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    assert find_place(job) == Place(), "a batch script runs once, whatever it has asked for"
    step = {
        **job,
        "SLURM_STEP_NUM_TASKS": "7",
        "SLURM_PROCID": "5",
        "SLURM_LOCALID": "1",
        "SLURM_NODEID": "1",
        "SLURM_STEP_TASKS_PER_NODE": "4,3",
        "SLURM_STEP_NODELIST": "gpu[007-008]",
    }
    assert find_place(step) == Place(5, 7, 1, 3, "gpu007", 25007, "srun … swath")
    named = find_place({**step, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29501"})
    assert (named.address, named.port) == ("10.0.0.1", 29501)
    torchrun_in_it = {**step, "RANK": "0", "WORLD_SIZE": "2"}
    assert find_place(torchrun_in_it).command.startswith("torchrun")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("gpu[003-006,9],login1", "gpu003"),
        ("login1,gpu[1-3]", "login1"),
        ("a[4,7]-ib", "a4-ib"),
    ],
)
def test_first_node(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


def test_tasks_of_nodes() -> None:
    assert tasks_of_nodes("4(x2),3") == [4, 4, 3] and tasks_of_nodes("8") == [8]


def test_who_starts_a_run_again(tmp_path: Path) -> None:
    elastic = {"TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_RUN_ID": "job7"}
    assert not Launch(elastic).has_started(tmp_path)
    Launch(elastic).sign(tmp_path)
    assert Launch(elastic).has_started(tmp_path), "machines came or went"
    assert not Launch({**elastic, "TORCHELASTIC_RUN_ID": "job8"}).has_started(tmp_path)
    assert Launch({"TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_RUN_ID": "none"}).has_started(tmp_path / "other")
    assert Launch({"SLURM_RESTART_COUNT": "2"}).has_started(tmp_path / "other")
    assert not Launch({}).has_started(tmp_path)


def test_a_restart_with_another_recipe_is_none(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    assert start(str(shapes / "tiny.yaml"), [("epochs", ["1"])], out=run) == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(SwathError, match="holds a run already"):
        start(str(shapes / "tiny.yaml"), [("epochs", ["1"]), ("lr", ["0.1"])], out=run)
    before = deaths.results(run)
    assert start(str(shapes / "tiny.yaml"), [("epochs", ["1"])], out=run) == 0
    assert deaths.results(run) == before and "resuming after iteration 3" in (run / "log.txt").read_text()


# Parts


def test_a_batch_that_cannot_be_cut() -> None:
    stage = Stage(epochs=1, batch=8, accumulate=2, window={"size": (64, 64)}, lr=0.1)  # type: ignore[arg-type]
    assert parts_of(stage, 2) == 4
    with pytest.raises(SwathError, match=r"8 cannot be cut into 6 .*take a batch of 6, or 1, 2 or 4 processes"):
        parts_of(stage, 3)


def test_norms_for_several_gpus_share_their_tensors_and_can_be_put_back() -> None:
    model = swath.create_model("contextnet14_160", num_classes=3)
    before = model.state_dict(keep_vars=True)
    norms = sync_norms(model)
    synced = [each for each in model.modules() if isinstance(each, torch.nn.SyncBatchNorm)]
    assert len(norms) == len(synced) > 20
    assert all(tensor is before[name] for name, tensor in model.state_dict(keep_vars=True).items())
    plain_norms(model, norms)
    assert not any(isinstance(each, torch.nn.SyncBatchNorm) for each in model.modules())
    assert list(model.state_dict()) == list(before)
    model.train()(torch.rand(2, 3, 64, 64))[0].sum().backward()


def test_alone_nothing_is_asked() -> None:
    agreement = Agreement(ALONE)
    assert agreement.reach(15, False) == (15, False) and agreement.reach(None, True) == (None, True)
    assert ALONE.all("x") == ["x"] and ALONE.mean(0.5) == 0.5 and ALONE.leads and ALONE.shard is None
    assert ALONE.device("cuda:3") == torch.device("cuda:3")


def test_gpus_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    processes = Processes(Place(0, 4, 0, 4))
    with pytest.raises(SwathError, match="4 processes on a machine with 2 GPUs"):
        processes.device("cuda")
    with pytest.raises(SwathError, match="give --device cuda"):
        Processes(Place(0, 2, 0, 2)).device("cuda:1")
