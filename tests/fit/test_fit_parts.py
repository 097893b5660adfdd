"""Candidates, estimates, claims and fronts, each by itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import tiny
from swath import SwathError
from swath.bench import macs
from swath.fit.candidates import Group, Subject, Trial, Way, seen_sizes, subjects, ways
from swath.fit.estimate import Estimator
from swath.fit.fitting import front, propose
from swath.fit.outcome import Figure, Row
from swath.fit.value import by_capacity, by_claims, claim

SIZE = (64, 96)
TORCH, HALF = Way("torch", "float32"), Way("torch", "bfloat16")


def found(*words: str, widths: tuple[float, ...] = (1.0,), size: tuple[int, int] = SIZE) -> list[Subject]:
    return [each for _, each in subjects(words, widths, 19, size) if isinstance(each, Subject)]


def made(name: str, macs: float, outputs: float) -> Subject:
    return Subject(
        word=name,
        title=name,
        network=name,
        num_classes=19,
        macs=int(macs),
        outputs=int(outputs),
        parameters=1,
        min_size=(32, 32),
        key=name,
    )


def test_a_narrow_network_is_not_tried_twice_under_two_names() -> None:
    titles = [each.title for each in found("contextnet*", widths=(1.0, 0.75, 0.5))]
    assert titles[:5] == ["contextnet12", "contextnet14", "contextnet18", "contextnet14_500", "contextnet14_160"]
    assert "contextnet14, width 0.75" not in titles and "contextnet12, width 0.75" in titles
    assert "contextnet14, width 0.5" in titles and not any(title.startswith("contextnet14_500,") for title in titles)


def test_work_is_counted_for_the_picture(tmp_path: Path) -> None:
    (named,) = found("contextnet14_160")
    assert named.build().num_classes == 19 and named.macs == macs(named.build(), SIZE)
    path = tiny.weights(tmp_path / "w.safetensors")
    (trained,) = found(str(path))
    assert (trained.word, trained.network, trained.num_classes) == (str(path), "contextnet14_160", 4)
    assert trained.outputs > 64 * 96 * 3 / 4 and trained.build().meta is not None
    group = Group(trained, (32, 48))
    assert group.gmacs(SIZE) == pytest.approx(trained.macs / 4e9)


def test_networks_that_make_no_mask_of_a_picture_are_told_or_refused() -> None:
    name = "deeplabv3plus_lite_mobilenetv2_motion"
    (told,) = [each for _, each in subjects([f"{name}*"], (1.0,), 19, SIZE)]
    assert isinstance(told, SwathError) and "takes flow and image" in str(told)
    with pytest.raises(SwathError, match="takes flow and image"):
        found(name)
    with pytest.raises(SwathError, match="no network matches"):
        found("nothing*")
    with pytest.raises(SwathError, match="give the weights that it was made"):
        found("best.onnx")


def test_sizes_are_in_steps_and_large_enough() -> None:
    subject = made("a", 1, 1)
    assert seen_sizes(subject, (512, 1024), (1.0, 0.75, 0.5)) == [(512, 1024), (384, 768), (256, 512)]
    assert seen_sizes(subject, (100, 150), (1.0, 0.5, 0.25)) == [(100, 150), (48, 72)]


def test_ways_are_those_that_are_here() -> None:
    assert ways("cpu", ["torch"]) == [TORCH, HALF]
    assert ways("cpu", ["torch"], ["float32"]) == [TORCH]
    with pytest.raises(SwathError, match="nothing here computes in float16 on cpu"):
        ways("cpu", ["torch"], ["float16"])
    with pytest.raises(SwathError, match="did you mean 'openvino'"):
        ways("cpu", ["openvin"])
    assert all(not way.converts for way in ways("cpu")[:2])


def test_estimates_follow_arithmetic_memory_and_what_was_measured() -> None:
    def truth(trial: Trial) -> float:
        share = math.prod(trial.group.seen) / math.prod(SIZE)
        ms = (3e-8 * trial.group.subject.macs + 2e-6 * trial.group.subject.outputs) * share
        return ms * (0.4 if trial.way == HALF else 1.0)

    heavy, thin, light, other = (
        made("heavy", 4e9, 6e6),
        made("thin", 2e8, 2e7),
        made("light", 5e7, 3e6),
        made("other", 9e8, 1e7),
    )
    estimator = Estimator(SIZE, TORCH)
    for subject in (heavy, thin, light):
        for way in (TORCH, HALF):
            trial = Trial(Group(subject, (32, 48)), way)
            estimator.learn(trial, truth(trial))
    for seen in (SIZE, (32, 48)):
        for way in (TORCH, HALF):
            trial = Trial(Group(other, seen), way)
            assert estimator.ms(trial) == pytest.approx(truth(trial), rel=0.01)
    odd = Trial(Group(other, (32, 48)), TORCH)  # four times as slow as its numbers say
    estimator.learn(odd, 4 * truth(odd))
    assert estimator.ms(Trial(Group(other, SIZE), TORCH)) == pytest.approx(16 * truth(odd))
    assert estimator.ms(odd) == 4 * truth(odd)


def test_speeds_are_never_below_nothing() -> None:
    estimator = Estimator(SIZE, TORCH)
    for name, work, written, ms in (("a", 1e9, 1e6, 10.0), ("b", 2e9, 9e6, 5.0), ("c", 5e8, 8e6, 9.0)):
        estimator.learn(Trial(Group(made(name, work, written), SIZE), TORCH), ms)
    assert estimator.ms(Trial(Group(made("d", 1e12, 1), SIZE), TORCH)) >= 0
    assert estimator.ms(Trial(Group(made("e", 1, 1e12), SIZE), TORCH)) >= 0


def test_claims_are_of_a_size() -> None:
    wide, narrow, half = found("contextnet14", "stdc1_seg", "contextnet14_500")
    assert claim(wide, "cityscapes", (1024, 2048)) == 65.9
    assert claim(wide, "cityscapes", (512, 1024)) == pytest.approx(65.9 - 4.6)
    assert claim(narrow, "cityscapes", (512, 1024)) == 72.2 and claim(narrow, "cityscapes", (768, 1536)) == 74.5
    assert claim(wide, "cityscapes", (2048, 4096)) == 65.9  # nothing is gained by what nobody tried
    assert claim(wide, "voc", (512, 512)) is None
    thin = found("contextnet12", widths=(0.75,))[1]
    assert thin.options == {"width": 0.75}
    lost = claim(half, "cityscapes", (1024, 2048)) - 65.9  # type: ignore[operator]
    assert claim(thin, "cityscapes", (1024, 2048)) == pytest.approx(68.7 + lost)


def test_the_yardstick_is_what_is_known() -> None:
    known, unknown = found("contextnet14", "contextnet12", "pidnet_s"), found("enet", "erfnet")
    yardstick = by_claims(known, "my-streets")
    assert yardstick is not None and yardstick.kind == "claims" and "cityscapes" in yardstick.label
    group = Group(known[0], (512, 1024))
    assert yardstick.of(group, "int8") == pytest.approx(yardstick.of(group, "float32") - 0.5)  # type: ignore[operator]
    assert yardstick.text(61.34) == "~61.3" and yardstick.text(None) == "?"
    assert by_claims(unknown, "") is None
    capacity = by_capacity(SIZE)
    large, small = (capacity.of(Group(unknown[0], seen), "float32") for seen in (SIZE, (32, 48)))
    assert large == pytest.approx(4 * small) and "no accuracy is known" in capacity.note  # type: ignore[operator]


def test_the_front_and_the_proposal_are_the_best_by_hand() -> None:
    def row(ms: float, value: float | None, measured: bool = True) -> Row:
        figure = Figure(p50=ms, p90=ms, calls=20, date="") if measured else None
        trial = Trial(Group(made(f"{ms} {value}", 1, 1), SIZE), TORCH)
        return Row(trial=trial, estimate=ms, figure=figure, value=value)

    rows = [row(10, 50), row(20, 60), row(15, 40), row(20, 55), row(40, 70), row(5, None), row(1, 99, measured=False)]
    best = front(rows)
    assert [(each.ms, each.value) for each in best] == [(10, 50), (20, 60), (40, 70)]
    marked = [Row(**{**each.__dict__, "front": each in best}) for each in rows]
    for budget, wanted in ((9, None), (10, 50), (39.9, 60), (100, 70)):
        proposal = propose(marked, budget)
        assert (proposal.value if proposal else None) == wanted
