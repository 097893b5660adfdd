"""Optimiser groups, freezing, moving average, stream, class weights, checkpoints, charts' thinning."""

from __future__ import annotations

import copy
import math
import platform
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from swath.cards import load_card
from swath.data.windows import Windows, WindowSpec
from swath.errors import SwathError
from swath.networks import create_model
from swath.training import Stage
from swath.training.checkpoint import (
    checkpoints,
    newest_checkpoint,
    random_states,
    read_sealed,
    restore_random_states,
    save_checkpoint,
    seed_everything,
)
from swath.training.class_weights import class_weights
from swath.training.ema import MovingAverage
from swath.training.optimisers import freeze, make_optimiser, parameter_groups
from swath.training.report import thinned
from swath.training.sources import Cached
from swath.training.stream import Stream


def stage(**keys: Any) -> Stage:
    return Stage(**{"iterations": 10, "window": WindowSpec(size=(32, 32)), "lr": 0.1, **keys})


# Optimisers


def test_weight_decay_leaves_norms_and_biases_alone() -> None:
    model = create_model("contextnet14_160", num_classes=3)
    groups = parameter_groups(stage(weight_decay=0.1, decay_skips=["norms", "biases"]), model)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(p.dim() == 4 for p in groups[0]["params"]) and all(p.dim() == 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    (everything,) = parameter_groups(stage(weight_decay=0.1), model)
    assert len(everything["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_optimisers_step_as_torchs_plain_ones(name: str) -> None:
    options: dict[str, Any] = {"nesterov": True, "momentum": 0.9} if name == "sgd" else {"betas": (0.8, 0.9)}
    ours = nn.Linear(3, 3)
    theirs = copy.deepcopy(ours)
    optimiser = make_optimiser(stage(optimiser=name, weight_decay=0.01, **options), ours)
    plain = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    reference = plain(theirs.parameters(), lr=0.1, weight_decay=0.01, foreach=False, **options)
    for _ in range(3):
        for model, step in ((ours, optimiser), (theirs, reference)):
            step.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            step.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_frozen_parts() -> None:
    model = create_model("contextnet14_160", num_classes=3)
    parts = freeze(model, ["context", "detail.0"], "s")
    assert parts == [model.context, model.detail[0]]
    trained = {id(p) for group in parameter_groups(stage(), model) for p in group["params"]}
    assert not trained & {id(p) for part in parts for p in part.parameters()}
    freeze(model, [], "s")
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(SwathError, match="did you mean 'context'"):
        freeze(model, ["contxt"], "s")
    freeze(model, ["detail", "context", "fuse_context", "fuse_detail", "classifier"], "s")
    with pytest.raises(SwathError, match="freezes every parameter"):
        parameter_groups(stage(), model)


# Moving average


def test_moving_average_follows_its_formula() -> None:
    model = create_model("contextnet14_160", num_classes=2)
    average = MovingAverage(model, 0.95)
    expected = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for update in range(30):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.add_(torch.randn(tensor.shape) if tensor.is_floating_point() else 1)
        average.update(update)
        decay = min(0.95, (1 + update) / (10 + update))
        for name, tensor in model.state_dict().items():
            floats = tensor.is_floating_point()
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double() if floats else tensor.double()
    for name, tensor in average.model.state_dict().items():
        assert torch.allclose(tensor.double(), expected[name], atol=1e-5), name
    assert not average.model.training and not any(p.requires_grad for p in average.model.parameters())


# Stream


def stream(shapes: Path, workers: int = 0, batch: int = 4, seed: int = 3) -> Stream:
    source = load_card(shapes / "card.yaml").open("train")
    return Stream(Windows(source, WindowSpec(size=(32, 32)), seed=seed), batch, seed, workers)


def test_stream_can_be_entered_anywhere(shapes: Path) -> None:
    whole = list(stream(shapes).batches(0, 8))  # 3 batches an epoch, so two and a half epochs
    assert [len(batch["index"]) for batch in whole] == [4] * 8
    for first in (1, 3, 5):
        for again, batch in zip(stream(shapes, workers=2 if first == 3 else 0).batches(first, 8), whole[first:]):
            assert all(torch.equal(again[key], batch[key]) for key in batch)


def test_an_epoch_shows_each_picture_once_and_the_next_another_order(shapes: Path) -> None:
    orders = [stream(shapes).order(epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(14)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert stream(shapes, seed=4).order(0) != orders[0]


def test_the_global_generator_is_not_touched(shapes: Path) -> None:
    before = torch.get_rng_state()
    for workers in (0, 1):
        next(stream(shapes, workers).batches(0, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_fewer_pictures_than_a_batch(shapes: Path) -> None:
    with pytest.raises(SwathError, match="14 pictures, fewer than one batch of 20; give a smaller --batch"):
        stream(shapes, batch=20)


def test_a_cache_is_the_source(shapes: Path) -> None:
    source = load_card(shapes / "card.yaml").open("train")
    told: list[tuple[int, int]] = []
    for processes in (1, 2):
        cached = Cached(source, processes, lambda done, total: told.append((done, total)))
        assert len(cached) == len(source) and cached.name(3) == source.name(3) and cached.size(2) == source.size(2)
        for i in range(len(source)):
            assert np.array_equal(cached.image(i), source.image(i))
            assert np.array_equal(cached.labels(i), source.labels(i))
    assert told[-1] == (14, 14)


# Memory


FAULTS = """
import resource, torch
from pathlib import Path
from swath.training.machine import kept_memory

block = 80 << 20  # bytes: beyond what glibc learns to keep by itself
torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(block // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

usual, before = faults(), held()
with kept_memory() as kept:
    faults()
    fewer, within = faults(), held()
assert kept
assert 10 * fewer < usual, (fewer, usual)
assert within - before > block / 2 > held() - before, (before, within, held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory")
def test_memory_is_kept_while_training_and_given_back_afterwards() -> None:
    # A process of its own: in the heap that other tests leave behind, a hole may serve the blocks before and after.
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# Class weights


def test_class_weights(shapes: Path) -> None:
    source = load_card(shapes / "card.yaml").open("train")
    counts = [sum(int((source.labels(i) == c).sum()) for i in range(len(source))) for c in range(3)]
    weights = class_weights(stage(class_weights="log"), source)
    assert weights is not None
    assert weights.tolist() == pytest.approx([1 / math.log(1.02 + n / sum(counts)) for n in counts], rel=1e-6)
    given = class_weights(stage(class_weights=[1, 2, 3]), source)
    assert given is not None and given.tolist() == [1, 2, 3]
    assert class_weights(stage(), source) is None
    with pytest.raises(SwathError, match=r"2 numbers for the 3 classes of shapes.*ground, box, disc"):
        class_weights(stage(class_weights=[1, 2]), source)


# Checkpoints


def test_checkpoint_round_trip_and_only_two_are_kept(tmp_path: Path) -> None:
    for number in (1, 20, 300):
        path = save_checkpoint(tmp_path, number, {"number": number, "tensor": torch.arange(number)})
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000000300.pt", "step-000000020.pt"]
    state = read_sealed(path)
    assert state["number"] == 300 and torch.equal(state["tensor"], torch.arange(300))
    assert torch.load(path, weights_only=True)["number"] == 300, "torch reads it as it is"


def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, {"tensor": torch.arange(4)})
    whole = path.read_bytes()
    rng = random.Random(0)
    for place in [0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(40))]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(SwathError, match="is damaged"):
            read_sealed(path)
    for length in [0, 10, 32, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(SwathError, match="is damaged"):
            read_sealed(path)


def test_the_newest_whole_checkpoint_is_used(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) == (None, [])
    save_checkpoint(tmp_path, 1, {"number": 1})
    damaged = save_checkpoint(tmp_path, 2, {"number": 2})
    damaged.write_bytes(damaged.read_bytes()[:-5])
    (tmp_path / ".step-000000003.x.pt").write_bytes(b"half")
    state, complaints = newest_checkpoint(tmp_path)
    assert state is not None and state["number"] == 1
    assert len(complaints) == 1 and str(damaged) in complaints[0]
    assert not (tmp_path / ".step-000000003.x.pt").exists()
    checkpoints(tmp_path)[1].write_bytes(b"")
    with pytest.raises(SwathError, match="No whole checkpoint is left"):
        newest_checkpoint(tmp_path)


def test_random_states_come_back(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.normal()), float(torch.rand(()))

    seed_everything(5)
    draw()
    path = save_checkpoint(tmp_path, 1, {"random": random_states()})
    expected = [draw() for _ in range(3)]
    restore_random_states(read_sealed(path)["random"])
    assert [draw() for _ in range(3)] == expected


# Report


def test_thinned_keeps_means_and_the_end() -> None:
    points = [(float(i), float(i % 2)) for i in range(5000)]
    fewer = thinned(points)
    assert len(fewer) <= 600 and fewer[-1][0] == 4999
    assert all(0.39 < y < 0.61 for _, y in fewer)
    assert thinned(points[:600]) == points[:600]
