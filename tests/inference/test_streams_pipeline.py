"""The pipeline: every frame once and in order, overlapping, in constant memory; live sources keep the newest."""

from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pytest
from fakes import Frames

from swath.inference.streams import Budget, Pipeline, Work


def sleeping(seconds: float):  # type: ignore[no-untyped-def]
    return lambda work: time.sleep(seconds)


def test_every_frame_of_a_file_passes_every_stage_once_and_in_order() -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}

    def stage(name: str):  # type: ignore[no-untyped-def]
        def look(work: Work) -> None:
            time.sleep(0.001 * (work.frame.number % 3))
            seen[name].append(work.frame.number)

        return name, look

    pipeline = Pipeline(Frames(40), [stage("a"), stage("b")], Budget())
    came = [work.frame.number for work in pipeline]
    assert came == seen["a"] == seen["b"] == list(range(40))
    assert pipeline.dropped == 0


def test_the_pipeline_is_as_fast_as_its_slowest_stage() -> None:
    budget = Budget()
    stages = [("pre", sleeping(0.008)), ("network", sleeping(0.02)), ("encode", sleeping(0.012))]
    assert len(list(Pipeline(Frames(100, pause=0.01), stages, budget))) == 100
    slowest = budget.slowest()
    assert slowest is not None and slowest.name == "network"
    assert budget.rate * slowest.mean >= 0.9  # one after the other it would be 0.4


def test_a_live_source_that_is_too_fast_keeps_its_newest_frames() -> None:
    source = Frames(60, live=True, pause=0.005)
    pipeline = Pipeline(source, [("network", sleeping(0.03))], Budget())
    came = []
    for work in pipeline:
        came.append(work.frame.number)
        # What comes out was new when the network began; it took one turn, and one more lay before the network.
        assert source.given - work.frame.number <= 24
    assert came == sorted(set(came)) and came[-1] == 59
    assert pipeline.dropped == 60 - len(came) > 20


def test_a_stage_that_fails_ends_the_run_after_what_was_done() -> None:
    def encode(work: Work) -> None:
        if work.frame.number == 5:
            raise RuntimeError("torn")

    source = Frames(10_000)
    came = []
    with pytest.raises(RuntimeError, match="torn"):
        for work in Pipeline(source, [("pre", sleeping(0)), ("encode", encode)], Budget()):
            came.append(work.frame.number)
    assert came == [0, 1, 2, 3, 4]
    assert source.stopped and source.given < 30
    assert not [each for each in threading.enumerate() if each.name.startswith("swath-")]


def test_who_has_seen_enough_leaves_no_thread_behind() -> None:
    for work in Pipeline(Frames(10_000), [("pre", sleeping(0))], Budget()):
        if work.frame.number == 3:
            break
    for _ in range(100):
        if not (left := [each for each in threading.enumerate() if each.name.startswith("swath-")]):
            break
        time.sleep(0.01)
    assert not left


def test_stopping_delivers_what_is_on_its_way() -> None:
    stopping, source = threading.Event(), Frames(10_000, pause=0.002)
    finished: list[int] = []
    stages = [("network", sleeping(0.004)), ("encode", lambda work: finished.append(work.frame.number))]
    came = []
    for work in Pipeline(source, stages, Budget(), stopping):
        came.append(work.frame.number)
        if len(came) == 5:
            stopping.set()
    assert came == finished == list(range(len(came)))
    assert 5 <= len(came) < 30


def test_memory_does_not_grow_with_the_length() -> None:
    def draw(work: Work) -> None:
        work.drawn["overlay"] = np.repeat(work.frame.image, 2, axis=0)

    budget = Budget(0.001)
    held = []
    tracemalloc.start()
    try:
        for work in Pipeline(Frames(600), [("draw", draw), ("encode", sleeping(0))], budget):
            if work.frame.number in (150, 590):
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    picture = 48 * 64 * 3
    assert held[1] - held[0] < 20 * picture  # 440 frames and their drawings would be 1300 pictures
    assert budget.frames == 600


def test_the_budget_knows_percentiles_and_deadlines() -> None:
    budget = Budget(0.05)
    times = np.random.default_rng(0).uniform(0.001, 0.1, 5000)
    for seconds in times:
        budget.add("network", float(seconds))
        budget.add("decode", 0.001)
        budget.frame(float(seconds) + 0.001, 0.2)
    decode, network = budget.stages()
    assert (decode.name, network.name) == ("decode", "network")
    for found, percent in ((network.p50, 50), (network.p90, 90), (network.p99, 99)):
        assert found == pytest.approx(np.percentile(times, percent), rel=0.012)
    assert network.mean == pytest.approx(times.mean()) and network.max == times.max()
    assert network.late == (times > 0.05).mean() and decode.late == 0 and budget.latency().late == 1
    assert budget.as_dict()["times"]["network"]["p50_ms"] == pytest.approx(1000 * network.p50, abs=1e-3)
