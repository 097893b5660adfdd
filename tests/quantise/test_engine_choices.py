"""What is decided on the way to a quantised file: pictures, the range of weights, which layers stay in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from swath.cards import load_card
from swath.data import Source
from swath.errors import SwathError
from swath.inference import Segmenter, Views
from swath.quantise.engines import timing
from swath.quantise.engines.pictures import Calibration, Part, spread
from swath.quantise.engines.processor import weight_range
from swath.quantise.engines.search import search
from swath.quantise.engines.timing import Timing, verdict


def test_pictures_are_spread_over_the_set() -> None:
    for total, count in ((100, 10), (7, 3), (5, 5), (3, 10)):
        for seed in range(20):
            chosen = spread(total, count, np.random.default_rng(seed))
            assert len(chosen) == min(total, count) == len(set(chosen)) and chosen == sorted(chosen)
            for place, index in enumerate(chosen):  # one from each stretch
                assert total * place // len(chosen) <= index < total * (place + 1) // len(chosen)
    assert spread(100, 10) == spread(100, 10) == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    draws = {tuple(spread(100, 10, np.random.default_rng(seed))) for seed in range(10)}
    assert len(draws) == 10


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return load_card(tiny.dataset(tmp_path, 5)).open("val")


def seen(source: Source, views: Views | None = None, count: int = 3, seed: int = 0) -> Calibration:
    chosen = Calibration(source, Segmenter(tiny.network(), optimise=False, views=views), count, seed)
    list(chosen.check())
    return chosen


def test_the_network_sees_what_it_will_be_shown(source: Source) -> None:
    whole = seen(source)
    assert len(whole) == 3 and len(set(whole.names)) == 3
    assert whole[0].shape[1] >= 70 and whole[0].shape[2] >= 90
    assert seen(source, Views(size=(64, 96)))[0].shape == (1, 64, 96, 3)
    part = seen(source, Views(window=(64, 64)))
    assert part[0].shape == (1, 64, 64, 3) and (part[0] == part[0]).all()
    assert seen(source, seed=0).names == whole.names
    assert any(seen(source, seed=seed).names != whole.names for seed in range(1, 6))


def test_pictures_of_one_colour_are_left_out(tmp_path: Path) -> None:
    import cv2

    card = tiny.dataset(tmp_path, 4)
    cv2.imwrite(str(tmp_path / "val/images/p1.png"), np.full((70, 90, 3), 9, np.uint8))
    chosen = seen(load_card(card).open("val"), count=9)
    assert len(chosen) == 3 and [Path(name).stem for name in chosen.constant] == ["p1"]
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"val/images/p{index}.png"), np.full((70, 90, 3), index, np.uint8))
    with pytest.raises(SwathError, match="is of one colour, as are all 4 pictures"):
        seen(load_card(card).open("val"), count=9)


def test_part_of_a_source(source: Source) -> None:
    part = Part(source, [1, 4])
    assert len(part) == 2 and part.name(1) == source.name(4) and part.size(0) == source.size(1)
    assert (part.image(1) == source.image(4)).all() and (part.labels(0) == source.labels(1)).all()


def test_the_range_of_weights_follows_the_processor(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    for flags, reduced, word in (
        ("fpu sse avx2 avx512f", True, "no VNNI"),
        ("fpu avx512f avx512_vnni", False, "avx512_vnni"),
        ("fpu avx2 avx_vnni", False, "avx_vnni"),
    ):
        info.write_text(f"processor: 0\nmodel name: x\nflags\t\t: {flags}\n")
        found = weight_range("auto", info, "x86_64")
        assert found.reduced is reduced and word in found.why
    assert weight_range("auto", info, "aarch64").reduced is False
    assert weight_range("auto", tmp_path / "none", "AMD64").reduced is True  # not known: what is right anywhere
    assert weight_range("yes", info, "x86_64").reduced and not weight_range("no", info, "x86_64").reduced


def test_the_fewest_layers_that_hold() -> None:
    for needed in range(12):
        for most in (0, 1, 5, 16):
            tried: list[int] = []

            def loss(count: int, needed: int = needed, tried: list[int] = tried) -> float:
                tried.append(count)
                return 1.0 if count < needed else 0.1

            found = search(loss, loss, most, 0.5)
            assert found.holds is (needed <= most)
            assert found.kept <= most and (not found.holds or found.kept == needed)
            assert len(tried) <= 12


def test_what_holds_on_the_subset_must_hold_on_all() -> None:
    found = search(lambda count: 0.0, lambda count: 2.0 - 0.5 * count, 16, 0.5)
    assert found.holds and found.checked == {0: 2.0, 1: 1.5, 2: 1.0, 3: 0.5} and found.kept == 3
    lost = search(lambda count: 0.0, lambda count: {0: 3.0, 1: 2.0}.get(count, 2.5), 4, 0.5)
    assert not lost.holds and lost.kept == 1 and lost.loss == 2.0


def test_no_gain_is_promised_that_was_not_measured() -> None:
    slower = [Timing("onnxruntime", "fp32", 10.0), Timing("onnxruntime", "int8", 14.0)]
    assert "int8 gains no time on this CPU, at best 14.0 ms" in verdict(slower)[0]
    faster = [*slower, Timing("openvino", "fp32", 12.0), Timing("openvino", "int8", 5.0)]
    said = verdict(faster)[0]
    assert said.startswith("fastest here: int8 in OpenVINO, 5.0 ms; 2.00 times as fast as fp32 in ONNX Runtime")


def test_an_engine_that_refuses_a_file_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        def __init__(self, path: Path, engine: str):
            if (path.name, engine) == ("int8.onnx", "onnxruntime"):
                raise SwathError("int8.onnx: is not a readable ONNX file")
            self.runtime = self

        def run(self, pixels: torch.Tensor) -> None:
            pass

    monkeypatch.setattr(timing, "Segmenter", Opened)
    monkeypatch.setattr(timing, "installed", lambda name: True)
    found: list[Timing] = []
    for _ in timing.timings({"fp32": Path("fp32.onnx"), "int8": Path("int8.onnx")}, torch.zeros(1), found):
        pass
    assert {(each.runtime, each.precision) for each in found} == {
        ("onnxruntime", "fp32"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
    }
    assert verdict(found)[1:] == ["ONNX Runtime cannot run this file with 8 bits: not measured"]
