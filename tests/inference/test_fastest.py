"""What was measured here is remembered for what it holds for, and chosen from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tiny
from swath import SwathError
from swath.inference import fastest
from swath.inference.fastest import Figure, Measurement, choose, recall, remember
from swath.inference.runtimes import converted

SLOW, FAST = Figure(ms=34, start=0.2), Figure(ms=21, start=0.4, convert=9)
AT = (512, 1024)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "swath" / "measured"


@pytest.fixture(autouse=True)
def all_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "absence", lambda name, ending, device: "")
    monkeypatch.setattr(fastest, "engine_name", lambda name: {"openvino": "OpenVINO 2026.4"}.get(name, f"{name} 1.2"))
    monkeypatch.setattr(fastest, "version", lambda name: "1.2.3")


def measured(size: tuple[int, int] = AT, **figures: Figure) -> Measurement:
    return Measurement(size, {"torch": SLOW, "openvino": FAST, **figures})


def test_it_is_remembered_for_networks_of_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.network()
    assert recall(network, "cpu") is None
    remember(network, "cpu", measured())
    other = tiny.network()
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert recall(other, "cpu", AT) == measured()
    assert recall(tiny.swath.create_model("contextnet14_160", num_classes=5), "cpu") is None
    for what, value in (("__version__", "99"), ("version", lambda name: "1.2.4")):
        with monkeypatch.context() as patch:
            patch.setattr(fastest, what, value)
            assert recall(network, "cpu") is None
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 77)
        assert recall(network, "cpu") is None


def test_sizes_that_are_near_are_known_the_newest_counts_where_none_is_named() -> None:
    network = tiny.network()
    large = measured((1024, 2048))
    remember(network, "cpu", large)
    remember(network, "cpu", measured())
    assert recall(network, "cpu", (1080, 1920)) == large
    assert recall(network, "cpu", (480, 854)) == measured()
    assert recall(network, "cpu", (100, 100)) is None
    assert recall(network, "cpu") == measured()
    again = Measurement((500, 1000), {"torch": SLOW})
    remember(network, "cpu", again)
    assert recall(network, "cpu", AT) == again and recall(network, "cpu", (1080, 1920)) == large


def test_what_a_conversion_took_is_not_forgotten() -> None:
    network = tiny.network()
    remember(network, "cpu", measured())
    remember(network, "cpu", measured(openvino=Figure(ms=20, start=0.4)))
    found = recall(network, "cpu")
    assert found is not None and found.figures["openvino"] == Figure(ms=20, start=0.4, convert=9)


def test_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"one")
    (tmp_path / "b.onnx").write_bytes(b"one")
    remember(tmp_path / "a.onnx", "cpu", measured())
    assert recall(tmp_path / "b.onnx", "cpu") == measured()
    (tmp_path / "b.onnx").write_bytes(b"two")
    assert recall(tmp_path / "b.onnx", "cpu") is None
    with pytest.raises(SwathError, match=r"none\.onnx: cannot be read"):
        recall(tmp_path / "none.onnx", "cpu")


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"measurements": [1]}', '{"measurements": [{"size": [1], "figures": {}}]}']
)
def test_a_damaged_memory_is_none(content: str) -> None:
    network = tiny.network()
    path = remember(network, "cpu", measured())
    assert json.loads(path.read_text())["measurements"]
    path.write_text(content)
    assert recall(network, "cpu") is None
    remember(network, "cpu", measured())
    assert recall(network, "cpu") == measured()


def test_nobody_waits_who_did_not_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network, known = tiny.network(), measured(compiled=Figure(ms=1, start=30), onnxruntime=Figure(ms=5, start=8))
    assert choose(known, network, "cpu") == "torch"  # nothing is converted, and onnxruntime starts slowly
    monkeypatch.setattr(converted, "ready", lambda *_: True)
    assert choose(known, network, "cpu") == "openvino"
    monkeypatch.setattr(fastest, "absence", lambda name, ending, device: "is gone" if name == "openvino" else "")
    assert choose(known, network, "cpu") == "torch"


def test_converting_must_pay_back(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.network()
    breakeven = 1000 * (9 + 0.4 - 0.2) / (34 - 21)
    assert choose(measured(), network, "cpu", int(breakeven) - 1) == "torch"
    assert choose(measured(), network, "cpu", int(breakeven) + 2) == "openvino"
    monkeypatch.setattr(converted, "ready", lambda *_: True)
    assert choose(measured(), network, "cpu", 10) == "torch" and choose(measured(), network, "cpu", 20) == "openvino"


def test_the_choice_says_its_reason() -> None:
    assert measured().told("openvino") == "OpenVINO 2026.4 (measured 21 ms against 34 ms of torch at 1024x512)"
    assert (
        measured().told("torch")
        == "torch 1.2 (measured 34 ms against 21 ms of OpenVINO 2026.4 at 1024x512, but starts sooner)"
    )
    alone = Measurement(AT, {"torch": SLOW})
    assert alone.told("torch") == "torch 1.2 (measured 34 ms at 1024x512)"


def test_without_a_home_folder_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.network()
    remember(network, "cpu", measured())

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for module in ("fastest", "runtimes.converted"):
        monkeypatch.setattr(f"swath.inference.{module}.cache_folder", nowhere)
    assert recall(network, "cpu") is None
    for needs_it in (lambda: remember(network, "cpu", measured()), lambda: converted.cached(network, ".onnx")):
        with pytest.raises(SwathError, match="set XDG_CACHE_HOME"):
            needs_it()
