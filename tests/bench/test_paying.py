"""Engines are measured before long work only, and the best is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import swath.bench.paying as paying
import tiny
from swath import SwathError
from swath.bench.paying import Work, best_engine
from swath.bench.timing import in_turns
from swath.inference import Segmenter, Views, fastest
from swath.inference.fastest import recall

VIEWS = Views()


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines that need nothing: all are torch, some are late."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened: list[str] = []
    monkeypatch.setattr(paying, "candidates", lambda *_: ["torch", "onnxruntime", "openvino"])
    monkeypatch.setattr(paying.converted, "ready", lambda *_: True)
    monkeypatch.setattr(paying.converted, "prepare", lambda *_: Path())

    def open_segmenter(network: object, device: str, engine: str, views: Views) -> Segmenter:
        assert views.plain  # the pixels have the size that the network is to see
        opened.append(engine)
        if engine == "onnxruntime":
            raise SwathError("cannot")
        return Segmenter(tiny.network())

    monkeypatch.setattr(paying, "Segmenter", open_segmenter)
    monkeypatch.setattr(paying, "in_turns", lambda calls, *_: [[8.0], [5.0]])
    monkeypatch.setattr(fastest, "absence", lambda *_: "")
    monkeypatch.setattr(fastest, "version", lambda name: "1.2.3")
    return opened


def test_short_work_is_not_measured(machine: list[str]) -> None:
    assert best_engine(tiny.network(), "cpu", Work(10, (64, 96)), VIEWS) is None
    assert machine == []  # not even torch
    assert best_engine(tiny.network(), "cpu", None, VIEWS) is None
    assert best_engine(tiny.network(), "cpu", Work(60, (64, 96)), VIEWS) is None
    assert machine == ["torch"]


def test_long_work_is_measured_once(machine: list[str]) -> None:
    network = tiny.network()
    found = best_engine(network, "cpu", Work(1_000_000, (64, 96)), VIEWS)
    assert found is not None and found[0] == "openvino" and set(found[1].figures) == {"torch", "openvino"}
    assert machine == ["torch", "onnxruntime", "openvino"]
    assert recall(network, "cpu", (64, 96)) == found[1]
    again = best_engine(tiny.network(), "cpu", Work(200_000, (60, 90)), VIEWS)
    assert again == found and len(machine) == 3  # it is known
    assert best_engine(tiny.network(), "cpu", None, VIEWS) == found


def test_work_is_what_the_network_does() -> None:
    work = Work(10, (100, 200))
    assert (work.calls(VIEWS), work.seen(VIEWS)) == (10, (100, 200))
    assert (work.calls(Views(flip=True, scales=(1.0, 2.0))), work.seen(Views(size=(50, 60)))) == (40, (50, 60))
    windows = Views(window=(50, 100), stride=(50, 100))
    assert (work.calls(windows), work.seen(windows)) == (40, (50, 100))


def test_calls_take_turns() -> None:
    calls: list[str] = []
    times = in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 7, 2, "cpu")
    assert [len(each) for each in times] == [7, 7]
    assert calls[:4] == ["a", "a", "b", "b"] and len(calls) == 4 + 2 * (7 + 7)  # warm-up, and a call before each turn
    assert calls[4:8] == ["a", "a", "b", "b"] and calls[8:12] == ["b", "b", "a", "a"]
    assert in_turns([lambda: None], 3, 0, "cpu")[0] and torch.get_num_threads()
