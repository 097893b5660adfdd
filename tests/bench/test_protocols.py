"""Papers' ways of timing: what is run is what they ran, and the steps lead from there to ours."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

import tiny
from swath import SwathError
from swath.bench import protocols
from swath.bench.protocol_tables import show
from swath.bench.protocols import PROTOCOLS, protocol_of, repeat, shares
from swath.bench.typical import Typical, street_logits
from swath.inference import Segmenter
from swath.networks import Network, list_models


def test_protocols_name_networks_that_exist() -> None:
    known = set(list_models())
    for name, protocol in PROTOCOLS.items():
        assert name == protocol.name and set(protocol.networks) <= known
        assert protocol.passes or protocol.seconds
    with pytest.raises(SwathError, match="did you mean 'csfcn'"):
        protocol_of("csfc")


def test_steps_lead_from_theirs_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, object] = {}
    before = protocols._calls

    def spied(*words: object, **more: object) -> list[tuple[str, protocols.Call]]:
        found = before(*words, **more)  # type: ignore[arg-type]
        calls.update({what: call() for what, call in found})
        return found

    monkeypatch.setattr(protocols, "_calls", spied)
    found = repeat(PROTOCOLS["csfcn"], "contextnet14_160", size=(64, 96), iterations=2, warmup=1, rounds=2)
    assert (found.passes, found.warmup, found.size) == (2, 1, (64, 96)) and found.mean > 0
    assert [step.what for step in found.steps] == list(calls)
    bare = protocols._without_norms(tiny.network())  # another network, for its time only
    assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in bare.modules())
    theirs, back, folded, last, small, pixels, mask = calls.values()
    assert all(isinstance(each, torch.Tensor) for each in calls.values())
    assert theirs.shape == back.shape == folded.shape == (1, 19, 64, 96)  # type: ignore[attr-defined]
    torch.testing.assert_close(folded, back, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(last, back, rtol=1e-3, atol=1e-4)
    assert small.shape == pixels.shape == (1, 19, 8, 12)  # type: ignore[attr-defined]
    assert mask.dtype == torch.uint8 and mask.shape == (1, 64, 96)  # type: ignore[attr-defined]
    told = list(shares(found))
    assert told[0][2] == 0 and told[-1][1] == found.ours
    assert sum(added for _, _, added, _ in told) == pytest.approx(found.ours - found.steps[0].ms)
    assert any("batch norms folded" in what and " of " in what for what, *_ in told)


def test_training_mode_and_swapped_sides_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, tuple[int, ...]]] = []
    forward = Network.forward

    def spied(self: Network, *inputs: torch.Tensor) -> object:
        seen.append((self.training, tuple(inputs[0].shape[2:])))
        return forward(self, *inputs)

    monkeypatch.setattr(Network, "forward", spied)
    repeat(PROTOCOLS["contextnet"], "contextnet14_160", size=(64, 96), iterations=1, warmup=0, rounds=1)
    assert seen[0] == (True, (96, 64)) and (True, (64, 96)) in seen and (False, (64, 96)) in seen


def test_a_loop_that_would_take_too_long_has_fewer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(second) for second in range(0, 1000, 3))
    monkeypatch.setattr(protocols, "perf_counter", lambda: next(clock))
    assert protocols._passes(PROTOCOLS["bisenetv1"], lambda: None, "cpu") == 20  # 3 s each, a minute
    assert protocols._passes(PROTOCOLS["csfcn"], lambda: None, "cpu") == 4  # 12 s, as it says


def test_what_is_said_of_a_loop_is_what_was_run() -> None:
    def said(network: str, name: str = "contextnet", passes: int = 3, warmup: int = 1) -> str:
        console = Console(record=True, width=200, file=io.StringIO())
        found = protocols.Repeated(
            protocol=PROTOCOLS[name], network=network, claims={}, size=(64, 96), device="cpu", passes=passes,
            warmup=warmup, mean=2.0, steps=[protocols.Step("a", 2.0), protocols.Step("b", 3.0)],
        )  # fmt: skip
        show(console, found)
        return " ".join(console.export_text().split())

    printed = said("contextnet14")
    assert "3 passes after 1 of warm-up" in printed and "(it has 100 passes and 5 of warm-up)" in printed
    assert "it has" not in said("contextnet14", passes=100, warmup=5)
    assert "1 pass in one loop" in said("contextnet14", passes=1)
    assert "has the plain stem" in said("csfcn", "csfcn") and "plain stem" not in said("pidnet_s", "csfcn")


def test_files_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(SwathError, match="papers time networks in torch"):
        repeat(PROTOCOLS["csfcn"], str(tmp_path / "a.onnx"))


def test_typical_answers_look_like_a_street() -> None:
    segmenter = Segmenter(tiny.network())
    inner = segmenter.runtime
    segmenter.runtime = Typical(inner)
    pixels = torch.from_numpy(tiny.picture(0, 64, 96)[None])
    answer = segmenter.runtime.run(pixels)
    assert answer.shape == inner.run(pixels).shape and segmenter.runtime.run(pixels) is answer
    labels = street_logits((2, 19, 32, 64)).argmax(1)
    assert labels.shape == (2, 32, 64) and len(labels.unique()) >= 4
    assert 0.005 < float((labels[:, :, 1:] != labels[:, :, :-1]).float().mean()) < 0.3
