"""Which way is taken where, and what all of them have in common."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from swath import SwathError
from swath.finish import confident, labels, reference_labels, way
from swath.finish.axis import Shown

NUMBA = importlib.util.find_spec("numba") is not None


def regions(*shape: int) -> torch.Tensor:
    coarse = torch.randn(shape[0], shape[1], max(1, shape[2] // 4), max(1, shape[3] // 4))
    return F.interpolate(coarse, size=shape[2:], mode="bicubic") * 5


@pytest.fixture(params=["c", "numba", "torch"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = str(request.param)
    monkeypatch.setenv("SWATH_FINISH", name)
    try:
        way()
    except SwathError as error:
        pytest.skip(str(error))
    yield name


def fresh(code: str, **environment: str) -> str:
    """What a new process prints."""
    run = [sys.executable, "-c", code]
    return subprocess.run(run, env=os.environ | environment, capture_output=True, text=True, check=True).stdout.strip()


WHICH = "from swath.finish import way; print(way())"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is compiled")
def test_without_a_compiler_the_next_best_way_is_taken(tmp_path: Path) -> None:
    assert fresh(WHICH, XDG_CACHE_HOME=str(tmp_path), PATH=str(tmp_path)) == ("numba" if NUMBA else "torch")
    assert not list((tmp_path / "swath").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is compiled")
@pytest.mark.parametrize("compiler", ["exit 1", 'echo rubbish > "$(echo "$@" | sed \'s/.*-o //\')"'])
def test_a_compiler_that_fails_is_done_without(tmp_path: Path, compiler: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cc").write_text(f"#!/bin/sh\n{compiler}\n")
    (tmp_path / "bin" / "cc").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    assert fresh(WHICH, XDG_CACHE_HOME=str(tmp_path), PATH=path) == ("numba" if NUMBA else "torch")


@pytest.mark.skipif(way() != "c", reason="no C compiler")
def test_what_was_compiled_is_kept_and_found_again(tmp_path: Path) -> None:
    assert fresh(WHICH, XDG_CACHE_HOME=str(tmp_path)) == "c"
    (kept,) = (tmp_path / "swath").iterdir()
    assert fresh(WHICH, XDG_CACHE_HOME=str(tmp_path), PATH=str(tmp_path)) == "c"  # no compiler is needed any more
    assert [*(tmp_path / "swath").iterdir()] == [kept]


@pytest.mark.skipif(way() != "c", reason="no C compiler")
def test_a_cache_that_others_may_write_to_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "swath").mkdir()
    (tmp_path / "swath").chmod(0o777)
    assert fresh(WHICH, XDG_CACHE_HOME=str(tmp_path)) != "c"


def test_a_way_can_be_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FINISH", "torch")
    assert way() == "torch"
    monkeypatch.setenv("SWATH_FINISH", "tourch")
    with pytest.raises(SwathError, match="unknown SWATH_FINISH 'tourch'; did you mean 'torch'"):
        labels(torch.zeros(1, 2, 3, 3), (6, 6))


@pytest.mark.skipif(NUMBA, reason="numba is installed")
def test_a_way_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FINISH", "numba")
    with pytest.raises(SwathError, match="SWATH_FINISH=numba cannot be had here: numba is not installed"):
        labels(torch.zeros(1, 2, 3, 3), (6, 6))


def test_importing_compiles_and_loads_nothing(tmp_path: Path) -> None:
    code = "import sys, swath.finish; print([m for m in sys.modules if m.startswith(('numba', 'triton'))])"
    assert fresh(code, XDG_CACHE_HOME=str(tmp_path)) == "[]"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_finished_in_float(each_way: str, dtype: torch.dtype) -> None:
    logits = regions(2, 7, 9, 11).to(dtype)
    assert torch.equal(labels(logits, (70, 81)), labels(logits.float(), (70, 81)))


def test_layout_and_gradients_do_not_matter(each_way: str) -> None:
    logits = regions(2, 5, 12, 10)
    wanted = labels(logits, (90, 85))
    assert torch.equal(labels(logits.contiguous(memory_format=torch.channels_last), (90, 85)), wanted)
    assert torch.equal(labels(logits.clone().requires_grad_(), (90, 85)), wanted)
    assert torch.equal(labels(F.pad(logits, (3, 2, 1, 4))[:, :, 1:-4, 3:-2], (90, 85)), wanted)
    with torch.inference_mode():
        assert torch.equal(labels(logits + 0, (90, 85)), wanted)


def test_pictures_of_a_batch_are_finished_each_by_itself(each_way: str) -> None:
    logits = regions(3, 6, 7, 8)
    one_by_one = torch.cat([labels(logits[i : i + 1], (50, 61), True) for i in range(3)])
    assert torch.equal(labels(logits, (50, 61), True), one_by_one)
    assert labels(logits[:0], (50, 61)).shape == (0, 50, 61)


def test_more_threads_answer_the_same(each_way: str) -> None:
    logits = regions(2, 3, 160, 128)
    alone = labels(logits, (2000, 1700))  # enough pixels for three threads
    torch.set_num_threads(3)
    try:
        assert torch.equal(labels(logits, (2000, 1700)), alone)
    finally:
        torch.set_num_threads(1)


def test_several_threads_may_call_at_once(each_way: str) -> None:
    many = [regions(1, 5, 20 + i, 31) for i in range(8)]
    wanted = [labels(each, (160, 240)) for each in many]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert all(map(torch.equal, pool.map(lambda each: labels(each, (160, 240)), many), wanted))


def test_what_is_no_number_loses_and_what_is_infinite_is_large(each_way: str) -> None:
    logits = torch.zeros(1, 4, 2, 2)
    logits[:, 0] = float("nan")
    logits[:, 2] = 1
    assert (labels(logits, (16, 16)) == 2).all()
    logits[:, 3] = float("inf")
    assert (labels(logits, (16, 16)) == 3).all()
    logits[:, 2] = float("inf")
    assert (labels(logits, (16, 16)) == 2).all()  # equal: the lowest
    logits[:, 2, :, 0] = logits[:, 3, :, 1] = -float("inf")  # ends opposite each other meet half-way
    assert torch.equal(labels(logits, (3, 16))[0, 0], torch.tensor([3] * 8 + [2] * 8, dtype=torch.uint8))
    assert not labels(torch.full((1, 3, 2, 2), float("nan")), (5, 5)).any()
    assert not labels(torch.full((1, 3, 2, 2), -float("inf")), (5, 5)).any()


def test_a_class_masked_out_never_wins(each_way: str) -> None:
    logits = regions(1, 5, 8, 8)
    logits[:, 1] = -float("inf")
    found = labels(logits, (64, 64))
    rest = labels(logits[:, [0, 2, 3, 4]], (64, 64))
    assert torch.equal(found, torch.tensor([0, 2, 3, 4], dtype=torch.uint8)[rest.long()])


def test_the_256th_class_has_a_label(each_way: str) -> None:
    logits = regions(1, 256, 6, 6)
    logits[:, 255, :3] += 50
    found = labels(logits, (48, 48))
    assert torch.equal(found, reference_labels(logits, (48, 48))) and (found == 255).any()


@pytest.mark.parametrize(
    ("logits", "size", "words"),
    [
        (torch.zeros(1, 257, 2, 2), (4, 4), "257 classes do not fit into uint8"),
        (torch.zeros(3, 2, 2), (4, 4), r"N x classes x height x width, not of torch.float32 \[3, 2, 2\]"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.uint8), (4, 4), "not of torch.uint8"),
        (torch.zeros(1, 0, 2, 2), (4, 4), r"\[1, 0, 2, 2\]"),
        (torch.zeros(1, 3, 2, 2), (0, 4), "size 0 x 4 have no pixels"),
    ],
)
def test_what_has_no_labels_is_refused(logits: torch.Tensor, size: tuple[int, int], words: str) -> None:
    for function in (labels, confident):
        with pytest.raises(SwathError, match=words):
            function(logits, size)


@pytest.mark.parametrize("content", ["noise", "infinite", "no numbers", "whole numbers"])
@pytest.mark.parametrize("layout", ["rows", "channels last", "columns"])
def test_logits_of_the_pictures_size_are_compared_as_they_are(content: str, layout: str, each_way: str) -> None:
    """Wider than the blocks that are compared at once, and no multiple of them; also a picture that was padded."""
    draw = torch.Generator().manual_seed(5)
    z = torch.randn(2, 5, 9, 77, generator=draw) * 3
    some = torch.rand(z.shape, generator=draw) < 0.1
    if content == "infinite":
        z[some] *= float("inf")
    elif content == "no numbers":
        z[some] = float("nan")
        z[:, :, 3, 40:] = float("nan")
    elif content == "whole numbers":
        z = z.round().clamp_(-1, 1)
    if layout == "channels last":
        z = z.contiguous(memory_format=torch.channels_last)
    elif layout == "columns":
        z = z.transpose(2, 3).contiguous().transpose(2, 3)
    finite = z.nan_to_num(nan=-(2.0**126), posinf=2.0**126, neginf=-(2.0**126))
    best = finite.argmax(1).to(torch.uint8)
    probable = finite.double().softmax(1).topk(2, 1).values
    padded = Shown((7, 70), (9, 77))
    assert torch.equal(labels(z, (9, 77)), best)
    assert torch.equal(labels(z, (9, 77), align_corners=True), best)
    assert torch.equal(labels(z, (7, 70), shown=padded), best[:, :7, :70])
    found = confident(z, (9, 77))
    assert torch.equal(found.labels, best)
    assert (found.confidence - probable[:, 0]).abs().max() < 1e-5
    assert (found.margin - (probable[:, 0] - probable[:, 1])).abs().max() < 1e-5
