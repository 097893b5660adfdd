"""Evaluation by several processes: every picture once, and sums that are exact to the last pixel."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as spawning

import tiny
from swath import SwathError, load_card
from swath.evaluation import ConfusionMatrix, evaluate
from telling import Telling, blobs, picture

CARD = tiny.CARD.replace("disc:", "car:")  # a class whose objects have an average size
PICTURES = 7


class Source:
    """Made up; remembers what was asked for."""

    def __init__(self, folder: Path):
        (folder / "card.yaml").write_text(CARD)
        self.card = load_card(folder / "card.yaml")
        self.read: list[int] = []

    def __len__(self) -> int:
        return PICTURES

    def name(self, index: int) -> str:
        return f"p{index}"

    def image(self, index: int) -> np.ndarray:
        self.read.append(index)
        return picture(blobs(np.random.default_rng(100 + index), [0, 1, 2, 3], 30, 40))

    def labels(self, index: int) -> np.ndarray:
        return blobs(np.random.default_rng(index), [0, 1, 2, 255], 30, 40)

    def instances(self, index: int) -> np.ndarray:
        return np.where(self.labels(index) == 2, 26000 + np.arange(40) // 9, 0)


def everything(source: Source, **options: Any) -> dict[str, Any]:
    scores = evaluate(Telling(4), source, boundary=(1, 3), instances=True, **options)
    assert scores.instances is not None and scores.boundary is not None
    return {**scores.as_dict(), "instances": asdict(scores.instances), "boundary": asdict(scores.boundary)}


def worker(rank: int, world: int, folder: str) -> None:
    """One process of several; runs by itself, so it writes down what it found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet{world}", rank=rank, world_size=world)
    here = Path(folder) / f"{world}-{rank}"
    here.mkdir()
    source = Source(here)
    told = everything(source, shard=(rank, world), batch=2)
    matrix = ConfusionMatrix(2)
    matrix.counts[:] = [[2**53 + rank, 1], [rank, 2**60]]
    matrix.all_reduce()
    (here / "told.json").write_text(json.dumps({"scores": told, "read": source.read, "huge": matrix.counts.tolist()}))
    dist.destroy_process_group()


def test_two_processes_know_what_one_knows(tmp_path: Path) -> None:
    alone = json.loads(json.dumps(everything(Source(tmp_path))))
    spawning.spawn(worker, (2, str(tmp_path)), nprocs=2)
    told = [json.loads((tmp_path / f"2-{rank}/told.json").read_text()) for rank in range(2)]
    assert sorted(told[0]["read"] + told[1]["read"]) == list(range(PICTURES)) and told[1]["read"] == [1, 3, 5]
    for each in told:
        assert each["scores"]["counts"] == alone["counts"] and each["scores"]["boundary"] == alone["boundary"]
        for name, value in alone["instances"]["class_iiou"].items():  # float sums: their order is another
            assert each["scores"]["instances"]["class_iiou"][name] == pytest.approx(value, abs=1e-12)
        assert each["huge"] == [[2**54 + 1, 2], [1, 2**61]]


def test_without_other_processes_a_share_is_scored_by_itself(tmp_path: Path) -> None:
    source = Source(tmp_path)
    whole = np.array(everything(source)["counts"])
    shares = [np.array(everything(source, shard=(rank, 3))["counts"]) for rank in range(3)]
    assert np.array_equal(sum(shares), whole) and all(share.sum() < whole.sum() for share in shares)
    assert everything(source, shard=(8, 9))["miou"] is None  # more processes than pictures
    assert everything(source, shard=(1, 2), limit=3)["pixels"] == (source.labels(1) != 255).sum()


def test_shares_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    for shard in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(SwathError, match="shard"):
            evaluate(Telling(4), Source(tmp_path), shard=shard)
    with pytest.raises(SwathError, match="torchrun"):
        ConfusionMatrix(2).all_reduce()
