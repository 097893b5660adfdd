"""What is counted is right, what is timed is what the protocol says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

import tiny
from swath import SwathError, create_model
from swath.bench import Latency, Settings, benchmark, macs
from swath.bench.memory import peak_memory
from swath.bench.timing import measure

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(
    "name", ["contextnet12", "contextnet14", "contextnet18", "contextnet14_500", "contextnet14_160"]
)
def test_multiply_accumulates_are_the_golden_ones(name: str) -> None:
    facts = json.loads((GOLDEN / f"{name}.json").read_text())
    height, width = facts["inputs"][0][2:]
    model = create_model(name)
    assert macs(model, (height, width)) == facts["macs"]
    assert next(model.parameters()).device.type == "cpu"  # counted on a copy


def test_multiply_accumulates_of_one_convolution_by_hand() -> None:
    model = tiny.network()
    model.forward_logits = torch.nn.Conv2d(3, 5, 3, stride=2, padding=1, device="meta").forward  # type: ignore[assignment]
    assert macs(model, (64, 96)) == 32 * 48 * 5 * 3 * 9


def test_latencies_are_summed_up_by_hand() -> None:
    latency = Latency.of([4.0, 1.0, 2.0, 3.0, 100.0], batch=2)
    assert (latency.min, latency.p50, latency.max, latency.mean) == (1.0, 3.0, 100.0, 22.0)
    assert latency.p90 == pytest.approx(61.6) and latency.p99 == pytest.approx(96.16)
    assert latency.throughput == pytest.approx(2 / 0.022)


def test_every_call_but_the_warm_up_is_timed_by_itself() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        time.sleep(0.02 if len(calls) == 4 else 0.001)

    times = measure(call, iterations=5, warmup=2, device="cpu")
    assert len(calls) == 7 and len(times) == 5
    assert times[1] >= 20 and times[1] == max(times)


def test_a_trained_file_is_timed_and_counted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tiny.weights(tmp_path / "w.safetensors", dataset="shapes", score={"miou": 0.5})
    settings = Settings(size=(64, 96), iterations=2, warmup=1, batch=2, memory=False)
    (result,) = benchmark([str(path)], settings)
    assert set(result.latency) == {"network", "mask", "file"}
    assert result.score == {"miou": 50.0, "on": "shapes", "by": "swath"}
    assert result.num_classes == 4 and result.peak_memory is None
    assert result.parameters == sum(each.numel() for each in tiny.network().parameters())
    assert result.latency["mask"].throughput == pytest.approx(2000 / result.latency["mask"].mean)
    assert result.latency["file"].throughput == pytest.approx(1000 / result.latency["file"].mean)


def test_memory_grows_with_the_picture() -> None:
    asked = {"batch": 1, "num_classes": 4, "device": "cpu", "dtype": "float32", "threads": 1}
    small = peak_memory("contextnet14_160", {**asked, "size": (128, 128)})
    if small is None:
        pytest.skip("this system does not tell")
    large = peak_memory("contextnet14_160", {**asked, "size": (1024, 1024)})
    assert large is not None and large > small + 4 * 2**20


def test_pictures_too_small_for_a_network_are_refused_before_anything_is_timed() -> None:
    with pytest.raises(SwathError, match="contextnet18 needs at least 64x64"):
        list(benchmark(["contextnet14", "contextnet18"], Settings(size=(48, 48), memory=False)))


def test_exported_files_keep_their_precision(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(SwathError, match="keeps its precision"):
        list(benchmark([str(tmp_path / "a.onnx")], Settings(dtype="bfloat16")))
